"""The first training steps of a workspace, one loss each, as exact numbers.

    python -m samebits.provenance.golden.loss_trace 50 trace.json    beside params.yaml and data/prepared

It is the train stage itself that runs, with a tracker that writes the losses down and asks to stop after the last one.
The state after it is left where an interrupted training leaves it, below `.samebits/resume`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samebits.base.errors import EXIT_USER_ERROR, Interrupted, UserError
from samebits.base.files import json_bytes, read_json, write_json
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.base.terminal import escape_unprintable
from samebits.params.schema import Params, read_params
from samebits.pipeline.context import StageContext, is_rank_zero
from samebits.provenance.verify.copies import run_module
from samebits.stage import load_body, sections_of
from samebits.tracking.journal.tracker import NullTracker

TRAIN = "samebits.training.train:train"
FORMAT = 1


class _LossRecorder(NullTracker):
    """Keeps the loss of each step; the last one asks the training to stop."""

    def __init__(self, last: int, stop: StopRequest) -> None:
        self.losses: dict[int, float] = {}
        self._last, self._stop = last, stop

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        if "train/loss" in values:
            self.losses[step] = values["train/loss"]
        if step >= self._last:
            self._stop.requested = True


def trace_steps(workspace: Path, steps: int) -> dict[str, Any]:
    """Train `steps` steps from the start.

    Returns:
        losses: the mean loss of each step's batch as a hex float; facts and kind: of this environment; data and
        params: digests of what was trained on and with.

    Raises:
        UserError: for parameters or data that the train stage refuses.
    """
    from samebits.compute.hardware import hardware_kind, pick_device
    from samebits.tracking.environment.facts import environment_facts
    from samebits.training import curve

    project = Project(workspace, workspace)
    params = read_params(project.params_file)
    body = load_body(TRAIN)
    stop = StopRequest()
    recorder = _LossRecorder(steps, stop)
    context = StageContext("train", project, params.runtime, recorder, stop)
    points, curve.CURVE_POINTS = curve.CURVE_POINTS, sys.maxsize
    try:
        body(*(params.sections[section] for section in sections_of(body)), context=context)
    except Interrupted:
        pass  # after the last step, as was asked for
    finally:
        curve.CURVE_POINTS = points
    device = pick_device(params.runtime.device)
    return {
        "format": FORMAT,
        "losses": [recorder.losses[step].hex() for step in sorted(recorder.losses)],
        "kind": hardware_kind(device),
        "facts": environment_facts(device),
        "params": params_digest(params),
        "data": read_json(project.prepared / "dataset.json")["digest"],
    }


def params_digest(params: Params) -> str:
    """SHA-256 over the sections that training reads, hex."""
    sections = {name: value for name, value in params.dump().items() if name in sections_of(load_body(TRAIN))}
    return hashlib.sha256(json_bytes(sections)).hexdigest()


def trace_in_process(workspace: Path, steps: int, source: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """`trace_steps` in a process of its own, with the code below `source` and what must be set before torch starts.

    Raises:
        UserError: with what that process said, if it fails.
    """
    file = workspace / ".samebits" / "trace.json"
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    arguments = (str(steps), str(file))
    run_module(
        "samebits.provenance.golden.loss_trace",
        *arguments,
        copy=workspace,
        environ=environ,
        source=source,
        what="the training steps",
    )
    trace: dict[str, Any] = read_json(file)
    return trace


def main() -> int:
    """Trace the workspace that is the current folder."""
    escape_unprintable()
    try:
        trace = trace_steps(Path.cwd(), int(sys.argv[1]))
        if is_rank_zero():
            write_json(Path(sys.argv[2]), trace)
    except UserError as error:
        print(error, file=sys.stderr)
        return EXIT_USER_ERROR
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
