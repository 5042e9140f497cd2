"""What every part of the benchmark shares: folders, one process at a time, rounds in rotated order, medians."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from samebits.compute.cpu import available_cores, cpu_design, cpu_flags, cpu_model

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
STATE = ROOT / ".bench"
RESULTS = BENCH / "results"
"""Raw results, committed: the pages can be written anew from parts that were measured at different times."""
_TELLING = {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16"}
"""Instruction sets that decide which precision and which kernels are fast."""
PEER_PYTHON = STATE / "venv" / "bin" / "python"

Row = dict[str, Any]

_OURS_LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "onnxruntime", "transformers", "mlflow")
_TIED = ("DVC_", "MLFLOW_", "SAMEBITS_", "OMP_", "MKL_", "GLIBC_", "PYTHON", "LD_PRELOAD")
"""Variables of the caller's that would change how a contender runs."""


@dataclass(frozen=True)
class Options:
    """How much to measure.

    Attributes:
        rounds: times that each contender runs.
        quick: a handful of steps, to see that all of it works; such numbers mean nothing and are kept apart.
        recipes: of the part `stages`; none are its own choice.
    """

    rounds: int
    quick: bool
    minutes: float
    recipes: tuple[str, ...] = ()

    def steps(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@dataclass(frozen=True)
class Contender:
    """One program that does the job.

    Attributes:
        command: its process.
        before: what must be done before each run, outside of the clock.
        stops: exit codes of a run that went well.
    """

    name: str
    command: Sequence[str | Path]
    folder: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    stops: tuple[int, ...] = (0,)


def alternate(contenders: Sequence[Contender], rounds: int, subject: str) -> list[Row]:
    """Every contender once a round, one process at a time, the order rotated by one from round to round."""
    rows: list[Row] = []
    for number in range(rounds):
        shift = number % len(contenders)
        for contender in [*contenders[shift:], *contenders[:shift]]:
            row = {"subject": subject, "name": contender.name, "round": number} | run(contender)
            rows.append(row)
            shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items() if k != "subject"}
            print(f"{subject}: {json.dumps(shown)}", flush=True)
    return rows


def clock(warmup_steps: int, warmup_seconds: float, steps: int, losses: tuple[int, int]) -> list[str]:
    """Arguments of bench/peers/clock.py."""
    values = {"--warmup-steps": warmup_steps, "--warmup-seconds": warmup_seconds, "--steps": steps}
    return [*(str(word) for pair in values.items() for word in pair), "--losses", *map(str, losses)]


def run(contender: Contender, timeout: float = 7200.0) -> Row:
    """Run one process to its end; what its last JSON line said, and how busy the machine was with other things."""
    if contender.before:
        contender.before()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_TIED)}
    machine, own = _busy(), _children()
    started = time.time()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [str(word) for word in contender.command],
            cwd=contender.folder,
            env=kept | {"BENCH_STARTED": repr(started)} | contender.environment,
            stdout=out,
            stderr=err,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        seconds = time.time() - started
        out.seek(0)
        err.seek(0)
        lines = [
            line for line in out.read().splitlines() if line.startswith('{"')
        ]  # JSON, not a dict that a peer prints
        tail = err.read()[-1500:]
    others = (_busy() - machine - (_children() - own)) / seconds
    facts = {"process_seconds": seconds, "others_cores": round(max(0.0, others), 2)}
    if code not in contender.stops or not lines:
        print(f"{contender.name}: exit code {code}\n{tail}", file=sys.stderr, flush=True)
        return {"failed": code, **facts}
    return json.loads(lines[-1]) | facts


def _busy() -> float:
    """CPU seconds that the whole machine has spent, those that the hypervisor took away included."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def summary(rows: Sequence[Row], name: str, key: str, subject: str | None = None) -> tuple[float, float, float, int]:
    """Median, smallest, largest and number of a value over a contender's runs; NaN where there is none."""
    values = [
        row[key]
        for row in rows
        if row["name"] == name and subject in (None, row["subject"]) and row.get(key) is not None
    ]
    if not values:
        return (float("nan"),) * 3 + (0,)
    return statistics.median(values), min(values), max(values), len(values)


def spread(rows: Sequence[Row], name: str, key: str, subject: str | None = None, digits: int = 0) -> str:
    """`median (min to max)`, or `failed`."""
    median, low, high, n = summary(rows, name, key, subject)
    return f"{median:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})" if n else "failed"


def ratio(rows: Sequence[Row], first: str, second: str, key: str, subject: str | None = None) -> float:
    """Median of the first over median of the second."""
    return summary(rows, first, key, subject)[0] / summary(rows, second, key, subject)[0]


def ratio_range(rows: Sequence[Row], first: str, second: str, key: str, subject: str | None = None) -> str:
    """The ratio of the medians and, in brackets, of each round by itself: `2.1 (1.9 to 2.3)`."""
    of = {
        each: {r["round"]: r[key] for r in rows if r["name"] == each and r["subject"] == subject and r.get(key)}
        for each in (first, second)
    }
    rounds = [value / of[second][number] for number, value in of[first].items() if of[second].get(number)]
    if not rounds:
        return "not measured"
    return f"{ratio(rows, first, second, key, subject):.2f} ({min(rounds):.2f} to {max(rounds):.2f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; numbers to the right but for the first column."""
    rule = ["---", *("---:" for _ in head[1:])]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def others(rows: Sequence[Row]) -> str:
    """How busy the machine was with other things, so that a reader can judge the numbers."""
    values = [row["others_cores"] for row in rows if "others_cores" in row]
    return f"{statistics.median(values):.2f} (at most {max(values):.2f})" if values else "unknown"


def processor() -> str:
    """The processor at hand as a folder's name: results of another machine stand beside its own."""
    return re.sub(r"[^a-z0-9]+", "-", (cpu_design() or platform.machine()).lower())


def facts() -> dict[str, Any]:
    """The machine and the versions that the numbers are of."""
    found = {}
    if PEER_PYTHON.exists():
        peers = subprocess.run([PEER_PYTHON, "-m", "pip", "freeze", "--all"], capture_output=True, text=True)
        lines = (line for line in peers.stdout.splitlines() if "==" in line)
        found = dict(line.lower().replace("_", "-").split("==", 1) for line in lines)
    wanted = {line.split("==")[0].lower() for line in requirements()}
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": f"{cpu_model()} ({cpu_design()})",
        "instructions": sorted(_TELLING & cpu_flags()),
        "cores": available_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
        "ours": {name: version(name) for name in _OURS_LIBRARIES},
        "peers": {name: found[name] for name in sorted(wanted & found.keys())},
        "commit": subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip(),
    }


def requirements() -> list[str]:
    lines = (BENCH / "peers" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
