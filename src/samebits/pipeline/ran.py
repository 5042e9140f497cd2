"""What a stage really ran on and wrote, kept as one of its outputs: `reports/provenance/STAGE.json`.

dvc.lock pairs hashes of code, inputs and parameters with hashes of outputs, line by line, and a merge may join lines of
two runs. The record is one file that no later stage reads. It repeats the stage's entry of dvc.lock as the stage itself
saw it, and dvc.lock holds its hash, so that an entry nobody ever ran is recognised (`dvc_lock.never_ran`).
It has no time, host or run id: the same run writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import read_json, write_json
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.dvc_yaml import param_at, read_pipeline

RECORDS = "reports/provenance"


@dataclass(frozen=True)
class Record:
    """A run of a stage.

    Attributes:
        commands: shell lines.
        deps, outs: path to MD5 as DVC counts it; `outs` without the record's own.
        params: `file: key` to the MD5 of the value.
    """

    commands: tuple[str, ...]
    deps: Mapping[str, str]
    params: Mapping[str, str]
    outs: Mapping[str, str]

    def differences(self, other: Record) -> list[str]:
        """What the other one has otherwise, by name."""
        names = [] if self.commands == other.commands else ["its command"]
        for mine, theirs in ((self.deps, other.deps), (self.params, other.params), (self.outs, other.outs)):
            names += sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        return names


def record_path(stage: str) -> str:
    """Where dvc.yaml lists a stage's record among its outputs, relative to the project."""
    return f"{RECORDS}/{stage}.json"


def inputs_now(workspace: Path, stage: str) -> Record:
    """Command, dependencies and parameters of a stage as they are in a workspace now; no outputs.

    Raises:
        UserError: if code that dvc.yaml lists is missing.
    """
    entry = read_pipeline(workspace).get(stage)
    if entry is None:
        return Record((), {}, {}, {})
    deps = {dep: existing_md5(workspace / dep) for dep in entry.deps}
    if lost := [dep for dep, digest in deps.items() if not digest and dep.endswith(".py")]:
        raise UserError(
            f"{workspace / lost[0]} is listed in dvc.yaml and does not exist",
            "commit it (a queued experiment sees only what git tracks: git add -N), or fix dvc.yaml",
        )
    params: dict[str, str] = {}
    for file, keys in entry.params.items():
        values = read_yaml(workspace / file)
        params |= {f"{file}: {key}": value_md5(param_at(values, key)) for key in keys or values}
    return Record(entry.commands, deps, params, {})


def value_md5(value: Any) -> str:
    """MD5 of a parameter's value, whatever the file's formatting."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def write_record(workspace: Path, stage: str, inputs: Record) -> None:
    """Write the record of a stage that has just written its outputs, if dvc.yaml has it among them."""
    own = record_path(stage)
    entry = read_pipeline(workspace).get(stage)
    if entry is None or own not in entry.paths():
        return
    outs = {path: existing_md5(workspace / path) for path in entry.paths() if path != own}
    record = replace(inputs, outs=outs)
    # Lists, not mappings: DVC takes every text and number below a mapping for a metric.
    lists = {
        name: [f"{digest}  {path}" for path, digest in sorted(getattr(record, name).items())]
        for name in ("deps", "params", "outs")
    }
    write_json(workspace / own, {"commands": list(record.commands), **lists})


def read_record(file: Path) -> Record:
    """A record that `write_record` wrote.

    Raises:
        UserError: if it is missing or damaged.
    """
    value = read_json(file)
    try:
        deps, params, outs = (
            {path: digest for digest, _, path in (line.partition("  ") for line in value[name])}
            for name in ("deps", "params", "outs")
        )
        return Record(tuple(value["commands"]), deps, params, outs)
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{file} is no record of a stage's run", "make it again: dvc repro") from None
