"""Stages whose results here were not made from the code, data and parameters that are here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from samebits import __version__
from samebits.base.errors import UserError, listed
from samebits.base.files import read_json, write_json
from samebits.pipeline.dvc_lock import LOCK, never_ran
from samebits.pipeline.dvc_yaml import DVC_YAML, PipelineStage, read_pipeline

_NOTED = ".samebits/status.json"
_SETTLED_NS = 2_000_000_000
"""Time stamps are coarse: a file changed less than this ago may change again under the same one."""


def stale_stages(workspace: Path) -> dict[str, str]:
    """Stage to why its results do not belong here, in the order of dvc.yaml: as `dvc status` and the records have it.

    A stage after a stale one is stale, too: it read what that one wrote. DVC takes a second to load and to look. So the
    answer is kept with size, inode and times of every file that it is about, and given again while these stay.

    Raises:
        UserError: if DVC is at work here, or its files cannot be read.
    """
    pipeline = read_pipeline(workspace)
    seen = _seen(workspace, pipeline)
    note = workspace / _NOTED
    with contextlib.suppress(UserError, OSError):
        match read_json(note) if seen and note.is_file() else None:
            case {"seen": known, "stale": [*pairs]} if known == seen:
                return {str(name): str(why) for name, why in pairs}
    found = _look(workspace, pipeline)
    if seen and note.parent.is_dir() and _seen(workspace, pipeline) == seen:
        with contextlib.suppress(OSError):
            write_json(note, {"seen": seen, "stale": list(found.items())})
    return found


def _seen(workspace: Path, pipeline: Mapping[str, PipelineStage]) -> str:
    """SHA-256 over the state of all files that the answer depends on; empty where it would not tell of a change."""
    paths = {LOCK, DVC_YAML, ".dvcignore", ".dvc/config", ".dvc/config.local", "params.yaml"}
    for stage in pipeline.values():
        paths |= {*stage.deps, *stage.paths(), *stage.params}
    digest = hashlib.sha256(__version__.encode())
    newest = 0
    try:
        for path in sorted(paths):
            for file, state in _states(workspace / path):
                digest.update(
                    f"{file} {state.st_size} {state.st_ino} {state.st_mtime_ns} {state.st_ctime_ns}\n".encode()
                )
                newest = max(newest, state.st_mtime_ns, state.st_ctime_ns)
    except (OSError, UnicodeEncodeError):
        return ""
    return digest.hexdigest() if time.time_ns() - newest > _SETTLED_NS else ""


def _states(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Files at or below a path, in order; that there is none is told by no file."""
    if not path.exists():
        return
    if not path.is_dir():
        yield str(path), path.stat()
        return
    for folder, folders, files in os.walk(path, onerror=_raise):
        folders.sort()
        if any(Path(folder, name).is_symlink() for name in folders):
            raise OSError("a link to a folder: what is behind it is not walked")
        for name in sorted(files):
            file = Path(folder, name)
            yield str(file), file.stat()


def _raise(error: OSError) -> None:
    raise error


def _look(workspace: Path, pipeline: Mapping[str, PipelineStage]) -> dict[str, str]:
    from samebits.sharing.remote.objects import open_repo

    # DVC names stages and paths as seen from the working folder.
    with contextlib.chdir(workspace), open_repo(workspace) as repo:
        status: dict[str, list[Any]] = repo.status()
    pairs = never_ran(workspace) if (workspace / LOCK).is_file() else {}
    found: dict[str, str] = {}
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
