"""Wall-clock time to the same test accuracy: our recipes against PyTorch's MNIST example. Minutes to tens of them a
run."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from parts import workspaces
from parts.base import BENCH, PEER_PYTHON, Contender, Options, Row, others, run, table

from samebits.data.prepared import open_split
from samebits.verify.copies import change_params

OURS, PEER = "samebits", "PyTorch's MNIST example"
WANTED = {"mnist": ("MNIST", 0.994), "fashion_mnist": ("Fashion-MNIST", 0.93)}
_SHORTER: dict[str, dict[str, Any]] = {
    "fashion_mnist": {"model": {"widths": [16, 32, 64, 128]}, "train": {"epochs": 7, "ema_decay": 0.995}}
}
"""The recipe aims at 94 %; 93 % takes less of a model and fewer epochs (chosen on validation, 93.3 % after 5)."""


def measure(options: Options) -> dict[str, Any]:
    """A seed a round: our whole `train` as a process, then the peer's until it gets there, its end or the limit."""
    rows: list[Row] = []
    for recipe, (title, wanted) in WANTED.items():
        quick: dict[str, Any] = {"train": {"epochs": 1, "batch_size": 1024}}
        override = quick if options.quick else _SHORTER.get(recipe, {})
        folder = workspaces.workspace(f"accuracy-{recipe}", recipe, override)
        workspaces.stage(folder, "prepare")
        data = _arrays(folder / "data" / "prepared")
        for seed in range(options.rounds):
            for name in (OURS, PEER) if seed % 2 == 0 else (PEER, OURS):
                row = _ours(folder, seed, options) if name == OURS else _peer(data, wanted, seed, options)
                rows.append({"subject": title, "name": name, "round": seed} | row)
                print(json.dumps(rows[-1]), flush=True)
    return {"rows": rows}


def _ours(folder: Path, seed: int, options: Options) -> Row:
    change_params(folder, {"seed": seed})
    row = run(workspaces.ours(OURS, folder, "--whole", stops=(0,)))
    if "failed" in row:
        return row
    workspaces.stage(folder, "evaluate")
    test = json.loads((folder / "reports" / "evaluation" / "metrics.json").read_text(encoding="utf-8"))["test"]
    return row | {"seconds": row["process_seconds"], "accuracy": test["accuracy"]}


def _peer(data: Path, wanted: float, seed: int, options: Options) -> Row:
    script = [PEER_PYTHON, BENCH / "peers" / "tutorial.py", "--data", data, "--wanted", wanted, "--seed", seed]
    return run(Contender(PEER, [*script, "--minutes", options.minutes, "--epochs", options.steps(14, 1)]))


def _arrays(prepared: Path) -> Path:
    """Training, validation (a peer that holds none out learns from both) and test images as plain arrays."""
    folder = prepared.parent / "arrays"
    folder.mkdir(exist_ok=True)
    splits = {name: open_split(prepared, name, in_memory=True) for name in ("train", "validation", "test")}
    parts = {name: (split.rows(workspaces.everything(split)), split.targets) for name, split in splits.items()}
    learnt = [parts["train"], parts["validation"]]
    for prefix, pair in (("", [np.concatenate(each) for each in zip(*learnt, strict=True)]), ("test-", parts["test"])):
        for name, values in zip(("inputs", "targets"), pair, strict=True):
            np.save(folder / f"{prefix}{name}.npy", values, allow_pickle=False)
    return folder


def times(rows: list[Row], title: str) -> tuple[float, bool] | None:
    """How many times as fast ours is; and whether it is more, as not each run of the peer's got there."""
    mine, theirs = _finished(rows, title, OURS), _finished(rows, title, PEER)
    if not mine or not theirs:
        return None
    spent, took = (statistics.median(row["seconds"] for row in each) for each in (theirs, mine))
    return spent / took, any(row["reached"] is None for row in theirs)


def _finished(rows: list[Row], title: str, name: str) -> list[Row]:
    return [row for row in rows if row["subject"] == title and row["name"] == name and "accuracy" in row]


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    body = []
    for title, wanted in WANTED.values():
        mine, theirs, ratio = _finished(rows, title, OURS), _finished(rows, title, PEER), times(rows, title)
        if ratio is None:
            body.append([f"{title} {wanted:.1%}", "failed", "", "", "", "5×"])
            continue
        took = [row["seconds"] for row in mine]
        reached = [row["reached"] for row in theirs if row["reached"] is not None]
        spent = statistics.median(row["seconds"] for row in theirs)
        hit = sum(row["accuracy"] >= wanted for row in mine)
        body.append([
            f"{title} {wanted:.1%}",
            f"{statistics.median(took):.0f} s ({min(took):.0f} to {max(took):.0f})",
            f"{hit} of {len(mine)}; mean {statistics.mean(row['accuracy'] for row in mine):.2%}",
            f"{statistics.median(reached):.0f} s" if len(reached) == len(theirs) else f"not within {spent:.0f} s",
            f"{len(reached)} of {len(theirs)}; best {max(row['best'] for row in theirs):.2%} in "
            f"{max(row['epochs'] for row in theirs)} epochs",
            f"{'more than ' if ratio[1] else ''}{ratio[0]:.1f} (5×)",
        ])  # fmt: skip
    head = ["wanted", "ours, whole `train`", "reached it", "example", "reached it", "× (goal)"]
    text = (
        "Ours: the recipe `mnist`, and `fashion_mnist` with the widths 16, 32, 64, 128, 7 epochs and an `ema_decay` of "
        "0.995; the whole stage as a process, start-up included, judged once at its end on the 10,000 test images. "
        "PyTorch's MNIST example with its settings, MNIST's normalisation on both (14 epochs of all 60,000 images), is "
        "tested after each epoch, outside of its clock, and stopped where it first gets there, at its end, or at a "
        "limit of time. One seed a round."
    )
    return ["## Time to an accuracy", "", text, "", *table(head, body), "", f"Other processes: {others(rows)} cores."]
