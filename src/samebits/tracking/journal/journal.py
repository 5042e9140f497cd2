"""The journal: what a stage wants recorded, one JSON object a line, in a file of its own a process.

A writer appends whole lines with one `write` each, so that a killed process leaves nothing but, at worst, a
torn last line. Readers take whole lines only and skip what does not parse.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Event = dict[str, Any]
"""One line. `k` is its kind, `t` the time in milliseconds since 1970; the rest depends on the kind."""

_READ_AT_ONCE = 4 << 20

REPLAYED, FROM_OUTPUTS, RAN_AFTER_ALL = "samebits.replayed.", "from its DVC outputs", "no: it ran after all"
"""The tag (before a stage's name) that says where a skipped stage's numbers come from, and its values."""


class JournalWriter:
    """Appends events to one segment. What was appended survives a SIGKILL; after `sync`, a power cut, too."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._torn = False

    def append(self, kind: str, **fields: Any) -> None:
        """Write one event of now; see `write`."""
        self.write([{"k": kind, "t": time.time_ns() // 1_000_000, **fields}])

    def write(self, events: list[Event]) -> None:
        """Write events, whole lines in one call to the system.

        Raises:
            OSError: if not all of it was written (a full disk).
            ValueError: for NaN or infinity.
        """
        lines = [json.dumps(e, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n" for e in events]
        # A half line of before ends here; readers skip it.
        # What was no text to begin with (a name or an argument in another encoding) is a `?` in it.
        data = ("\n" * self._torn + "".join(lines)).encode(errors="replace")
        self._torn = True
        if os.write(self._handle, data) != len(data):
            raise OSError(f"{self.path}: the disk took only a part of the lines")
        self._torn = False

    def sync(self) -> None:
        """Wait until the disk has what was appended."""
        os.fsync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


@dataclass(frozen=True)
class Segment:
    """One process's file of a record's journal.

    Attributes:
        path: `<record>/journal/<number>-<writer>.jsonl`; numbers give the order of starting.
    """

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def writer(self) -> str:
        """The stage's name, or `sender`."""
        return self.name.partition("-")[2]

    @property
    def number(self) -> int:
        return int(self.name.partition("-")[0])

    def read(self, offset: int = 0, until: int = 0) -> tuple[list[Event], int]:
        """The whole lines from a byte offset on, a few MiB at once, and the offset behind the last of them.

        Args:
            until: an offset behind `offset` that is not read past; else the file's end.
        """
        size = _READ_AT_ONCE if until <= offset else min(_READ_AT_ONCE, until - offset)
        with self.path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
            # A line longer than what is read at once.
            while b"\n" not in data and (more := file.read(size)):
                data += more
        whole = data.rfind(b"\n") + 1
        return list(parse_lines(data[:whole])), offset + whole

    def events(self) -> Iterator[Event]:
        """All events of the segment."""
        offset = 0
        while True:
            events, behind = self.read(offset)
            yield from events
            if behind == offset:
                return
            offset = behind

    def first(self) -> Event:
        """The first event; empty without one."""
        with self.path.open("rb") as file:
            return next(parse_lines(file.readline()), {})

    def last(self) -> Event:
        """The last whole event; empty without one that ends in the last 64 KiB."""
        with self.path.open("rb") as file:
            end = self.end()
            file.seek(max(0, end - 65536))
            *_, last = [{}, *parse_lines(file.read(end - file.tell()))]
        return last

    def end(self) -> int:
        """Offset behind the last whole line."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            position = size
            while position > 0:
                start = max(0, position - 65536)
                file.seek(start)
                newline = file.read(position - start).rfind(b"\n")
                if newline >= 0:
                    return start + newline + 1
                position = start
        return 0


def parse_lines(data: bytes) -> Iterator[Event]:
    """Events of whole lines; a line that is no JSON object (torn by a kill or a full disk) is left out."""
    for line in data.splitlines():
        if not line:
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "k" in event:
            yield event


def segments(record: Path) -> list[Segment]:
    """The segments of a record, oldest first."""
    found = [Segment(path) for path in (record / "journal").glob("[0-9]*-*.jsonl")]
    return sorted(found, key=lambda segment: segment.number)


def new_segment(record: Path, writer: str) -> JournalWriter:
    """Open the next segment. Callers hold the lock of the records, so that numbers are unique."""
    present = segments(record)
    number = present[-1].number + 1 if present else 1
    return JournalWriter(record / "journal" / f"{number:03d}-{writer}.jsonl")
