"""What DVC does with a kept state, without DVC: into the cache, its hash into dvc.lock, and gone from the workspace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from samebits.base.files import write_json
from samebits.compute.hardware import hardware_kind, pick_device
from samebits.pipeline.dvc_cache import Objects
from samebits.pipeline.dvc_hashes import dvc_md5, existing_md5


def lock_kept(context: Any, epochs: int) -> Path:
    """Lock and remove what a training of so many epochs has just kept; the folder of the cache."""
    project, objects = context.project, Objects(context.project.workspace / "cache")
    folder, digest = project.kept_state, dvc_md5(project.kept_state)
    files = {path.name: existing_md5(path) for path in folder.iterdir()}
    for name, md5 in files.items():
        objects.path(md5).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, objects.path(md5))
    objects.path(digest).parent.mkdir(parents=True, exist_ok=True)
    objects.path(digest).write_text(json.dumps([{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]))
    entry = {
        "cmd": "", "outs": [{"path": "models/training_state", "md5": digest}],
        "params": {"params.yaml": {"train": {"epochs": epochs}}},
    }  # fmt: skip
    with (project.workspace / "dvc.lock").open("w") as stream:
        YAML().dump({"schema": "2.0", "stages": {context.name: entry}}, stream)
    facts = {"outs": {"models/training_state": digest}, "facts": hardware_kind(pick_device("cpu"))}
    write_json(project.reports / "facts.json", {"format": 1, "stages": {context.name: facts}})
    for path in (folder, project.checkpoint, project.reports / "train"):
        shutil.rmtree(path)
    return objects.folder
