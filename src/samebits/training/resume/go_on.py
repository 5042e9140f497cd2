"""Going on from a state of another training: one that a finished training kept, that an interrupted one with another
number of epochs left, or that somebody sent.

A state after step n depends on what the first n updates depend on, and on nothing later. It serves every training whose
first n updates are the same: same parameters, data, code and kind of hardware, and the same learning rate at each of
these steps, which is compared step by step. Anything else starts from step 0, with a line that says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from samebits.base.errors import UserError, listed
from samebits.compute.hardware import KERNEL_VARIABLES
from samebits.params.train import ScheduleParams
from samebits.pipeline.context import StageContext
from samebits.pipeline.dvc_cache import dvc, open_objects
from samebits.pipeline.dvc_lock import LockedStage, read_lock
from samebits.pipeline.dvc_yaml import param_at
from samebits.tracking.environment.facts import recorded_facts
from samebits.training.optim.schedules import open_steps, parting_step
from samebits.training.resume.kept import NOTHING_KEPT
from samebits.training.resume.saved import RECEIVED, Counters, Saved, files_in, newest, read_checked, read_state
from samebits.training.resume.store import StateStore

if TYPE_CHECKING:
    from samebits.training.loop import Training

_FREE = ("train.audit_steps", "train.epochs", "train.keep_state", "train.schedule")
"""May differ: of the schedule, the rates count."""


@dataclass(frozen=True)
class Source:
    """A state that a training might go on from.

    Attributes:
        name: for messages.
        files: where its files are.
        hardware: of the finished training that kept it; None where the state itself names it.
        wanted: whether somebody asked for it, and hears why it is not taken.
    """

    name: str
    files: Mapping[str, Path]
    hardware: Mapping[str, str] | None = None
    wanted: bool = True


def keep_at(training: Training) -> int | None:
    """After which step the state is to be kept; None for no step.

    Raises:
        UserError: if no step can be gone on from.
    """
    settings = training.settings
    if not settings.keep_state:
        return None
    step = open_steps(settings.schedule, training.total_steps)
    if step == 0:
        raise UserError(
            f"train.keep_state: true has no state to keep: of {training.total_steps} steps, none lies before the decay",
            "set train.schedule.decay to a smaller share, or train.keep_state: false",
        )
    return step


def take_over(training: Training, inputs: Mapping[str, Any], store: StateStore, context: StageContext) -> None:
    """Go on from the latest state of another training that serves this one and is ahead of it, if there is one.

    Args:
        inputs: of this training's fingerprint.
    """
    fitting: list[tuple[int, str, Source]] = []
    for source in sources(training, store, context):
        try:
            counters = read_checked(source.files)
            problem = misfit(counters, source, training, inputs, store)
        except (UserError, RecursionError) as error:
            problem = str(getattr(error, "problem", error))
        if problem and source.wanted:
            context.say(f"not going on from {source.name}: {problem}")
        elif not problem and counters.step > training.state.step:
            fitting.append((counters.step, f"{counters.place} of {source.name}", source))
    for _, name, source in sorted(fitting, key=lambda each: each[0], reverse=True):
        try:
            saved = read_state(source.files)
            _restore(training, saved)
        except UserError as error:
            context.say(f"not going on from {source.name}: {error.problem}")
            continue
        # From here on it is a state of this training, for its other processes, too.
        store.save(saved[0], training.state.counters())
        context.say(f"going on from {name}")
        return


def _restore(training: Training, saved: Saved) -> None:
    tensors, counters = saved
    state = training.state
    if problem := state.problem(tensors, counters):
        raise UserError(problem)
    state.restore(tensors, counters)
    training.rows.redraw(state)


def misfit(counters: Counters, source: Source, training: Training, inputs: Mapping[str, Any], store: StateStore) -> str:
    """Why a training cannot go on from a state; empty if it can."""
    saved = counters.training
    differences = _differences(saved.inputs, inputs, source.hardware)
    if differences:
        return f"it is of another training: {listed(differences, 4)}"
    try:
        schedule = ScheduleParams.model_validate(param_at(saved.inputs, "train.schedule"))
    except ValidationError:
        return "it names no schedule of learning rates"
    if training.settings.audit_steps is not None:
        return "train.audit_steps needs the states from step 0 on"
    total = training.total_steps
    parting = parting_step(schedule, saved.total_steps, training.settings.schedule, total)
    if counters.step > parting:
        return (
            f"it is of {counters.place}, and its learning rates are those of {training.settings.epochs} epochs for the "
            f"first {parting} steps alone"
        )
    kept_after = keep_at(training)
    if kept_after is not None and counters.step > kept_after and store.kept() is None:
        return f"it is of {counters.place}, and the state after step {kept_after} is to be kept"
    return ""


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], hardware: Mapping[str, str] | None) -> list[str]:
    old, new = dict(theirs), json.loads(json.dumps(dict(ours), default=str))
    if hardware is not None:
        known = {*new["hardware"], *KERNEL_VARIABLES}
        old["hardware"] = {name: value for name, value in hardware.items() if name in known}
        if not hardware:
            return ["reports/facts.json does not say on which hardware; commit it together with dvc.lock"]
    left, right = dict(_flat(old)), dict(_flat(new))
    found = []
    for name in sorted(left.keys() | right.keys()):
        if name in _FREE or name.startswith("train.schedule.") or left.get(name) == right.get(name):
            continue
        short = not name.startswith(("code", "data", "weights"))
        found.append(f"its {name} is {left.get(name)}, here {right.get(name)}" if short else f"its {name} is another")
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in ("", None):
            yield f"{prefix}{name}", value


def sources(training: Training, store: StateStore, context: StageContext) -> Iterator[Source]:
    """States of other trainings: in `.samebits/resume`, and the one that dvc.lock names."""
    for folder in sorted(store.folder.parent.glob("*/")):
        state = newest(folder)
        if state is not None and folder != store.folder:
            came = (folder / RECEIVED).is_file()
            name = "the state that was received" if came else "an interrupted training"
            yield Source(name, files_in(state), wanted=came)
    kept = _kept_source(training.settings.epochs, context)
    if kept is not None:
        yield kept


def _kept_source(epochs: int, context: StageContext) -> Source | None:
    """The state in dvc.lock, from DVC's cache or its remote: DVC has removed the one in the workspace by now.

    The state of a training as long or longer is left alone: who runs the stage again wants to see it run.
    """
    workspace = context.project.workspace
    out = context.project.kept_state.relative_to(workspace).as_posix()
    locked = _locked(workspace, context.name)
    digest = locked.outs.get(out, "") if locked else ""
    then = param_at(locked.params.get("params.yaml", {}), "train.epochs") if locked else None
    if not digest or digest == NOTHING_KEPT or not isinstance(then, int) or then == epochs:
        return None
    name = f"the finished training of {then} epoch{'s' * (then > 1)} in dvc.lock"
    if then > epochs:
        context.say(f"not going on from {name}: it has more epochs")
        return None
    objects, said = open_objects(workspace), []
    if not objects.has(digest):
        said = dvc(workspace, "fetch", out).stderr.strip().splitlines()[-1:]
    if not objects.has(digest):
        reason = f" ({said[0][:200]})" if said else ""
        context.say(f"not going on from {name}: its {out} is neither in DVC's cache nor on the remote{reason}")
        return None
    try:
        objects.require_intact(digest)
    except UserError as error:
        context.say(f"not going on from {name}: {error.problem}")
        return None
    files = {each: objects.path(md5) for each, md5 in (objects.files(digest) or {}).items()}
    return Source(name, files, hardware=recorded_facts(workspace, context.name, {out: digest}))


def _locked(workspace: Path, stage: str) -> LockedStage | None:
    try:
        return next((each for each in read_lock(workspace) if each.name == stage), None)
    except UserError:
        return None
