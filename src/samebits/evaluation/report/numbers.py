"""The metrics of a split as they are shown: on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from samebits.evaluation.baseline import Baseline
from samebits.metrics.metric import Scores


def number_cards(metrics: Scores, baseline: Baseline) -> list[dict[str, str]]:
    """Each metric for the top of a report."""
    return [
        {
            "label": score.label,
            "value": score.metric.shown(score.value),
            "interval": score.spread.replace(" % to", " to") if score.interval else "",
            "reason": metrics.undefined.get(score.name, ""),
            "baseline": score.metric.shown(baseline.values[score.name]) if score.name in baseline.values else "",
        }
        for score in metrics.scores
    ]


def number_lines(metrics: Scores, baseline: Baseline, confidence: float) -> Iterator[str]:
    """Each metric for the terminal."""
    width = max(18, *(len(score.label) + 1 for score in metrics.scores))
    for score in metrics.scores:
        level = f"{confidence:.0%}: " if score.interval else ""
        shown = score.metric.shown
        without = f"   baseline {shown(baseline.values[score.name])}" if score.name in baseline.values else ""
        yield f"{score.label:<{width}} {shown(score.value):>9}   {level}{score.spread}{without}"
