"""What a stage works with beside its parameters."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from samebits.base.paths import Project
from samebits.base.signals import StopRequest

if TYPE_CHECKING:
    from samebits.params.runtime import RuntimeParams
    from samebits.tracking.journal.tracker import Tracker

STAGES = ("prepare", "train", "evaluate", "export")
"""In the order of the flow."""

FACTS = "reports/facts.json"
"""What the bits of the outputs in dvc.lock depend on (`tracking.facts` writes it; people commit it with dvc.lock)."""

TIMES = "times.json"
"""Below `.samebits`: stage to the seconds of its last run in this working tree, and the MD5 of that run's record."""


@dataclass(frozen=True)
class StageContext:
    """What a stage works with beside its parameters.

    Attributes:
        name: prepare, train, evaluate or export.
        tracker: records metrics and artefacts; never fails a stage.
        stop: whether somebody asked to stop.
        log: the lines said so far.
    """

    name: str
    project: Project
    runtime: RuntimeParams
    tracker: Tracker
    stop: StopRequest
    log: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Print a line under the stage's name, and keep it for the run's log."""
        if not is_rank_zero():
            return  # the first process says it
        self.log.append(line)
        print(f"{self.name}: {line}", flush=True)


def is_rank_zero() -> bool:
    """Whether this process records and writes; the others only compute (torchrun's RANK, and ours)."""
    return os.environ.get("RANK", "0") == "0"
