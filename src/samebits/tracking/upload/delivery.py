"""From journal to store: how a record's events get there exactly once.

A delivery may be broken off anywhere and begun again from the acknowledged offsets. Points are compared with those
that the run already has; all else may be sent twice without harm.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from samebits.base.files import write_json
from samebits.tracking.journal.journal import Event, Segment
from samebits.tracking.journal.record import Record
from samebits.tracking.journal.run_state import RunState
from samebits.tracking.upload.description import describe
from samebits.tracking.upload.logged_model import ModelFacts, model_facts

PARAM_LIMIT, TAG_LIMIT, KEY_LIMIT = 6000, 8000, 250
"""MLflow's limits, in characters (mlflow/utils/validation.py)."""

_ENTRIES_AT_ONCE = 1000
_EVENTS_AT_ONCE = 10_000
"""Events decoded per batch."""


class StoreUnavailable(Exception):
    """The store does not answer, or refuses everybody: try again later."""


class StoreRefused(Exception):
    """The store answers and will never take this: leave it out."""


class RunGone(Exception):
    """The run was deleted, or the store is another one: record it anew."""


@dataclass(frozen=True)
class Point:
    name: str
    value: float
    step: int
    time_ms: int


@dataclass(frozen=True)
class Text:
    """A param or a tag; `kind` says which."""

    kind: str
    name: str
    value: str


Entry = Point | Text


@dataclass
class StoredRun:
    """What the store has of a run.

    Attributes:
        steps: the steps of each metric.
    """

    run_id: str
    params: dict[str, str] = field(default_factory=dict)
    steps: dict[str, set[int]] = field(default_factory=dict)


class Store(Protocol):
    """Where records go. Methods raise StoreUnavailable, StoreRefused or RunGone, and may be called twice."""

    uri: str

    def open_run(self, run_id: str, key: str, name: str, experiment: str, start_ms: int) -> StoredRun:
        """The run of this id or, without one, the run tagged `samebits.record` = key, made where it is missing."""

    def log(self, run_id: str, entries: list[Entry]) -> None:
        """Add points, params and tags, at most 1,000 together."""

    def add_artifact(self, run_id: str, path: Path, folder: str) -> None: ...

    def add_dataset(self, run_id: str, event: Event) -> None: ...

    def log_model(self, run_id: str, facts: ModelFacts) -> None:
        """Make the run's model, or bring it up to date with the run's metrics."""

    def set_status(self, run_id: str, status: str, time_ms: int, name: str) -> None: ...


@dataclass(frozen=True)
class PendingRange:
    """Undelivered lines of a segment, decoded only when they are sent: a million points take no memory before."""

    segment: Segment
    begin: int
    behind: int

    def events(self) -> Iterator[Event]:
        begin = self.begin
        while begin < self.behind:
            events, behind = self.segment.read(begin, self.behind)
            if behind == begin:  # the file was cut
                return
            yield from events
            begin = behind


