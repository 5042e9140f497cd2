"""dvc.lock as what it is here: a list of commands with the hashes of what they read and wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from samebits.base.errors import UserError
from samebits.params.read import read_yaml
from samebits.tracking.journal.lineage import dvc_md5

LOCK = "dvc.lock"


@dataclass(frozen=True)
class LockedStage:
    """One stage of dvc.lock.

    Attributes:
        commands: shell lines, run one after the other.
        deps, outs: path to MD5, a folder's with `.dir`.
        params: file to the values of its keys.
    """

    name: str
    commands: tuple[str, ...]
    deps: Mapping[str, str]
    outs: Mapping[str, str]
    params: Mapping[str, Mapping[str, Any]]

    def reads(self, other: LockedStage) -> bool:
        """Whether this stage reads what the other one writes."""
        return any(overlap(dep, out) for dep in self.deps for out in other.outs)


def overlap(first: str, second: str) -> bool:
    """Whether two paths are the same, or one lies inside the other."""
    one, two = PurePosixPath(first), PurePosixPath(second)
    return one.is_relative_to(two) or two.is_relative_to(one)


def read_lock(workspace: Path) -> list[LockedStage]:
    """The stages of dvc.lock, each after those that it reads from.

    Raises:
        UserError: if there is none, or it is no lock of DVC's.
    """
    file = workspace / LOCK
    if not file.is_file():
        raise UserError(f"there is no {LOCK} here: nothing says which bits to expect", "run dvc repro, and commit it")
    try:
        stages = [_stage(name, entry) for name, entry in read_yaml(file)["stages"].items()]
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{file} is no lock file that DVC wrote", f"restore it: git checkout {LOCK}") from None
    return _in_order(stages)


def _stage(name: str, entry: Mapping[str, Any]) -> LockedStage:
    command = entry["cmd"]
    return LockedStage(
        name=name,
        commands=(command,) if isinstance(command, str) else tuple(command),
        deps={each["path"]: each.get("md5", "") for each in entry.get("deps", [])},
        outs={each["path"]: each.get("md5", "") for each in entry.get("outs", [])},
        params=entry.get("params", {}),
    )


def _in_order(stages: list[LockedStage]) -> list[LockedStage]:
    ordered: list[LockedStage] = []
    waiting = list(stages)
    while waiting:
        ready = [s for s in waiting if not any(s is not other and s.reads(other) for other in waiting)]
        if not ready:
            raise UserError(f"the stages of {LOCK} read each other's outputs in a circle", "run dvc repro")
        ordered += ready
        waiting = [stage for stage in waiting if stage not in ready]
    return ordered


def pick_stages(stages: list[LockedStage], names: list[str]) -> list[LockedStage]:
    """Those with the names, in order; all of them for no names.

    Raises:
        UserError: for a name that dvc.lock does not have.
    """
    known = [stage.name for stage in stages]
    for name in names:
        if name not in known:
            raise UserError(f"{LOCK} has no stage {name!r}", f"its stages: {', '.join(known)}")
    return [stage for stage in stages if not names or stage.name in names]


def inputs_of(stages: list[LockedStage], everything: list[LockedStage]) -> dict[str, str]:
    """What these stages read that others of the pipeline write: path to MD5."""
    others = [stage for stage in everything if stage not in stages]
    return {
        dep: digest
        for stage in stages
        for dep, digest in stage.deps.items()
        if any(overlap(dep, out) for other in others for out in other.outs)
    }


def drift(workspace: Path, stage: LockedStage, everything: list[LockedStage]) -> list[str]:
    """Code, data and parameters of a workspace that are not those that dvc.lock has for a stage.

    What other stages write is left out: they are looked at by themselves.
    """
    written = [out for other in everything for out in other.outs]
    found = [
        dep
        for dep, digest in stage.deps.items()
        if not any(overlap(dep, out) for out in written)
        and not ((workspace / dep).exists() and dvc_md5(workspace / dep, limit=None) == digest)
    ]
    for file, values in stage.params.items():
        here = read_yaml(workspace / file)
        found += [f"{file}: {key}" for key, value in values.items() if _at(here, key) != value]
    return found


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values
