"""The figures of README.md: `dvc repro` of the committed recipe in a fresh clone, once a seed.

    python bench/mnist.py --seeds 5

Prints for each seed the test accuracy, the seconds of training and of the whole `dvc repro` (data at hand), then
means and ranges, the largest memory of any stage, and the seconds of `dvc repro` with nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from samebits.compute.cpu import available_cores, cpu_model

ROOT = Path(__file__).resolve().parents[1]


def repro(clone: Path) -> tuple[float, int]:
    """Run `dvc repro` there: wall-clock seconds, and the largest resident memory of a stage's process in bytes."""
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"], cwd=clone, env=environment, stdout=subprocess.DEVNULL
    )
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peak))
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - started
    watcher.join()
    if code:
        raise SystemExit(f"dvc repro ended with exit code {code}")
    return seconds, peak[0]


def _watch(top: psutil.Process, peak: list[int]) -> None:
    while top.is_running() and top.status() != psutil.STATUS_ZOMBIE:
        try:
            for child in top.children(recursive=True):
                if any("stages" in word for word in child.cmdline()):
                    peak[0] = max(peak[0], child.memory_info().rss)
        except psutil.Error:
            continue
        time.sleep(0.1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=5)
    seeds = arguments.parse_args().seeds
    print(
        f"{cpu_model()}, {available_cores()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        params = (clone / "params.yaml").read_text()
        for seed in range(seeds):
            (clone / "params.yaml").write_text(params.replace("\nseed: 0\n", f"\nseed: {seed}\n"))
            seconds, peak = repro(clone)
            test = json.loads((clone / "reports/evaluation/metrics.json").read_text())["test"]
            times = json.loads((clone / ".samebits/times.json").read_text())
            training = times["train"]["seconds"]
            rows.append((test["accuracy"], training, seconds, peak))
            print(f"seed {seed}: accuracy {test['accuracy']:.4f}, train {training:.1f} s, repro {seconds:.1f} s")
        nothing = [repro(clone)[0] for _ in range(5)]
    for name, column in (("accuracy", 0), ("train seconds", 1), ("repro seconds", 2)):
        values = [row[column] for row in rows]
        print(f"{name}: mean {statistics.mean(values):.4f}, median {statistics.median(values):.4f}, "
              f"{min(values):.4f} to {max(values):.4f}, n = {len(values)}")  # fmt: skip
    print("(the first repro also prepares the data)")
    print(f"largest memory of a stage: {max(row[3] for row in rows) / 2**20:.0f} MiB")
    print(f"nothing to do: median {statistics.median(nothing):.2f} s, {min(nothing):.2f} to {max(nothing):.2f}")


if __name__ == "__main__":
    main()
