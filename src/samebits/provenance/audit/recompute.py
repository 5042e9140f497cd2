"""Segments of a training computed again, in a copy of its commit.

    python -m samebits.provenance.audit.recompute JOB.json RESULT.json    beside params.yaml and data/prepared

Each segment begins as a resumed training does: a new model and optimizer take the saved state over.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel
from safetensors import SafetensorError

from samebits.base.errors import EXIT_USER_ERROR, Interrupted, UserError, listed
from samebits.base.files import read_json, write_json
from samebits.base.nested import flatten
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.base.terminal import escape_unprintable
from samebits.params.schema import read_params
from samebits.pipeline.code import code_digest
from samebits.pipeline.context import StageContext
from samebits.tracking.environment.facts import environment_facts
from samebits.tracking.journal.tracker import NullTracker
from samebits.training.commitment.record import Origin
from samebits.training.loop import Observer, OutOfMemory, Training
from samebits.training.outputs import write_outputs
from samebits.training.resume.saved import load_state, state_folder, write_state
from samebits.training.resume.state import TrainingState
from samebits.training.train import build_training, open_plan

STAGE = "train"


class Job(BaseModel):
    """What is to be computed.

    Attributes:
        origin: of the training, as its record has it.
        segments: (first step, last step); the state of the first step lies below `states`, that of step 0 is made.
        last: the training's last step, whose state lies there, too.
        states: a folder of states that were fetched.
        into: a folder for the states that are computed.
    """

    origin: Origin
    segments: Sequence[tuple[int, int]]
    last: int
    states: Path
    into: Path


class Result(BaseModel):
    """What came out, beside the states below `into` and the checkpoint in the copy.

    Attributes:
        failed: last step of a segment to why its first state could not be gone on from.
        unusable: why the last state of all could not be used; empty if it could.
        finished: whether the training ends with its last state.
        facts: of the environment.
    """

    failed: dict[int, str] = {}
    unusable: str = ""
    finished: bool = False
    facts: dict[str, str] = {}


class _Quiet(StageContext):
    """The training says each time what it said when it ran."""

    def say(self, line: str) -> None: ...


class _Unusable(Exception):
    """A committed state is none of this training."""


def recompute(workspace: Path, job: Job) -> Result:
    """Make the first state, go on from each segment's, and write the checkpoint of the last one.

    Raises:
        UserError: if data, code or parameters are not those of the record.
    """
    project = Project(workspace, workspace)
    params = read_params(project.params_file)
    sections = params.sections
    declared = sections["train"].precision
    # What `auto` came to on the trainer's machine, whatever it comes to here.
    settings = sections["train"].model_copy(update={"precision": job.origin.precision})
    context = _Quiet(STAGE, project, params.runtime, NullTracker(), StopRequest())
    result = Result()
    with open_plan(
        sections["seed"],
        sections["reproducibility"],
        sections["task"],
        sections["model"],
        sections["augment"],
        settings,
        sections["transfer"],
        context=context,
    ) as (plan, micro, _):
        origin = plan.origin(code_digest(workspace, STAGE))
        origin.parameters["train"]["precision"] = declared
        if names := differences(job.origin, origin):
            raise UserError(
                f"the model is of another training than this commit's: {listed(names)}",
                "check out the commit that has its dvc.lock, then audit it there",
            )
        first = build_training(plan, context, micro)
        write_state(state_folder(job.into, 0), first.state.tensors(), first.state.counters())
        result.facts = environment_facts(plan.device)
        for start, end in job.segments:
            training = build_training(plan, context, micro)
            try:
                _take_over(training.state, job.states, start)
                _run_until(training, end)
            except (_Unusable, UserError) as error:
                result.failed[end] = str(error)
                continue
            write_state(state_folder(job.into, end), training.state.tensors(), training.state.counters())
            print(f"audit: steps {start:,} to {end:,} computed", flush=True)
        training = build_training(plan, context, micro)
        try:
            _take_over(training.state, job.states, job.last)
            result.finished = training.finished
            write_outputs(training, plan.task, plan.model, plan.info, context)
        except (_Unusable, UserError) as error:
            result.unusable = str(error)
    return result


def differences(recorded: Origin, here: Origin) -> list[str]:
    """What one has otherwise than the other: `code`, `data`, `parameters.train.optimizer.lr` and the like."""
    one, two = (flatten(each.model_dump()) for each in (recorded, here))
    return [name for name in sorted(one.keys() | two.keys()) if one.get(name) != two.get(name)]


def _take_over(state: TrainingState, folder: Path, step: int) -> None:
    """Make a committed state this training's; the state of step 0 is made, not committed.

    Raises:
        _Unusable: if it is none of this training. What fails later is the auditor's fault, or unknown.
    """
    if step == 0:
        return
    try:
        tensors, counters = load_state(state_folder(folder, step))
        if not (problem := state.problem(tensors, counters)):
            state.restore(tensors, counters)
    except UserError as error:
        problem = error.problem
    except (SafetensorError, LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}".partition("\n")[0]
    if problem:
        raise _Unusable(f"the state of step {step} is none of this training: {problem}")
    if state.step != step:
        raise _Unusable(f"the state of step {step} says that it is of step {state.step}")


def _run_until(training: Training, end: int) -> None:
    """Train until a step is done.

    Raises:
        _Unusable: if the training ends before it.
        UserError: if a step cannot be made, as where the loss is not finite.
    """
    stop = StopRequest()

    def step_done(state: TrainingState) -> None:
        stop.requested = state.step >= end

    observer = Observer(lambda *_: None, lambda *_: None, lambda: None, save_seconds=math.inf, step_done=step_done)
    try:
        training.run(observer, stop)
    except Interrupted:
        return
    raise _Unusable(f"the training ends with step {training.state.step}, not with step {end}")


def main() -> int:
    """Do the job for the workspace that is the current folder."""
    escape_unprintable()
    try:
        job = Job.model_validate(read_json(Path(sys.argv[1])))
        write_json(Path(sys.argv[2]), recompute(Path.cwd(), job).model_dump())
    except UserError as error:
        print(error, file=sys.stderr)
        return EXIT_USER_ERROR
    except OutOfMemory as error:
        print(f"out of memory: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
