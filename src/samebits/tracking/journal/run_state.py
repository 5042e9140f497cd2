"""What a record's events mean: which stages ran, how they ended, and what is known of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samebits.tracking.journal.journal import FROM_OUTPUTS, REPLAYED, Event, Segment, segments
from samebits.tracking.journal.record import ProcessId


@dataclass
class Attempt:
    """A process of a stage, as its segment records it; `status` is RUNNING until an `end` is read.

    Attributes:
        computed: it began to compute.
        refused: it ended before that, because of a wrong value or file.
    """

    stage: str
    process: ProcessId
    status: str = "RUNNING"
    time_ms: int = 0
    number: int = 0
    computed: bool = False
    refused: bool = False


@dataclass
class RunState:
    """The state of a run according to its journal, delivered or not."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    dataset: Event = field(default_factory=dict)
    name: str = ""
    replayed: dict[str, int] = field(default_factory=dict)

    def apply(self, event: Event, segment: Segment) -> None:
        kind = event["k"]
        if kind == "start":
            process = ProcessId(**event["process"])
            self.attempts[segment.name] = Attempt(event["stage"], process, "RUNNING", event["t"], segment.number)
            self.name = event["name"]
        elif kind == "end":
            attempt = self.attempts.get(event.get("of", segment.name))
            if attempt is not None:
                attempt.status, attempt.time_ms = event["status"], event["t"]
                attempt.refused = event.get("refused", False)
        elif kind == "computes":
            self.attempts[segment.name].computed = True
        elif kind in ("tags", "params", "summary"):
            known: dict[str, Any] = getattr(self, kind)
            known.update(event["v"])
            for name, value in event["v"].items() if kind == "tags" else ():
                if name.startswith(REPLAYED) and value == FROM_OUTPUTS:
                    self.replayed[name.removeprefix(REPLAYED)] = segment.number
        elif kind == "dataset":
            self.dataset = event

    def status(self) -> str:
        """RUNNING while a stage runs; else the worst end of the latest attempt at each stage.

        A broken attempt no longer counts once DVC had the stage's outputs after all (out of its run cache).
        """
        latest = {
            attempt.stage: attempt.status
            for attempt in self.attempts.values()
            if attempt.status == "RUNNING" or attempt.number > self.replayed.get(attempt.stage, 0)
        }
        return next((s for s in ("RUNNING", "FAILED", "KILLED") if s in latest.values()), "FINISHED")

    def should_create_run(self) -> bool:
        """Once a stage computes. Not while only `prepare` ran, which has no numbers to show, unless it failed; and not
        for a wrong value that a stage refused before it began."""
        return any(
            not a.refused and (a.status == "FAILED" or (a.stage != "prepare" and (a.computed or a.status != "RUNNING")))
            for a in self.attempts.values()
        )

    def status_key(self) -> str:
        """Status and time of the latest start or end: a stage may begin and end between two polls."""
        return f"{self.status()} {self.ended_ms()}"

    def ended_ms(self) -> int:
        return max((attempt.time_ms for attempt in self.attempts.values()), default=0)


def should_create_run(record: Path) -> bool:
    """Whether the journal in a record's folder is one that the store gets."""
    run_state = RunState()
    for segment in segments(record):
        for event in segment.events():
            run_state.apply(event, segment)
            if event["k"] in ("computes", "end") and run_state.should_create_run():
                return True
    return False
