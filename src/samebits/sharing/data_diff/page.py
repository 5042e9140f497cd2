"""The HTML page of `samebits data diff`: one file, no network, thumbnails inside."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.evaluation.sample_image import image_png
from samebits.sharing.data_diff.compare import Difference, class_counts, split_counts, statistics
from samebits.sharing.data_diff.version import Version, texts

SHOWN = 60
"""Samples of each kind of change that the page shows; a page of thousands opens in no browser."""


def write_page(difference: Difference, page: Path) -> None:
    """Render and write it.

    Raises:
        UserError: if the file cannot be written.
    """
    data = render(difference).encode()
    try:
        write_bytes(page, data)
    except OSError as error:
        raise UserError(f"cannot write {page}: {error.strerror}", "name another file with --html") from error


def render(difference: Difference) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined

    template = Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    old, new = difference.old, difference.new
    changes = [
        ("Added", difference.added, new, None),
        ("Removed", difference.removed, old, None),
        ("Relabelled", difference.relabelled, new, "old_label"),
        ("Moved to another split", difference.moved, new, "old_split"),
    ]
    return environment.from_string(template).render(
        old=old.name,
        new=new.name,
        title=str(new.info.get("title") or new.info.get("name") or "data"),
        unchanged=difference.unchanged,
        splits=split_counts(difference),
        classes=class_counts(difference),
        statistics=statistics(difference),
        changes=[
            {"name": name, "count": len(rows), "samples": _samples(rows, version, before)}
            for name, rows, version, before in changes
        ],
    )


def _samples(rows: pd.DataFrame, version: Version, before: str | None) -> list[dict[str, Any]]:
    """The first samples of a change, evenly over all of them, in the order of their shards."""
    if len(rows) > SHOWN:
        rows = rows.iloc[np.linspace(0, len(rows) - 1, SHOWN).astype(int)]
    rows = rows.sort_values(["split", "shard", "row"], kind="stable")
    places = list(zip(rows["split"], rows["shard"], rows["row"], strict=True))
    arrays = [version.sample(str(split), int(shard), int(row)) for split, shard, row in places]
    pictures = [""] * len(arrays)
    words = [""] * len(arrays)
    if _are_pictures(version, arrays):
        pictures = [thumbnail(array) for array in arrays]
    else:
        words = texts(version, arrays)
    return [
        {
            "id": row.id,
            "source": row.source,
            "split": row.split,
            "label": row.label,
            "before": getattr(row, before) if before else "",
            "picture": picture,
            "text": text,
        }
        for row, picture, text in zip(rows.itertuples(), pictures, words, strict=True)
    ]


def _are_pictures(version: Version, arrays: list[npt.NDArray[Any]]) -> bool:
    return version.inputs["kind"] == "image" and all(
        array.dtype in (np.uint8, np.uint16) and array.ndim == 3 for array in arrays
    )


def thumbnail(image: npt.NDArray[Any]) -> str:
    """A PNG of an image uint8 or uint16 [C, H, W] as a data URI; at most 96 pixels a side."""
    return "data:image/png;base64," + base64.b64encode(image_png(image, longest=96)).decode()
