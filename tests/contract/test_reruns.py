"""Which stages an edit re-runs, as DVC itself sees it."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from samebits.params.schema import UNHASHED
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.packages import PACKAGES
from tests.helpers.workspace import ROOT, set_params, stage_environment

ALL = {"prepare", "train", "evaluate", "export"}
MODEL = {"train", "evaluate", "export"}
AFTER = {"evaluate", "export"}


@dataclass(frozen=True)
class Upgrade:
    """Another release of a package, written into packages.yaml."""

    package: str

    def write(self, project: Path) -> None:
        file = project / PACKAGES
        text, count = re.subn(rf'^( *{self.package}: )".*"$', r'\1"99.0"', file.read_text(), flags=re.MULTILINE)
        assert count
        file.write_text(text)


# A dict is merged into params.yaml; a path gets a comment appended. OWN is what is set before, and locked.
EDITS: list[tuple[object, set[str]]] = [
    ({"train": {"optimizer": {"lr": 0.123}}}, {"train"}),
    ({"train": {"epochs": 99}}, {"train"}),
    ({"seed": 99}, {"train"}),
    ({"reproducibility": "warn"}, {"train"}),
    ({"model": {"dropout": 0.5}}, {"train"}),
    ({"augment": {"shift": 5}}, {"train"}),
    ({"task": {"label_smoothing": 0.5}}, {"train"}),
    ({"data": {"validation_fraction": 0.3}}, {"prepare"}),
    ({"calibration": {"temperature": False}}, {"evaluate"}),
    ({"evaluate": {"confidence": 0.9}}, {"evaluate"}),
    ({"export": {"tolerance": 1e-2}}, {"export"}),
    ({"runtime": {"workers": 3}}, set()),
    (Upgrade("torch"), MODEL),
    (Upgrade("numpy"), ALL),
    (Upgrade("pillow"), ALL),  # code of one's own may run it in training: a file of `custom` imports it
    (Upgrade("tokenizers"), {"prepare", "evaluate", "export"}),
    (Upgrade("onnx-ir"), {"export"}),
    (Upgrade("transformers"), set()),  # the chosen model does not use it
    ("src/samebits/data/fetching/http.py", set()),  # what it brings is checked against a hash
    ("src/samebits/data/fetching/archives.py", {"prepare"}),
    ("src/samebits/data/readers/table/columns.py", {"prepare"}),
    ("src/samebits/data/preparation/shards.py", {"prepare"}),
    ("src/samebits/data/loading/augment.py", {"train"}),
    ("src/samebits/data/loading/order.py", {"train"}),
    ("src/samebits/data/loading/sequential.py", MODEL),
    ("src/samebits/models/convnet.py", MODEL),
    ("src/samebits/models/gpt.py", set()),
    ("src/samebits/models/layers/dropout.py", MODEL),
    ("src/samebits/tasks/classification.py", MODEL),
    ("src/samebits/training/loop.py", {"train"}),
    ("src/samebits/compute/distributed.py", {"train"}),
    ("src/samebits/calibration/temperature.py", {"evaluate"}),
    ("src/samebits/inference/calibration.py", AFTER),
    ("src/samebits/drift/image.py", {"evaluate"}),
    ("src/samebits/monitor/compare.py", set()),
    ("src/samebits/metrics/classification.py", {"evaluate"}),
    ("src/samebits/evaluation/report/templates/classification.html.j2", {"evaluate"}),
    ("src/samebits/export/onnx.py", {"export"}),
    ("src/samebits/signature/signature.py", ALL),
    ("src/samebits/base/files.py", ALL),
    ("src/samebits/base/errors.py", set()),
    ("src/samebits/tracking/upload/sender.py", set()),
    ("src/samebits/params/train.py", {"train"}),
    ("src/samebits/params/schema.py", set()),
    ("src/samebits/cli/main.py", set()),
    ("src/samebits/inference/image.py", set()),
    ({"model": {"name": "gpt"}}, MODEL),
    ("stages/train.py", {"train"}),
    ("data/catalog/mnist.yaml", {"prepare"}),
    ("src/samebits/training/__pycache__/loop.cpython-311.pyc", set()),
    ("README.md", set()),
    ("data/raw/other.csv", set()),
    ("data/raw/pets/list.csv", set()),
    ("custom/notes.txt", set()),
    ("custom/blocks/notes.txt", set()),
    ("custom/blocks/residual.py", MODEL),
]
OWN_DATA = {"data": {"source": "data/raw/pets", "format": "image_csv"}}
OWN_EDITS: list[tuple[str, set[str]]] = [
    ("data/raw/pets/list.csv", {"prepare"}),
    ("data/raw/pets/cat/1.png", {"prepare"}),
    ("data/raw/pets/cat/new.png", {"prepare"}),
    ("data/raw/other.csv", set()),
    ("data/raw/other.csv.dvc", set()),
    ("data/raw/pets/.DS_Store", set()),
]
OWN_MODEL = {"model": {"name": "own"}}


def dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=stage_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def changed(folder: Path) -> set[str]:
    """The stages that `dvc status` names, without the second that its start takes."""
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        return {stage.rpartition(":")[2] for stage in repo.status()}


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with made-up outputs that DVC was told are up to date."""
    folder = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "prepared", "cache", "tmp", "*.local")
    for name in ("custom", "src", "stages", "data", ".dvc"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("params.yaml", "dvc.yaml", "packages.yaml", ".dvcignore", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("pets/list.csv", "pets/cat/1.png", "other.csv"):
        (folder / "data/raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data/raw" / name).write_text("x")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    for stage in read_yaml(folder / "dvc.yaml")["stages"].values():
        for kind in ("outs", "metrics", "plots"):
            for out in stage.get(kind, []):
                path = folder / (next(iter(out)) if isinstance(out, dict) else out)
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix:
                    path.write_text("{}")
                else:
                    path.mkdir(parents=True)
                    (path / "file").write_text("x")
    dvc(folder, "commit", "--force")
    assert json.loads(dvc(folder, "status", "--json")) == {}
    assert not changed(folder)
    return folder


# Each takes half a second: every second one is left to the slow tests.
@pytest.mark.parametrize(
    ("edit", "stages"),
    [
        pytest.param(edit, stages, id=str(edit), marks=[pytest.mark.slow] if place % 2 else [])
        for place, (edit, stages) in enumerate(EDITS)
    ],
)
def test_an_edit_reruns_exactly(edit: object, stages: set[str], committed: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(committed, project, symlinks=True)
    if isinstance(edit, dict):
        set_params(project, edit)
    elif isinstance(edit, Upgrade):
        edit.write(project)
    else:
        append(project / str(edit))
    assert changed(project) == stages


def test_dvc_names_the_package_that_was_upgraded(committed: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(committed, project, symlinks=True)
    set_params(project, {"model": {"name": "bert"}})
    dvc(project, "commit", "--force")
    Upgrade("torch").write(project)
    Upgrade("transformers").write(project)
    said = dvc(project, "status")
    assert changed(project) == MODEL
    assert re.findall(r"modified: +(\S+)\n\s+modified: +(\S+)\n", said) == [("torch", "models.bert")] * len(MODEL)
    assert said.count(f"{PACKAGES}:\n") == len(MODEL)


def append(file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as stream:
        stream.write("\n# a comment\n")


@pytest.fixture(scope="module")
def own(committed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with data and a model of one's own."""
    project = tmp_path_factory.mktemp("own") / "project"
    shutil.copytree(committed, project, symlinks=True)
    set_params(project, OWN_DATA | OWN_MODEL)
    assert changed(project) == ALL
    dvc(project, "commit", "--force")
    return project


@pytest.mark.parametrize(("edit", "stages"), OWN_EDITS, ids=[edit for edit, _ in OWN_EDITS])
def test_an_edit_of_ones_own_files_reruns_exactly(edit: str, stages: set[str], own: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(own, project, symlinks=True)
    append(project / edit)
    assert changed(project) == stages


def test_the_run_cache_hashes_every_parameter() -> None:
    """DVC leaves keys of these names out of the run cache's hash, at any depth of the parameters, too."""
    from dvc.stage.cache import _get_cache_hash
    from dvc_data.hashfile.meta import Meta

    def key(params: object) -> object:
        return _get_cache_hash({"cmd": "x", "params": {"params.yaml": params}}, key=True)

    def leaves(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        if not isinstance(value, dict) or not value:
            return [path]
        return [found for name, inner in value.items() for found in leaves(inner, (*path, name))]

    assert {Meta.PARAM_SIZE, Meta.PARAM_NFILES} == set(UNHASHED)
    params = read_yaml(ROOT / "params.yaml")
    for path in leaves(params):
        changed = copy.deepcopy(params)
        here = changed
        for name in path[:-1]:
            here = here[name]
        here[path[-1]] = "another value"
        assert key(changed) != key(params), path
