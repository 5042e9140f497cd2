"""dvc.lock: commands with hashes of what they read and wrote; whether these belong together, and to the files here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.dvc_yaml import param_at
from samebits.pipeline.ran import Record, read_record, record_path, value_md5

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


def drift(workspace: Path, stage: LockedStage, everything: Iterable[LockedStage] = ()) -> list[str]:
    """Code, data and parameters of a workspace that are not those that dvc.lock has for a stage.

    Args:
        everything: stages whose outputs are left out, since they are looked at by themselves.
    """
    written = [out for other in everything for out in other.outs]
    found = [
        dep
        for dep, digest in stage.deps.items()
        if not any(overlap(dep, out) for out in written) and existing_md5(workspace / dep) != digest
    ]
    return found + changed_params(workspace, stage)


def changed_params(workspace: Path, stage: LockedStage) -> list[str]:
    """`file: key` of each parameter that a workspace has otherwise than dvc.lock."""
    found = []
    for file, values in stage.params.items():
        here = read_yaml(workspace / file)
        found += [f"{file}: {key}" for key, value in values.items() if param_at(here, key) != value]
    return found


def is_up_to_date(workspace: Path, stage: str) -> bool:
    """Whether a stage's dependencies and parameters are those in dvc.lock; False if that cannot be told."""
    try:
        return any(each.name == stage and not drift(workspace, each) for each in read_lock(workspace))
    except (OSError, UserError):
        return False


def never_ran(workspace: Path, stages: Iterable[LockedStage] | None = None) -> dict[str, str]:
    """Stages whose entry in dvc.lock pairs code, inputs, parameters and outputs that no run had together.

    A merge, rebase or cherry-pick that joins two branches' lines of dvc.lock makes such entries, and so does `dvc
    commit`. Each stage's own record tells (`pipeline.ran`). Entries without one are not judged.

    Args:
        stages: those to look at; all of dvc.lock if left out.

    Returns:
        stage to what tells.
    """
    found = {}
    for stage in read_lock(workspace) if stages is None else stages:
        own = record_path(stage.name)
        if own not in stage.outs:
            continue
        file = workspace / own
        if not file.is_file():
            found[stage.name] = f"its record {own} is gone"
        elif existing_md5(file) != stage.outs[own]:
            found[stage.name] = f"{own} is the record of another run"
        elif names := read_record(file).differences(_as_record(stage, own)):
            found[stage.name] = f"its run had another {listed(names, 4)}"
    return found


def require_ran(workspace: Path, stages: Iterable[LockedStage] | None = None) -> None:
    """Raises UserError naming the stages of `never_ran`, and the fix."""
    if found := never_ran(workspace, stages):
        raise UserError(*never_ran_text(found))


def never_ran_text(found: Mapping[str, str]) -> tuple[str, str]:
    """Problem and fix for what `never_ran` found."""
    lines = "\n".join(f"  {stage}: {why}" for stage, why in found.items())
    return (
        f"{LOCK} pairs code and results that never ran together, as after a merge\n{lines}",
        rerun_fix(found),
    )


def rerun_fix(stages: Iterable[str]) -> str:
    """How stages are run although all their hashes fit, and the later ones after them."""
    return f"run it: dvc repro --force --single-item {' '.join(stages)}; then dvc repro, and commit"


def _as_record(stage: LockedStage, own: str) -> Record:
    params = {
        f"{file}: {key}": value_md5(value) for file, values in stage.params.items() for key, value in values.items()
    }
    outs = {path: digest for path, digest in stage.outs.items() if path != own}
    return Record(stage.commands, stage.deps, params, outs)
