"""How many labels were corrected, for people: in the summary, the report, the model card and MLflow."""

from __future__ import annotations

from collections.abc import Mapping

Counts = Mapping[str, Mapping[str, int]]
"""Of `relabelled` and `dropped`: samples of each split. Empty without corrections."""

_ORDER = ("train", "validation", "test")


def corrections_text(counts: Counts) -> str:
    """`train: 12 labels corrected, 3 samples dropped; test: 1 label corrected`; empty if there are none."""
    found = {name: _of_split(counts, name) for name in _ORDER} if counts else {}
    return "; ".join(f"{name}: {', '.join(parts)}" for name, parts in found.items() if parts)


def _of_split(counts: Counts, name: str) -> list[str]:
    relabelled, dropped = counts["relabelled"][name], counts["dropped"][name]
    found = [f"{relabelled:,} label{'s' * (relabelled != 1)} corrected"] if relabelled else []
    return found + ([f"{dropped:,} sample{'s' * (dropped != 1)} dropped"] if dropped else [])
