"""All four stages on a few samples, in a scratch folder: does a long run stand a chance?"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.params.schema import parse_params, read_params
from samebits.pipeline.context import STAGES
from samebits.pipeline.recipes import merge
from samebits.starting.job import do_job, run_job
from samebits.starting.scratch_project import QuietContext, ScratchProject

SAMPLES = 64
"""Of a split, at most."""

_BATCH = 16

_SMALL: dict[str, Any] = {
    "train": {"epochs": 2},
    "evaluate": {"bootstrap": 100},
    "export": {"batch_sizes": [1, 2], "int8_loss": 1.0},
}
"""What is smaller than in params.yaml. The accuracy that a quantised model may lose means nothing on so few samples."""

BODIES = {
    "prepare": "samebits.data.preparation.prepare:prepare",
    "train": "samebits.training.train:train",
    "evaluate": "samebits.evaluation.evaluate:evaluate",
    "export": "samebits.export.export:export",
}


def smoke(project: Project, say: Callable[[str], None]) -> dict[str, float]:
    """Run prepare, train, evaluate and export on a few samples of params.yaml's data. Returns the seconds of each.

    Raises:
        UserError: what the first stage that fails says.
    """
    values = read_params(project.params_file).dump()
    found = run_job(project, "samebits.starting.smoke", values, "the smoke test")
    for line in found["lines"]:
        say(line)
    say("all four stages run; nothing was recorded or kept; the numbers mean nothing on so few samples")
    seconds: dict[str, float] = found["seconds"]
    return seconds


def run_stages(workspace: Path, scratch: Path, values: Mapping[str, Any], stop: StopRequest) -> dict[str, Any]:
    """The job: a line about each stage, and its seconds."""
    lines, times = [], {}
    for stage, seconds, said in small_stages(workspace, scratch, values, stop, SAMPLES):
        diverged = [f"  {line}" for line in said if line.startswith("warning: the training diverged")]
        lines += [f"{stage:<9} {seconds:.1f} s", *diverged]
        times[stage] = seconds
    return {"lines": lines, "seconds": times}


def small_stages(
    workspace: Path, scratch: Path, values: Mapping[str, Any], stop: StopRequest, most: int
) -> Iterator[tuple[str, float, list[str]]]:
    """Run the stages in a scratch folder, one after the other; of each its name, its seconds and what it said.

    Args:
        values: all of params.yaml, plain.
        most: samples of a split.

    Raises:
        UserError: as the stage would raise it, with its name.
        Interrupted: if it was stopped.
    """
    from samebits.stage import load_body, sections_of
    from samebits.tracking.journal.tracker import NullTracker

    small = copy.deepcopy(dict(values))
    merge(small, _SMALL)
    for key in ("batch_size", "micro_batch_size"):
        if small["train"][key]:
            small["train"][key] = min(small["train"][key], _BATCH)
    params = parse_params(small)
    project = ScratchProject(workspace, scratch)
    for stage in STAGES:
        context = QuietContext(stage, project, params.runtime, NullTracker(), stop)
        began = time.monotonic()
        body = load_body(BODIES[stage])
        few = {"most": most} if stage == "prepare" else {}
        try:
            body(*(params.sections[section] for section in sections_of(body)), context=context, **few)
        except UserError as error:
            raise UserError(f"{stage}: {error.problem}", error.fix) from None
        yield stage, time.monotonic() - began, context.log


if __name__ == "__main__":
    raise SystemExit(do_job(run_stages))