class Delivery:
    """Delivers one record. One at a time: the caller holds the record's sender lock."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.run_state = RunState()
        self.read_offsets: dict[str, int] = {}
        before = _read(record.folder / "sent.json")
        self.sent: dict[str, int] = before.get("offsets", {})
        self.problem = ""
        self._sent_status_key: str = before.get("standing", "")
        self._waiting: list[PendingRange] = []
        self._own_tags: dict[str, str] = {}
        self._run: StoredRun | None = None

    def read(self) -> bool:
        """Take new lines of the journal into the run state; undelivered ones wait. Returns whether there were any."""
        news = False
        for segment in self.record.segments():
            while True:
                begin = self.read_offsets.get(segment.name, 0)
                # Up to the acknowledged offset lines are only absorbed.
                events, behind = segment.read(begin, self.sent.get(segment.name, 0))
                if behind == begin:
                    break
                news = True
                self.read_offsets[segment.name] = behind
                delivered = behind <= self.sent.get(segment.name, 0)
                for event in events:
                    self.run_state.apply(event, segment)
                if not delivered:
                    self._waiting.append(PendingRange(segment, begin, behind))
        return news

    @property
    def drained(self) -> bool:
        """Whether all that was read is delivered, or is not to be delivered by now."""
        return not self.run_state.should_create_run() or (
            not self._waiting and self._sent_status_key == self.run_state.status_key()
        )

    def send(self, store: Store) -> None:
        """Deliver what waits, the status, and remember how far that was.

        Raises:
            StoreUnavailable: what was not delivered still waits.
        """
        if not self.run_state.should_create_run():
            return
        try:
            run = self._open(store)
            self._send_entries(store, run)
            self._send_status(store, run)
            # Last, so that a store of files that fails keeps neither numbers nor status back.
            self._send_files(store, run)
        except RunGone:
            self._start_over()
            raise StoreUnavailable(f"the MLflow run of {self.record.key} is gone; it is recorded anew") from None
        self.problem = ""
        self.sent = dict(self.read_offsets)

    def _open(self, store: Store) -> StoredRun:
        if self._run is not None:
            return self._run
        place = _read(self.record.folder / "mlflow.json")
        known = place.get("run_id", "") if place.get("uri") == store.uri else ""
        if place and not known and self.sent:
            # Another store than the one that acknowledged: it gets all of it.
            self._start_over()
        start_ms = int(self.record.created * 1000)
        record = self.record
        self._run = store.open_run(known, record.key, self.run_state.name or record.name, record.experiment, start_ms)
        write_json(record.folder / "mlflow.json", {"uri": store.uri, "run_id": self._run.run_id})
        earlier = place.get("run_id", "")
        if earlier and earlier != self._run.run_id:
            self._own_tags["samebits.resumed_from"] = earlier
        return self._run

    def _start_over(self) -> None:
        place = _read(self.record.folder / "mlflow.json")
        write_json(self.record.folder / "mlflow.json", {"uri": "", "run_id": place.get("run_id", "")})
        self.run_state, self.read_offsets, self.sent = RunState(), {}, {}
        self._run, self._waiting, self._sent_status_key = None, [], ""
        self.read()

    def _send_entries(self, store: Store, run: StoredRun) -> None:
        events = self._events()
        while some := list(itertools.islice(events, _EVENTS_AT_ONCE)):
            self._send_some(store, run, some)
        self._log(store, run, [], {}, self._own_tags)
        self._own_tags = {}

    def _events(self) -> Iterator[Event]:
        """What waits, in order."""
        return (event for pending in self._waiting for event in pending.events())

    def _send_some(self, store: Store, run: StoredRun, events: list[Event]) -> None:
        points: list[Point] = []
        params: dict[str, str] = {}
        tags: dict[str, str] = {}
        for event in events:
            kind, values = event["k"], event.get("v", {})
            if kind in ("metrics", "summary"):
                points += self._new_points(event, run)
            elif kind == "params":
                for raw, whole in values.items():
                    name, value = clean_name(raw), shorten(whole, PARAM_LIMIT, "see params.yaml")
                    if run.params.setdefault(name, value) == value:
                        params[name] = value
                    else:
                        tags[clean_name(f"params.changed.{name}")] = shorten(value, TAG_LIMIT)
            elif kind == "tags":
                tags |= {clean_name(name): shorten(value, TAG_LIMIT) for name, value in values.items()}
            elif kind == "end" and event["status"] != "FINISHED":
                tags["samebits.error"] = shorten(f"{event['stage']}: {event.get('error', '')}", TAG_LIMIT)
        self._log(store, run, points, params, tags)

    def _send_files(self, store: Store, run: StoredRun) -> None:
        for event in self._events():
            try:
                if event["k"] == "artifact" and (path := self.record.folder / event["file"]).is_file():
                    store.add_artifact(run.run_id, path, event["folder"])
                elif event["k"] == "dataset":
                    store.add_dataset(run.run_id, event)
            except StoreRefused as error:
                print(f"left out: {event}: {error}", flush=True)
        self._waiting = []

    def _new_points(self, event: Event, run: StoredRun) -> Iterable[Point]:
        for raw, value in event["v"].items():
            name, step = clean_name(raw), int(event["step"])
            steps = run.steps.setdefault(name, set())
            # A final value that is also the end of a curve adds no point to the curve.
            if step in steps or (event["k"] == "summary" and steps):
                continue
            steps.add(step)
            yield Point(name, float(value), step, int(event["t"]))

    def _log(
        self, store: Store, run: StoredRun, points: list[Point], params: dict[str, str], tags: dict[str, str]
    ) -> None:
        entries: list[Entry] = [*points, *(Text("param", *p) for p in params.items())]
        entries += [Text("tag", *t) for t in tags.items()]
        try:
            for begin in range(0, len(entries), _ENTRIES_AT_ONCE):
                self._log_some(store, run.run_id, entries[begin : begin + _ENTRIES_AT_ONCE])
        except Exception:
            # Whether the broken batch arrived is unknown: ask the store when it answers again.
            self._run = None
            raise

    def _log_some(self, store: Store, run_id: str, entries: list[Entry]) -> None:
        """Send a batch. If it is refused it is halved, down to the one entry that the store won't take."""
        try:
            store.log(run_id, entries)
        except StoreRefused as error:
            if len(entries) == 1:
                print(f"left out: {entries[0]}: {error}", flush=True)
                return
            middle = len(entries) // 2
            self._log_some(store, run_id, entries[:middle])
            self._log_some(store, run_id, entries[middle:])

    def _send_status(self, store: Store, run: StoredRun) -> None:
        if (status_key := self.run_state.status_key()) == self._sent_status_key:
            return
        run_state = self.run_state
        note = shorten(describe(run_state.tags, run_state.summary, run_state.dataset, run.run_id), TAG_LIMIT)
        self._log(store, run, [], {}, {"mlflow.note.content": note})
        # With a stage's end: before that, its numbers are not all there.
        if run_state.status() != "RUNNING" and (facts := model_facts(run_state)) is not None:
            try:
                store.log_model(run.run_id, facts)
            except StoreRefused as error:
                print(f"left out: the run's model: {error}", flush=True)
        store.set_status(run.run_id, self.run_state.status(), self.run_state.ended_ms(), self.run_state.name)
        self._sent_status_key = status_key

    def acknowledge(self, tried: float) -> None:
        """Write `sent.json`, which stages wait for; `tried` is the time of the latest try."""
        value = {"offsets": self.sent, "problem": self.problem, "tried": tried, "standing": self._sent_status_key}
        temporary = self.record.folder / ".sent.json.tmp"
        temporary.write_text(json.dumps(value), encoding="utf-8")
        # Without an fsync: after a power cut, an older file means that points are compared once more.
        temporary.replace(self.record.folder / "sent.json")


def clean_name(name: str) -> str:
    """A name that MLflow takes: letters, digits and `_-. :/`, no empty path part, at most 250 characters."""
    cleaned = re.sub(r"[^\w\-. :/]", "_", name)
    cleaned = "/".join("_" if part in ("", ".", "..") else part for part in cleaned.split("/"))
    return cleaned[:KEY_LIMIT] or "_"


def shorten(value: str, limit: int, hint: str = "") -> str:
    """The value, or its beginning with a marker that says how long it was."""
    if len(value) <= limit:
        return value
    marker = f"… [{len(value)} characters{'; ' + hint if hint else ''}]"
    return value[: limit - len(marker)] + marker


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
