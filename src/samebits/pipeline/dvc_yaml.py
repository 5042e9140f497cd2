"""dvc.yaml read once for all: what each stage reads and writes, with `${...}` filled in from params.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.params.yaml_file import read_yaml

DVC_YAML = "dvc.yaml"
_PARAMS = "params.yaml"
_TEMPLATE = re.compile(r"\$\{\s*([\w.\-]+)\s*\}")


@dataclass(frozen=True)
class Output:
    """A path that a stage writes.

    Attributes:
        kind: `outs`, `metrics` or `plots`.
        cached: False for `cache: false`: git keeps it, not DVC's cache.
    """

    path: str
    kind: str
    cached: bool


@dataclass(frozen=True)
class PipelineStage:
    """One stage of dvc.yaml; paths are relative to the project, as written there.

    Attributes:
        commands: shell lines, run one after the other.
        params: file to its keys; no keys are all of the file's.
    """

    name: str
    commands: tuple[str, ...]
    deps: tuple[str, ...]
    params: Mapping[str, tuple[str, ...]]
    outputs: tuple[Output, ...]

    def paths(self, kind: str = "") -> list[str]:
        """What it writes; of one kind, if that is named."""
        return [out.path for out in self.outputs if kind in ("", out.kind)]


def read_pipeline(workspace: Path) -> dict[str, PipelineStage]:
    """The stages of dvc.yaml by name, in its order.

    Raises:
        UserError: if there is no dvc.yaml, or it is no pipeline.
    """
    stages = read_yaml(workspace / DVC_YAML).get("stages") or {}
    try:
        if "${" in str(stages):
            stages = _filled(stages, read_yaml(workspace / _PARAMS))
        return {str(name): _stage(str(name), entry) for name, entry in stages.items()}
    except (TypeError, AttributeError, ValueError, StopIteration):
        raise UserError(
            f"{workspace / DVC_YAML} is no pipeline of DVC's", "`dvc status` names the line; git checkout restores it"
        ) from None


def stage_files(workspace: Path, stage: str) -> tuple[list[Path], list[Path]]:
    """What dvc.yaml says a stage reads and writes: its deps, and its outs, metrics and plots."""
    entry = read_pipeline(workspace).get(stage)
    if entry is None:
        return [], []
    return [workspace / path for path in entry.deps], [workspace / path for path in entry.paths()]


def param_at(values: Any, key: str) -> Any:
    """The value under a dotted key; None if there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _stage(name: str, entry: Mapping[str, Any]) -> PipelineStage:
    # Of `foreach` and `matrix`, DVC alone knows the stages.
    entry = entry.get("do", entry)
    params: dict[str, tuple[str, ...]] = {}
    for each in entry.get("params", []):
        file, keys = next(iter(each.items())) if isinstance(each, Mapping) else (_PARAMS, [each])
        params[file] = (*params.get(file, ()), *(keys or ()))
    outputs = [_output(each, kind) for kind in ("outs", "metrics", "plots") for each in entry.get(kind, [])]
    command = entry.get("cmd", "")
    commands = (command,) if isinstance(command, str) else tuple(command)
    return PipelineStage(name, commands, tuple(entry.get("deps", [])), params, tuple(outputs))


def _output(entry: str | Mapping[str, Any], kind: str) -> Output:
    # An entry with options is a mapping of its path to them.
    path, options = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
    return Output(path, kind, (options or {}).get("cache", True))


def _filled(value: Any, params: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {name: _filled(inner, params) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, params) for inner in value]
    return _TEMPLATE.sub(lambda found: str(param_at(params, found[1])), value) if isinstance(value, str) else value
