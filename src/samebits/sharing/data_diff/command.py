"""`samebits data diff A B`: what changed between two versions of the prepared data.

samebits data diff v1 v2           two tags, commits, branches or experiments
samebits data diff v1              v1 and what lies in the workspace
samebits data diff v1 v2 --html changes.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base.result import Result
from samebits.sharing.data_diff.compare import Difference, class_counts, compare, split_counts, statistics
from samebits.sharing.data_diff.page import write_page
from samebits.sharing.data_diff.version import open_version


@dataclass(frozen=True)
class DataDiff(Result):
    """What changed, and the page that shows it."""

    difference: Difference
    page: Path

    def lines(self) -> list[str]:
        return [*lines(self.difference), f"page: {self.page}"]

    def json(self) -> dict[str, Any]:
        found = self.difference
        counts = {name: {"old": a, "new": b} for name, a, b in split_counts(found)}
        classes = {name: {"old": a, "new": b} for name, a, b in class_counts(found)}
        return {
            "old": found.old.name,
            "new": found.new.name,
            "added": len(found.added),
            "removed": len(found.removed),
            "relabelled": len(found.relabelled),
            "moved": len(found.moved),
            "unchanged": found.unchanged,
            "splits": counts,
            "classes": classes,
            "page": self.page,
        }


def data_diff(folder: Path, old: str, new: str, page: Path) -> DataDiff:
    """Compare two versions, and write the page.

    Args:
        folder: root of the project.
        old, new: revisions; `workspace` for what lies there now.
        page: HTML file to write.

    Raises:
        UserError: if a version cannot be read, or the page not written.
    """
    difference = compare(open_version(folder, old), open_version(folder, new))
    write_page(difference, page)
    return DataDiff(difference, page)


def lines(difference: Difference) -> list[str]:
    """The difference in numbers, for a terminal."""
    found = [
        f"{difference.old.name} -> {difference.new.name}: {len(difference.added):,} added, "
        f"{len(difference.removed):,} removed, {len(difference.relabelled):,} relabelled, "
        f"{len(difference.moved):,} moved to another split, {difference.unchanged:,} unchanged"
    ]
    if difference.empty:
        found.append("the same samples, targets and splits")
    rows = [*split_counts(difference), *((f"class {name}", a, b) for name, a, b in class_counts(difference))]
    width = max((len(name) for name, _, _ in rows), default=0)
    found += [f"  {name:<{width}}  {a:>9,} -> {b:>9,}  {b - a:+,}" for name, a, b in rows if a != b]
    changed = [(name, a, b) for name, a, b in statistics(difference) if a != b and name != "samples"]
    return found + [f"  {name}: {a} -> {b}" for name, a, b in changed]
