"""A report made of sections: pictures and tables. For evaluators whose page needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from samebits.evaluation.report.page import data_url
from samebits.evaluation.sample_image import image_png
from samebits.signature.kind import Preview


@dataclass(frozen=True)
class Word:
    """A word of a text.

    Attributes:
        mark: `right` or `wrong`, which have colours; else empty.
        below: in small letters.
    """

    text: str
    mark: str = ""
    below: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell that is no plain text: a bar of so many percent, a picture, or words one by one."""

    bar: str | None = None
    image: str = ""
    alt: str = ""
    words: Sequence[Word] = ()


@dataclass(frozen=True)
class Section:
    """A heading, a picture or a table, or both.

    Attributes:
        about: below the heading.
        picture: PNG, as a data URL.
        alt: what the picture shows.
        columns, rows: of the table.
        facts: whether its cells are texts, not numbers.
        after: below the table.
    """

    title: str
    about: str = ""
    picture: str = ""
    alt: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str | Cell]] = ()
    facts: bool = False
    after: str = ""


def bar(percent: float) -> Cell:
    """A bar of so many percent."""
    return Cell(bar=f"{percent:.2f}")


def sample_cell(preview: Preview, index: int) -> str | Cell:
    """A test sample in a table."""
    if preview.image is None:
        return preview.text
    return Cell(image=data_url(image_png(preview.image)), alt=f"test sample {index}")
