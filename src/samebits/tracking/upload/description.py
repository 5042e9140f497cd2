"""The text at the top of a run's page: what it is, what came of it, and the command that brings it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from samebits.tracking.journal.journal import FROM_OUTPUTS, REPLAYED
from samebits.tracking.journal.lineage import restore_command


def describe(tags: Mapping[str, str], summary: Mapping[str, float], dataset: Mapping[str, Any], run_id: str) -> str:
    """Markdown for MLflow's `mlflow.note.content`. The page shows its first lines, the rest after a click."""
    from samebits.metrics.registry import headlines  # numpy, which `runs status` has no use for

    lines, first = [], headlines()
    shown = {name: value for name, value in sorted(summary.items()) if name.rpartition("/")[2] in first}
    if results := [f"**{name}** {value:.6g}" for name, value in shown.items()]:
        lines += [" · ".join(results), ""]
    by_hand = restore_command(tags)
    if not by_hand.startswith("#"):
        lines += [f"Bring it back: `samebits restore {run_id}`", ""]
    if dataset:
        counts = ", ".join(f"{count:,} {split}" for split, count in dataset.get("counts", {}).items())
        lines += [f"Data: {dataset['name']} ({counts}), digest `{dataset['digest'][:16]}`", ""]
    if digest := tags.get("model.sha256"):
        lines += [f"Model: SHA-256 `{digest[:16]}…`; DVC has the weights", ""]
    for stage in sorted(
        n.removeprefix(REPLAYED) for n, v in tags.items() if n.startswith(REPLAYED) and v == FROM_OUTPUTS
    ):
        lines += [f"`{stage}` was not run again: its numbers are those of its DVC outputs", ""]
    lines += ["By hand:", "", "```sh", by_hand, "```"]
    return "\n".join(lines)
