"""Memory of each process of a model that is cut (`train.shard`): `python bench/large_models.py [--rounds 3]`.

A gpt is trained for a few steps on made-up text, in 1, 2 and 4 processes of this machine, whole (`train.elastic`) and
cut. Every 5 ms the anonymous pages of each process are read; a process counts with its largest value. The table in
docs/large-models.md is between its marks in that page; raw results lie in `bench/results/large_models.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import torch
from parts.base import RESULTS, ROOT
from ruamel.yaml import YAML

from samebits.base.files import write_bytes, write_json
from samebits.compute.cpu import cores, cpu_model
from samebits.provenance.verify.copies import change_params, clean_environment

FILE = RESULTS / "large_models.json"
PAGE = ROOT / "docs" / "large-models.md"
MARKS = ("<!-- measured -->\n", "<!-- end -->")
WAYS: dict[str, dict[str, Any]] = {
    "whole": {"shard": False, "checkpoint_activations": False},
    "cut": {"shard": True, "checkpoint_activations": False},
}
CASES = [("whole", 1), ("cut", 1), ("cut", 2), ("cut", 4)]
WORDS = ("the", "sea", "was", "calm", "and", "a", "whale", "turned", "in", "it", "slowly", "while", "nobody")


def make_project(folder: Path, layers: int, width: int) -> None:
    """A project with prepared text, in `folder`."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, folder], check=True)
    books = folder / "data" / "raw" / "books"
    books.mkdir(parents=True)
    drawn = random.Random(1)
    lines = (" ".join(drawn.choices(WORDS, k=40)) for _ in range(200))
    (books / "sea.txt").write_text("".join(f"{line.capitalize()}.\n\n" for line in lines))
    parts = {"validation_fraction": 0.2, "test_fraction": 0.2}
    text = {"tokenizer": "bpe", "length": 64, "vocabulary": 300}
    settings = {"epochs": 2, "batch_size": 32, "micro_batch_size": 4, "elastic": True, "threads": 1}
    replace(
        folder,
        data={"source": "data/raw/books", "format": "running_text", "text": text} | parts,
        task={"name": "language_model"},
        model={"name": "gpt", "layers": layers, "heads": 8, "width": width},
        augment={},
        train=settings | {"precision": "fp32", "gradient_clip": 1.0, "optimizer": {"name": "adamw", "lr": 0.001}},
    )
    done = subprocess.run([sys.executable, "stages/prepare.py"], cwd=folder, env=clean_environment())
    if done.returncode:
        raise SystemExit("prepare failed")


def replace(folder: Path, **sections: Any) -> None:
    """Set whole sections of params.yaml."""
    yaml, file = YAML(), folder / "params.yaml"
    params = yaml.load(file.read_text(encoding="utf-8"))
    params.update(sections)
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(params, stream)


def run(folder: Path, way: str, processes: int) -> dict[str, Any]:
    """One training: the largest own memory of each process in MiB, rank 0 first, and what it wrote."""
    runtime = {"tracking": {"enabled": False}, "progress": "off", "resume": "never", "processes": processes}
    change_params(folder, {"train": WAYS[way], "runtime": runtime})
    stage = subprocess.Popen([sys.executable, "stages/train.py"], cwd=folder, env=clean_environment())
    peaks: dict[int, int] = {}
    watcher = threading.Thread(target=watch, args=(stage, peaks))
    watcher.start()
    if stage.wait():
        raise SystemExit(f"{way}, {processes} processes: exit code {stage.returncode}")
    watcher.join()
    found = [peaks.pop(stage.pid), *sorted((each for each in peaks.values()), reverse=True)][:processes]
    weights = (folder / "models" / "checkpoint" / "model.safetensors").read_bytes()
    curves = (folder / "reports" / "train" / "curves.csv").read_bytes()
    return {"mib": [each / 1024 for each in found], "bytes": hashlib.sha256(weights + curves).hexdigest()}


def watch(stage: subprocess.Popen[bytes], peaks: dict[int, int]) -> None:
    """The largest anonymous memory of a process and its children, in KiB, by their number."""
    top = psutil.Process(stage.pid)
    while stage.poll() is None:
        with contextlib.suppress(psutil.Error):
            for each in (top, *top.children(recursive=True)):
                with contextlib.suppress(OSError, StopIteration):
                    lines = Path(f"/proc/{each.pid}/status").read_text().splitlines()
                    now = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
                    peaks[each.pid] = max(peaks.get(each.pid, 0), now)
        time.sleep(0.005)


def table(found: dict[str, Any]) -> str:
    """The table of the page."""
    lines = [
        "| way | processes | largest own memory, MiB | of it beyond that of a tiny model |",
        "|---|---:|---:|---:|",
    ]
    for row in found["rows"]:
        most = [max(each) for each in row["mib"]]
        lines.append(
            f"| {row['way']} | {row['processes']} | {statistics.median(most):,.0f} ({min(most):,.0f} to "
            f"{max(most):,.0f}) | {statistics.median(most) - found['base']:,.0f} |"
        )
    return "\n".join(lines) + f"\n\n{found['note']}\n"


def main() -> None:
    """Measure, keep the results and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="samebits-large-") as scratch:
        folder = Path(scratch) / "project"
        make_project(folder, 1, 16)
        base = statistics.median(max(run(folder, "whole", 1)["mib"]) for _ in range(options.rounds))
        replace(folder, model={"name": "gpt", "layers": options.layers, "heads": 8, "width": options.width})
        rows: list[dict[str, Any]] = [{"way": way, "processes": n, "mib": [], "bytes": []} for way, n in CASES]
        for _ in range(options.rounds):
            for row in rows:
                found = run(folder, row["way"], row["processes"])
                row["mib"].append(found["mib"])
                row["bytes"].append(found["bytes"])
                print(f"{row['way']}, {row['processes']}: {max(found['mib']):,.0f} MiB", flush=True)
        weights = (folder / "models" / "checkpoint" / "model.safetensors").stat().st_size
    for cut in (False, True):
        if len({each for row in rows if (row["way"] != "whole") is cut for each in row["bytes"]}) != 1:
            raise SystemExit(f"the bytes differ, {'cut' if cut else 'whole'}")
    note = (
        f"Anonymous pages of the process that has most, sampled every 5 ms: median of {options.rounds} runs, and their "
        f"range; the model's weights are {weights / 2**20:,.0f} MiB in float32 (gpt, {options.layers} layers, width "
        f"{options.width}), AdamW, 8 micro-batches of 4 rows of 64 tokens, a process without a model "
        f"{base:,.0f} MiB. The rows that are cut have the same bytes, and so have those that are whole. "
        f"{datetime.now(UTC):%d %b %Y}, {cpu_model()}, {cores()} cores, torch {torch.__version__}, "
        "`python bench/large_models.py`."
    )
    found = {"base": base, "rows": rows, "note": note}
    write_json(FILE, found)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    write_bytes(PAGE, f"{before}{MARKS[0]}{table(found)}{MARKS[1]}{rest.partition(MARKS[1])[2]}".encode())


if __name__ == "__main__":
    main()
