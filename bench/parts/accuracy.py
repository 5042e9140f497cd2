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

from samebits.data.loading.prepared import open_split
from samebits.provenance.verify.copies import change_params

OURS, PEER = "samebits", "PyTorch's MNIST example"
WANTED = {"mnist": ("MNIST", 0.994), "fashion_mnist": ("Fashion-MNIST", 0.93)}
_SHORTER: dict[str, dict[str, Any]] = {
    "fashion_mnist": {"model": {"widths": [16, 32, 64, 128]}, "train": {"epochs": 7, "ema_decay": 0.995}}
}
"""The recipe aims at 94 %; 93 % takes less of a model and fewer epochs (chosen on validation, 93.3 % after 5)."""

_TEXT = """
Ours: the recipe `mnist`, the whole stage as a process, start-up included, evaluated once at its end on the 10,000 test
images: the mean of the seeds. PyTorch's MNIST example has its own settings, learns from all 60,000 images, is tested
after each epoch, outside of its clock, and stopped where it first gets there, at its end after 14 epochs, or at a limit
of time; its best epoch counts. One seed per round.
"""


def measure(options: Options, recipe: str = "mnist", epochs: int = 14, peers: int | None = None) -> dict[str, Any]:
    """A seed a round: our whole `train` as a process, then the peer's until it gets there, its end or the limit.

    Args:
        recipe: ours, on its data set.
        epochs: the most that the peer makes.
        peers: the number of rounds in which the peer takes part; None is all.
    """
    rows: list[Row] = []
    title, wanted = WANTED[recipe]
    quick: dict[str, Any] = {"train": {"epochs": 1, "batch_size": 1024}}
    folder = workspaces.workspace(f"accuracy-{recipe}", recipe, quick if options.quick else _SHORTER.get(recipe, {}))
    workspaces.stage(folder, "prepare")
    data = _arrays(folder / "data" / "prepared")
    for seed in range(options.rounds):
        both = (OURS, PEER) if seed % 2 == 0 else (PEER, OURS)
        for name in both if peers is None or seed < peers else (OURS,):
            row = _ours(folder, seed) if name == OURS else _peer(data, wanted, seed, epochs, options)
            rows.append({"subject": title, "name": name, "round": seed} | row)
            print(json.dumps(rows[-1]), flush=True)
    return {"rows": rows}


def _ours(folder: Path, seed: int) -> Row:
    change_params(folder, {"seed": seed})
    row = run(workspaces.ours(OURS, folder, "--whole", stops=(0,)))
    if "failed" in row:
        return row
    workspaces.stage(folder, "evaluate")
    test = json.loads((folder / "reports" / "evaluation" / "metrics.json").read_text(encoding="utf-8"))["test"]
    return row | {"seconds": row["process_seconds"], "accuracy": test["accuracy"]}


def _peer(data: Path, wanted: float, seed: int, epochs: int, options: Options) -> Row:
    script = [PEER_PYTHON, BENCH / "peers" / "tutorial.py", "--data", data, "--wanted", wanted, "--seed", seed]
    return run(Contender(PEER, [*script, "--minutes", options.minutes, "--epochs", options.steps(epochs, 1)]))


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


def always_reached(rows: list[Row], title: str, wanted: float) -> bool:
    """Whether each run of ours got there: a ratio of times means nothing else."""
    return all(row["accuracy"] >= wanted for row in _finished(rows, title, OURS))


def _finished(rows: list[Row], title: str, name: str) -> list[Row]:
    return [row for row in rows if row["subject"] == title and row["name"] == name and "accuracy" in row]


def render(found: dict[str, Any]) -> list[str]:
    return rendered(found["rows"], "mnist", _TEXT)


def rendered(rows: list[Row], recipe: str, text: str) -> list[str]:
    """The section of a data set."""
    title, wanted = WANTED[recipe]
    mine, theirs, ratio = _finished(rows, title, OURS), _finished(rows, title, PEER), times(rows, title)
    head = [f"{title} {wanted:.1%}", "seconds", "reached it", "accuracy", "epochs", "ours is × as fast (goal 5×)"]
    if ratio is None:
        body = [["failed", *[""] * 5]]
    else:
        took, scores = [row["seconds"] for row in mine], [row["accuracy"] for row in mine]
        reached = [row["reached"] for row in theirs if row["reached"] is not None]
        spent = statistics.median(row["seconds"] for row in theirs)
        body = [
            [
                f"{OURS}, n = {len(mine)}",
                f"{statistics.median(took):.0f} ({min(took):.0f} to {max(took):.0f})",
                f"{sum(score >= wanted for score in scores)} of {len(mine)}",
                f"{statistics.mean(scores):.2%} ({min(scores):.2%} to {max(scores):.2%})",
                "",
                "",
            ],
            [
                f"{PEER}, n = {len(theirs)}",
                f"{spent:.0f}" if len(reached) == len(theirs) else f"not within {spent:.0f}",
                f"{len(reached)} of {len(theirs)}",
                f"{max(row['best'] for row in theirs):.2%}",
                f"{max(row['epochs'] for row in theirs)}",
                f"{'more than ' if ratio[1] else ''}{ratio[0]:.1f}",
            ],
        ]
    lines = [f"## Time to {wanted:.1%} on {title}", "", *(line.strip() for line in text.strip().splitlines()), ""]
    return [*lines, *table(head, body), "", f"Other processes: {others(rows)} cores."]
