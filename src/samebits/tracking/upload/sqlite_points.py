"""Metric points straight into the project's own SQLite store, in the tables that MLflow made.

MLflow's client makes an object of its ORM of each point, 0.09 ms of CPU: a million points took its sender 104 s. The
rows here are those that it writes. Points go through the client wherever that is not certain: another store than the
project's own, other columns than these, a name that MLflow has not taken yet, or a value that is no plain number.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from samebits.tracking.upload.delivery import Point, RunGone

_COLUMNS = {
    "metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
    "latest_metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
}
_WAIT_S = 30.0
_LARGEST_FLOAT = 1.7976931348623157e308
_LARGEST_INT = 1 << 1023
_INT64 = range(-(1 << 63), 1 << 63)

_INSERT = 'INSERT OR IGNORE INTO metrics ("key", value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)'
_LATEST = (
    'INSERT INTO latest_metrics ("key", value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?) '
    'ON CONFLICT ("key", run_uuid) DO UPDATE SET '
    "value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan "
    "WHERE (excluded.step, excluded.timestamp, excluded.value) > "
    "(latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)"
)


def takes(database: Path) -> bool:
    """Whether a store has exactly the columns that `insert` fills.

    Raises:
        sqlite3.Error: if it cannot be read.
    """
    with contextlib.closing(_connect(database)) as connection:
        return all(
            {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} == columns
            for table, columns in _COLUMNS.items()
        )


def is_plain(point: Point) -> bool:
    """Whether a point's numbers are of the types and within the bounds of the columns."""
    return (
        type(point.value) in (float, int)
        and type(point.step) is type(point.time_ms) is int
        and point.step in _INT64
        and 0 <= point.time_ms < _INT64.stop
        and (type(point.value) is float or abs(point.value) <= _LARGEST_INT)
    )


def insert(database: Path, run_id: str, points: Iterable[Point]) -> None:
    """Write plain points, in one transaction; those that are there already stay as they are.

    Raises:
        RunGone: if the run does not exist or was deleted.
        sqlite3.Error: if the store does not take them.
    """
    rows = [(each.name, *_stored(each.value), each.time_ms, each.step) for each in points]
    latest: dict[str, tuple[int, int, float, bool]] = {}
    for name, value, is_nan, time_ms, step in rows:
        held = latest.get(name)
        if held is None or (step, time_ms, value) > held[:3]:
            latest[name] = (step, time_ms, value, is_nan)
    with contextlib.closing(_connect(database)) as connection, connection:
        found = connection.execute("SELECT lifecycle_stage FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
        if found is None or found[0] != "active":
            raise RunGone(f"run {run_id} was deleted")
        connection.executemany(_INSERT, ((name, value, at, run_id, step, nan) for name, value, nan, at, step in rows))
        connection.executemany(
            _LATEST, ((name, value, at, run_id, step, nan) for name, (step, at, value, nan) in sorted(latest.items()))
        )


def _connect(database: Path) -> sqlite3.Connection:
    # `rw`: a store that was moved away is not made anew, empty.
    address = f"{database.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_WAIT_S, isolation_level="IMMEDIATE")


def _stored(value: float) -> tuple[float, bool]:
    """A number as MLflow stores it, and whether it is NaN."""
    if math.isnan(value):
        return 0.0, True
    return min(max(float(value), -_LARGEST_FLOAT), _LARGEST_FLOAT), False
