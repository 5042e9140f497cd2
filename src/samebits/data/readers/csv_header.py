"""Whether the first line of a CSV holds the names of its columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from samebits.base.errors import UserError, listed
from samebits.data.readers import cells

_MOSTLY = 0.9
_YEARS = range(1800, 2201)


def require_unique(header: Sequence[str], used: Collection[str], name: str) -> None:
    """Refuse names that stand twice and are used.

    Raises:
        UserError: with the names.
    """
    twice = sorted({each for each in header if header.count(each) > 1 and each in used})
    if twice:
        raise UserError(f"{name}: two columns are called {listed(twice)}", "give every column a name of its own")


def require_names(sample: Sequence[Sequence[str]], header: Sequence[str], wanted: Collection[str], name: str) -> None:
    """Refuse a first line that lacks names, or is a row of values like those below it.

    Args:
        sample: the first records of the file, the first line among them.
        header: the first line.
        wanted: names that a setting uses: a first line with one of them holds names.

    Raises:
        UserError: with the values, or with the places of the columns that have no name.
    """
    columns = [[row[at].strip() for row in sample[1:] if len(row) > at] for at in range(len(header))]
    kinds = [_kind([cell for cell in column if cell]) for column in columns]
    values = [cell for cell, kind in zip(header, kinds, strict=True) if kind]
    alike = all(_kind([cell]) == kind for cell, kind in zip(header, kinds, strict=True) if kind)
    if values and alike and not _are_counts(values) and not set(header) & set(wanted):
        raise UserError(
            f"{name}: its first line holds values like those below it ({listed(values, 3)}), not the names of columns",
            "name the columns: data.csv.columns: [NAME, ...], or in a first line of the file (if these are names: set "
            "data.table.target to one of them)",
        )
    empty = [str(at) for at, each in enumerate(header, start=1) if not each]
    if empty:
        raise UserError(
            f"{name}: column {listed(empty)} of {len(header)} has no name",
            "name it in the first line (an index that pandas wrote: save with index=False)",
        )


def _kind(texts: Sequence[str]) -> str:
    """Whether most of some cells are numbers or dates; else ""."""
    numbers = sum(cells.number(text) is not None or cells.number(text, ",") is not None for text in texts)
    dates = sum(cells.moment(text) is not None for text in texts)
    return "number" if texts and numbers >= _MOSTLY * len(texts) else "date" if dates > _MOSTLY * len(texts) else ""


def _are_counts(names: Sequence[str]) -> bool:
    """Whether numbers are names all the same: years, or 0, 1, 2, ... as pandas writes them."""
    counts = [int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 7]
    rising = len(counts) > 1 and counts == list(range(counts[0], counts[0] + len(counts)))
    return len(counts) == len(names) and (rising or all(count in _YEARS for count in counts))
