"""Stages whose results here were not made from the code, data and parameters that are here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.pipeline.dvc_lock import LOCK, never_ran
from samebits.pipeline.dvc_yaml import PipelineStage, read_pipeline


def stale_stages(workspace: Path) -> dict[str, str]:
    """Stage to why its results do not belong here, in the order of dvc.yaml: as `dvc status` and the records have it.

    A stage after a stale one is stale, too: it read what that one wrote.

    Raises:
        UserError: if DVC is at work here, or its files cannot be read.
    """
    from samebits.sharing.remote.objects import open_repo

    # DVC names stages and paths as seen from the working folder.
    with contextlib.chdir(workspace), open_repo(workspace) as repo:
        status: dict[str, list[Any]] = repo.status()
    pairs = never_ran(workspace) if (workspace / LOCK).is_file() else {}
    found: dict[str, str] = {}
    pipeline = read_pipeline(workspace)
    for name, stage in pipeline.items():
        changed = [path for path, _ in _changed(status.get(name, []), "deps")]
        data = [path for path in changed if path.startswith("data/")]
        lost = [path for path, how in _changed(status.get(name, []), "outs") if how != "not in cache"]
        if changed:
            what = f"these data ({listed(data)})" if data else f"what is here now ({listed(changed, 4)})"
            found[name] = f"has not run on {what}"
        elif name in pairs:
            found[name] = f"never ran as {LOCK} says: {pairs[name]}"
        elif lost:
            found[name] = f"did not write what is here now ({listed(lost, 4)})"
        elif before := _stale_before(stage, pipeline, found):
            found[name] = f"has not run on results of {before}"
    return found


def _changed(entries: list[Any], side: str) -> Iterator[tuple[str, str]]:
    """What DVC's status of a stage calls changed: path, or `file: key` of a parameter, and how."""
    for entry in entries:
        if not isinstance(entry, Mapping):
            # `changed command`, or `always changed`
            if side == "deps":
                yield str(entry), "modified"
            continue
        for path, how in entry.get(f"changed {side}", {}).items():
            if isinstance(how, Mapping):
                yield from ((f"{path}: {key}", state) for key, state in how.items())
            else:
                yield path, how


def _stale_before(stage: PipelineStage, pipeline: Mapping[str, PipelineStage], stale: Mapping[str, str]) -> str:
    return next((name for name in stale if not set(pipeline[name].paths()).isdisjoint(stage.deps)), "")


def stale_model(workspace: Path, model: Path) -> str:
    """Why a model file is not what the project here makes; empty if it is, lies elsewhere, or that cannot be told."""
    try:
        path = model.resolve().relative_to(workspace.resolve()).as_posix()
        makers = [
            name
            for name, stage in read_pipeline(workspace).items()
            if any(Path(path).is_relative_to(out) for out in stage.paths())
        ]
        stale = stale_stages(workspace) if makers else {}
    except (UserError, OSError, ValueError):
        return ""
    if not (makers and makers[0] in stale):
        return ""
    first = next(iter(stale))
    return f"{path} is not of the data, code and parameters here: {first} {stale[first]}; make it anew: dvc repro"
