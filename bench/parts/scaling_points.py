"""The log of a million metric points: what it costs the process that trains, and what the sender does with it."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from parts import workspaces
from parts.base import BENCH, Options, Row, summary, table
from parts.measured import measure

ON, OFF = "logged", "not logged"
_TOTALS = ("journal_mib", "delivered")


def points(options: Options) -> dict[str, Any]:
    count = 20_000 if options.quick else 1_000_000
    rows: list[Row] = []
    project = workspaces.workspace("scale-points", "mnist", {})
    command = [sys.executable, BENCH / "ours" / "points.py", project, "--points", count]
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for number in range(options.rounds):
        for name in (ON, OFF) if number % 2 else (OFF, ON):
            arguments = ["--off"] if name == OFF else []
            row = measure([*command, *arguments], environment=environment)
            if name == ON:
                row |= _sender(project, options)
            rows.append({"subject": "points", "name": name, "round": number} | row)
            print(rows[-1], flush=True)
    return {"rows": rows, "points": count}


def _sender(project: Path, options: Options) -> Row:
    """What the sender takes until it ends, or for as long as we wait: CPU seconds, its memory, points delivered."""
    import sqlite3

    deadline = time.monotonic() + (60 if options.quick else 150)
    found: Row = {"sender_cpu": 0.0, "sender_mib": 0.0}
    began = time.monotonic()
    while time.monotonic() < deadline:
        senders = [p for p in psutil.process_iter(["cmdline"]) if _is_sender(p, project)]
        if not senders:
            break
        for process in senders:
            with contextlib.suppress(psutil.Error):
                used = process.cpu_times()
                found["sender_cpu"] = max(found["sender_cpu"], used.user + used.system)
                found["sender_mib"] = max(found["sender_mib"], process.memory_info().rss / 2**20)
        time.sleep(0.2)
    found["sender_seconds"] = time.monotonic() - began
    with contextlib.closing(sqlite3.connect(project / "mlruns" / "mlflow.db", timeout=60)) as database:
        found["delivered"] = database.execute("SELECT count(*) FROM metrics WHERE key LIKE 'train/%'").fetchone()[0]
    for process in psutil.process_iter(["cmdline"]):
        if _is_sender(process, project):  # the rest would take minutes; it may be killed at any moment
            process.kill()
    return found


def _is_sender(process: psutil.Process, project: Path) -> bool:
    words = process.info["cmdline"] or []
    return "samebits.tracking.upload.sender" in words and any(str(project) in word for word in words)


def _of_a_round(totals: list[float]) -> float:
    """What a round added to totals that grow by round."""
    return statistics.median(after - before for before, after in itertools.pairwise([0.0, *sorted(totals)]))


def render(found: dict[str, Any]) -> list[str]:
    rows = found["rows"]
    calls = summary(rows, ON, "calls")[0]
    on, off = (summary(rows, name, "loop_cpu") for name in (ON, OFF))
    body = [
        [name, *(f"{summary(rows, name, key)[0]:,.2f}" for key in ("loop_seconds", "loop_cpu", "longest_ms"))]
        for name in (ON, OFF)
    ]
    lines = [
        "## A million metric points",
        "",
        f"{found['points']:,} points in {calls:,.0f} calls of `metrics`, each after 4 products of 48×48 matrices (n = "
        f"{on[3]}, medians), in one thread: the sender has the other core to itself, and is what other processes used.",
        "",
        *table(["", "loop, s", "CPU of the process, s", "longest call, ms"], body),
        "",
    ]
    values = {key: summary(rows, ON, key)[0] for key in ("sender_cpu", "sender_mib", "sender_seconds", "close_seconds")}
    # The rounds share a project, so these two add up.
    values |= {key: _of_a_round([row[key] for row in rows if key in row and row["name"] == ON]) for key in _TOTALS}
    held = calls / summary(rows, ON, "loop_seconds")[0]
    lines.append(
        f"So {(on[0] - off[0]) / calls * 1e6:.1f} µs of CPU per call. The longest writes what a second has held back, "
        f"here {held:,.0f} calls. The journal is {values['journal_mib']:,.0f} MiB. The stage waits "
        f"{values['close_seconds']:.1f} s at its end, then the sender goes on by itself: {values['delivered']:,.0f} "
        f"points were in MLflow's SQLite store {values['sender_seconds']:.0f} s later, for "
        f"{values['sender_cpu']:.0f} s of its CPU and at most {values['sender_mib']:,.0f} MiB."
    )
    return lines
