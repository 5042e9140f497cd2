"""What portable arithmetic costs per recipe: `python bench/portable.py [--rounds 3] [--threads 1]
[--only RECIPE,RECIPE]`.

Each round trains the same steps of each recipe in four ways, each in a process of its own, in rotated order: the
fastest that this machine has (`strict`, `precision: auto`), `strict` in fp32, `portable` and `portable-v4`. A row of
`bench/results/portable.json` has the processor it was measured on; rows of other processors stay.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from parts.base import RESULTS, ROOT

from samebits.base.files import read_json, write_json
from samebits.base.launch import environment
from samebits.base.paths import Project
from samebits.compute.arithmetic import ARITHMETIC, unsupported
from samebits.compute.cpu import cores, cpu_design, cpu_model
from samebits.provenance.golden.recipe_copy import UnavailableError, prepared_copy
from samebits.provenance.verify.copies import change_params, clean_environment
from samebits.training.launch import arithmetic_variables

WAYS = {
    "auto": {"reproducibility": "strict", "train": {"precision": "auto"}},
    "fp32": {"reproducibility": "strict", "train": {"precision": "fp32"}},
    "portable": {"reproducibility": "portable", "train": {"precision": "fp32"}},
    "portable-v4": {"reproducibility": "portable-v4", "train": {"precision": "fp32"}},
}
STEPS = {
    "mnist": 80,
    "bikeshare": 80,
    "gutenberg_authors": 60,
    "image_folder": 12,
    "fashion_mnist": 12,
    "pretrain_resnet18": 12,
    "gutenberg_gpt": 8,
    "spam_bert": 6,
}
FILE = RESULTS / "portable.json"


def seconds(copy: Path, way: str, steps: int, threads: int) -> float:
    """Median seconds per step of one process: of its CPU on one thread, else of the clock."""
    changes: dict[str, Any] = WAYS[way]
    settings = changes["train"] | {"threads": threads, "bucket_by_length": None}
    change_params(copy, changes | {"train": settings, "runtime": {"workers": 0}})
    variables = environment(arithmetic_variables(copy / "params.yaml"))
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "ours" / "step_seconds.py"), str(steps)],
        cwd=copy,
        env=clean_environment() | variables | {"PYTHONPATH": str(ROOT / "src")},
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    cpu, wall = json.loads(done.stdout.splitlines()[-1])
    return float(cpu if threads == 1 else wall)


def measure(recipe: str, rounds: int, threads: int) -> dict[str, list[float]]:
    """Milliseconds per step of each way, one number per round."""
    ways = [way for way in WAYS if way not in ARITHMETIC or unsupported(way) is None]
    found: dict[str, list[float]] = {way: [] for way in ways}
    with prepared_copy(Project(ROOT, ROOT), recipe) as copy:
        for number in range(rounds):
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                found[way].append(round(1000 * seconds(copy, way, STEPS[recipe], threads), 2))
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--only", default=",".join(STEPS))
    given = arguments.parse_args()
    rows = read_json(FILE) if FILE.is_file() else []
    for recipe in given.only.split(","):
        try:
            found = measure(recipe, given.rounds, given.threads)
        except UnavailableError as error:
            print(f"{recipe}: not measured: {error.problem}")
            continue
        medians = {way: statistics.median(values) for way, values in found.items()}
        cells = [f"{way} {medians[way]:.1f} ({min(found[way]):.1f} to {max(found[way]):.1f})" for way in found]
        print(f"{recipe}: ms per step: {', '.join(cells)}", flush=True)
        row = {"recipe": recipe, "cpu": cpu_model(), "design": cpu_design(), "cores": cores(), "threads": given.threads,
               "load": os.getloadavg()[0], "when": f"{datetime.now(UTC):%Y-%m-%d}", "milliseconds": found}  # fmt: skip
        same = ("recipe", "design", "cores", "threads")
        rows = [each for each in rows if any(each[key] != row[key] for key in same)] + [row]
        write_json(FILE, sorted(rows, key=lambda each: (each["design"], each["threads"], each["recipe"])))


if __name__ == "__main__":
    main()
