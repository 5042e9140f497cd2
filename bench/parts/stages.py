"""Where the time of `dvc repro` goes: each stage, DVC itself and MLflow's sender, of recipes of several kinds."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from parts import workspaces
from parts.base import _TIED, BENCH, ROOT, Options, Row, _busy, others, spread, summary, table

STAGES = ("prepare", "train", "evaluate", "export")
DVC, MLFLOW = "DVC", "MLflow"
NAMES = (*STAGES, DVC, MLFLOW)
RECIPES = ("mnist", "bikeshare", "gutenberg_authors", "gutenberg_gpt", "spam_bert")
"""Images, a table, texts, a language model, a pretrained one. Their data are fetched before the clock runs."""

_QUICK = {"data": {"limit_per_class": 40}, "train": {"epochs": 1}}
_ADOPT = 36
"""PR_SET_CHILD_SUBREAPER: a sender that outlives its stage becomes our child, whose CPU time we are told."""


def measure(options: Options) -> dict[str, Any]:
    """One `dvc repro` of each recipe a round, in a fresh project: nothing is cached, MLflow's store is new."""
    if ctypes.CDLL(None, use_errno=True).prctl(_ADOPT, 1, 0, 0, 0):
        raise SystemExit("this needs Linux: the CPU time of MLflow's sender would not be known")
    rows: list[Row] = []
    for number in range(options.rounds):
        for recipe in RECIPES[:1] if options.quick else options.recipes or RECIPES:
            found = _repro(recipe, _QUICK if options.quick else {})
            rows += [{"subject": recipe, "round": number, **row} for row in found]
            print(f"{recipe}: {json.dumps(found)}", flush=True)
    return {"rows": rows}


def _repro(recipe: str, override: dict[str, Any]) -> list[Row]:
    folder = workspaces.workspace(f"stages-{recipe}", recipe, override)
    shutil.copy(ROOT / "data" / "corrections.csv", folder / "data")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_TIED)}
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=folder, env=kept, check=True)
    source = (folder / "params.yaml").read_text(encoding="utf-8").partition("source: ")[2].split()[0]
    if source.startswith("data/catalog/"):
        command = [sys.executable, "-m", "samebits.cli.main", "fetch", Path(source).stem]
        subprocess.run(command, cwd=folder, env=kept, check=True, stdout=subprocess.DEVNULL)
    notes, shims = folder / ".samebits" / "timed.jsonl", folder / ".samebits" / "bin"
    shims.mkdir(parents=True)
    shim = shims / "python"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{BENCH}/ours/timed.py" "{notes}" "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    machine, started = _busy(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=folder,
        env=kept | {"PATH": os.pathsep.join([str(shims), kept["PATH"]])},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"dvc repro of {recipe} ended with exit code {process.returncode}: {folder}")
    sent = _adopted()
    busy = _busy() - machine
    rows: list[Row] = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    whole = used.ru_utime + used.ru_stime
    dvc = {
        "name": DVC,
        "seconds": seconds - sum(row["seconds"] for row in rows),
        "cpu_seconds": whole - sum(row["cpu_seconds"] for row in rows),
        "others_cores": round(max(0.0, busy - whole - sent) / (time.perf_counter() - started), 2),
    }
    shutil.rmtree(folder, ignore_errors=True)
    return [*rows, dvc, {"name": MLFLOW, "cpu_seconds": sent}]


def _adopted() -> float:
    """CPU seconds of the processes that outlived their parents, once they have ended."""
    found = 0.0
    while True:
        try:
            _, _, used = os.wait4(-1, 0)
        except ChildProcessError:
            return found
        found += used.ru_utime + used.ru_stime


def share(rows: list[Row], recipe: str) -> float:
    """CPU seconds of everything but training, over those of training."""
    medians = {name: summary(rows, name, "cpu_seconds", recipe)[0] for name in NAMES}
    return (sum(medians.values()) - medians["train"]) / medians["train"]


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    recipes = list(dict.fromkeys(row["subject"] for row in rows))
    n = summary(rows, "train", "cpu_seconds", recipes[0])[3]
    head = [f"n = {n}", *NAMES, "all but train / train"]
    cpu = [
        [
            f"`{recipe}`",
            *(spread(rows, name, "cpu_seconds", recipe, 1) for name in NAMES),
            f"{share(rows, recipe):.2f}",
        ]
        for recipe in recipes
    ]
    wall = [[f"`{recipe}`", *(spread(rows, name, "seconds", recipe, 1) for name in NAMES[:-1])] for recipe in recipes]
    slow = [
        f"`{recipe}` ({name})"
        for recipe in recipes
        for name in NAMES
        if name != "train"
        and statistics.median(_values(rows, name, recipe)) > statistics.median(_values(rows, "train", recipe))
    ]
    text = (
        "One `dvc repro` in a fresh project, its data already fetched: CPU seconds (user and system) of each stage's "
        "process, of DVC itself, and of the process that sends MLflow what was recorded, beside the stages. CPU "
        "seconds of other processes do not count; those of threads that wait for one another do."
    )
    return [
        "## A working day",
        "",
        text,
        "",
        *table(head, cpu),
        "",
        "Seconds on the clock, of the same runs:",
        "",
        *table(head[:-2], wall),
        "",
        f"More than its training takes: {', '.join(slow) or 'nothing'}. Other processes: {others(rows)} cores.",
    ]


def _values(rows: list[Row], name: str, recipe: str) -> list[float]:
    return [row["cpu_seconds"] for row in rows if row["name"] == name and row["subject"] == recipe]
