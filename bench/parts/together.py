"""Two trainings at once on this machine's cores, beside one alone: ours, and PyTorch's own loop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from parts import training
from parts.base import Contender, Options, Row, clock, others, run, spread, summary, table

PEER = "PyTorch, DataLoader, fp32"
ALONE, TWO = "alone", "two at once, their sum"
_MODEL = "convnet"
_STEPS = {training.OURS: 2400, PEER: 400}
"""Enough that the time in which only one of two is at work is short."""


def measure(options: Options) -> dict[str, Any]:
    rows: list[Row] = []
    pairs = {training.OURS: _ours(options), PEER: _peers(options)}
    for number in range(options.rounds):
        for name, (first, second) in list(pairs.items())[:: -1 if number % 2 else 1]:
            alone = run(first)
            with ThreadPoolExecutor(2) as pool:
                both = list(pool.map(run, (first, second)))
            rate = None if any("failed" in row for row in both) else sum(row["rate"] for row in both)
            row = {"name": name, "round": number}
            rows += [alone | row | {"subject": ALONE}, {**row, "subject": TWO, "rate": rate}]
            print(f"{name}: {alone.get('rate')} alone, {[each.get('rate') for each in both]} at once", flush=True)
    return {"rows": rows}


def _ours(options: Options) -> tuple[Contender, Contender]:
    one = training.ours(_MODEL, False, options, counted=_clock(options, training.OURS))
    # The same project again, as two clones are.
    return one, training.ours(_MODEL, False, options, counted=_clock(options, training.OURS), name="second")


def _peers(options: Options) -> tuple[Contender, Contender]:
    peer = next(each for each in training.peers(_MODEL, False, options, _clock(options, PEER)) if each.name == PEER)
    return peer, replace(peer)


def _clock(options: Options, name: str) -> list[str]:
    return clock(2, 0.0, 20, (1, 20)) if options.quick else clock(100, 8.0, _STEPS[name], (101, 200))


def share(rows: list[Row], name: str) -> float:
    """What two at once make together, as a multiple of one alone: medians."""
    return summary(rows, name, "rate", TWO)[0] / summary(rows, name, "rate", ALONE)[0]


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    names = (training.OURS, PEER)
    body = [
        [name, *(spread(rows, name, "rate", subject) for subject in (ALONE, TWO)), f"{share(rows, name):.2f}"]
        for name in names
    ]
    n = summary(rows, training.OURS, "rate", TWO)[3]
    text = (
        "Two trainings of the convnet, as under Training, at once in two projects, each with as many "
        "threads as there are cores; samples/s. Ours take turns of half a second, with the bits of one alone."
    )
    head = [f"n = {n}", ALONE, TWO, "sum / alone"]
    busy = f"Cores used by other processes meanwhile: {others(rows)}, of one alone."
    return ["## Two at once", "", text, "", *table(head, body), "", busy]
