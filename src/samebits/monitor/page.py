"""The page of a comparison: one file, no network, in the look of the project's reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samebits.drift.reference import Reference
from samebits.evaluation.report.page import Details, render

if TYPE_CHECKING:
    from samebits.monitor.monitor import Monitored


def monitor_page(found: Monitored, reference: Reference, model: str) -> str:
    """The page as text."""
    limits = found.limits
    measured = max((int(each.all_counts.sum()) for each in reference.inputs), default=0)
    answered = max((int(each.all_counts.sum()) for each in reference.answers), default=0)
    details: Details = [
        ("In use", [("samples", f"{found.samples:,}"), ("that cannot be used", f"{found.errors:,}")]),
        (
            "Training data",
            [
                ("training inputs", f"{measured:,}"),
                ("validation answers", f"{answered:,}"),
                ("digest", reference.data_digest),
            ],
        ),
        (
            "Limits",
            [
                ("difference", f"{limits.effect:g}"),
                ("p, corrected for all tests", f"{limits.alpha:g}"),
                ("ignored", ", ".join(limits.ignore) or "nothing"),
                ("model", model),
            ],
        ),
    ]
    return render(
        "monitor.html.j2",
        title=f"{'Drift' if found.drifted else 'No drift'}: {model.rpartition('/')[2]}",
        verdict=found.verdict,
        found=found,
        notes=found.notes,
        details=details,
    )
