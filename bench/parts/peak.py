"""Share of the processor's measured bf16 peak that training a ResNet-18 reaches, both measured in turns."""

from __future__ import annotations

import statistics
import sys
from typing import Any

from parts import training
from parts.base import BENCH, Contender, Options, Row, alternate, others, spread, table

_PEAK = "peak"


def measure(options: Options) -> dict[str, Any]:
    seconds = "0.05" if options.quick else "1.0"
    peak = Contender(_PEAK, [sys.executable, BENCH / "ours" / "peak.py", "--seconds", seconds])
    return {"rows": alternate([peak, training.ours("resnet18", True, options)], options.rounds, "ResNet-18")}


def shares(rows: list[Row]) -> dict[str, list[float]]:
    """Of each round, the training's share of the fastest `convolution` and the fastest `product` of that round."""
    found: dict[str, list[float]] = {"convolution": [], "product": []}
    peaks = [row for row in rows if row["name"] == _PEAK and "gflops" in row]
    for row in rows:
        peak = next((each for each in peaks if each["round"] == row["round"]), None)
        if peak and "rate" in row:
            for kind, values in found.items():
                limit = max(value for name, value in peak["gflops"].items() if name.startswith(kind))
                values.append(row["rate"] * peak["flops_a_sample"] / 1e9 / limit)
    return found


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    peaks = [row for row in rows if row["name"] == _PEAK and "gflops" in row]
    if not peaks:
        return ["## Share of the peak", "", "The peak could not be measured."]
    body = []
    for name in peaks[0]["gflops"]:
        values = [row["gflops"][name] for row in peaks]
        body.append([name, f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"])
    flops = peaks[0]["flops_a_sample"]
    text = [
        f"ResNet-18 at 28×28 takes {flops / 1e9:.2f} GFLOP per training sample (`torch.utils.flop_counter`); training "
        f"(augmented, all of our stage on) makes {spread(rows, training.OURS, 'rate', digits=1)} samples/s."
    ]
    for kind, values in shares(rows).items():
        if values:
            goal = " The goal is 75 %." if kind == "convolution" else ""
            text.append(
                f"That is {statistics.median(values):.0%} ({min(values):.0%} to {max(values):.0%}) of the fastest "
                f"{kind} of the same round.{goal}"
            )
    head = [f"bf16, n = {len(peaks)}", "GFLOP/s: median of the rounds' best (range)"]
    return ["## Share of the peak", "", *text, "", *table(head, body), "", f"Other processes: {others(rows)} cores."]
