"""Columns that give the target away: copies of it, two numbers that add up to it, columns that tell the classes apart.

Such a column is hardly ever known when a prediction is wanted: `casual` and `registered` riders are counted when the
`bikers` are. Looked for on the training split alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.data.readers.table.columns import Column, Floats, Int64
from samebits.data.readers.table.target import Target
from samebits.params.table import TableParams

_CORRELATION = 0.999
_AGREE = 0.999
_ROWS = 2000
_PAIRS_OF = 200
"""Numeric columns of which all pairs are tried."""

_FEWEST = 20
"""Training rows below which chance alone looks like a leak."""

_ROWS_A_VALUE = 5


def require_no_leaks(columns: Sequence[Column], target: Target, train: Int64, settings: TableParams) -> list[str]:
    """What gives the target away, as phrases.

    Raises:
        UserError: if something does and `data.table.allow_leaks` is not set, naming the columns to drop.
    """
    found = find_leaks(columns, target, train)
    if found and not settings.allow_leaks:
        names = list(dict.fromkeys(name for of_leak, _ in found for name in of_leak))
        raise UserError(
            f"columns give the target {target.name} away:\n    " + "\n    ".join(text for _, text in found),
            f"leave them out: data.table.drop: [{', '.join([*settings.drop, *names])}]; if they are known when a "
            "prediction is made: data.table.allow_leaks: true",
        )
    return [text for _, text in found]


def find_leaks(columns: Sequence[Column], target: Target, train: Int64) -> list[tuple[tuple[str, ...], str]]:
    """Names of columns that give the target, or a part of it, away, each with a phrase that says how."""
    if len(train) < _FEWEST:
        return []
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    for part in target.parts or (target,):
        of = f" ({part.name})" if target.parts else ""
        for names, text in (*_single(columns, part, train), *_pairs(columns, part, train)):
            found[text + of] = (names, text + of)
    return list(found.values())


def _single(columns: Sequence[Column], target: Target, train: Int64) -> Iterator[tuple[tuple[str, ...], str]]:
    truth = target.exact[train]
    for column in columns:
        values = column.values[train]
        present = ~column.missing[train]
        if present.sum() < _FEWEST:
            continue
        known = truth
        if not present.all():
            values, known = values[present], truth[present]
        if target.kind == "class":
            classes = known.astype(np.int64)
            if len(np.unique(classes)) > 1 and _tells_apart(values, classes, column.kind == "category"):
                yield (column.name,), f"{column.name} alone tells the classes apart"
        elif column.kind != "category":
            strength = _correlation(values.astype(np.float64, copy=False), known)
            if abs(strength) > _CORRELATION:
                yield (column.name,), f"{column.name}: correlation {strength:.4f} with the target"


def _pairs(columns: Sequence[Column], target: Target, train: Int64) -> Iterator[tuple[tuple[str, ...], str]]:
    """Two numbers whose sum or difference is the target."""
    numbers = [column for column in columns if column.kind == "number"][:_PAIRS_OF]
    if target.kind == "class" or len(numbers) < 2:
        return
    rows = train[:: max(1, len(train) // _ROWS)]
    truth = target.exact[rows]
    values = np.stack([column.values[rows] for column in numbers])
    tolerance = 1e-6 * max(1.0, float(np.abs(truth).max()))
    for first in range(len(numbers)):
        for sign, word in ((1.0, "+"), (-1.0, "-")):
            # What the other column would have to be: target = first + other, or first - other.
            wanted = sign * (truth - values[first])
            agree = (np.abs(values - wanted) <= tolerance).mean(axis=1)
            for second in np.flatnonzero(agree >= _AGREE).tolist():
                if second == first or (word == "+" and second < first) or not values[second].any():
                    continue
                names = (numbers[first].name, numbers[second].name)
                yield names, f"{names[0]} {word} {names[1]} is the target in {agree[second]:.1%} of the rows"


def _correlation(values: Floats, truth: Floats) -> float:
    values, truth = values - values.mean(), truth - truth.mean()
    spread = float(np.sqrt((values * values).sum() * (truth * truth).sum()))
    return float((values * truth).sum()) / spread if spread > 0.0 else 0.0


def _tells_apart(values: npt.NDArray[np.generic], classes: Int64, of_category: bool) -> bool:
    """Whether each value stands for one class, and, of numbers, each class for one interval of them."""
    different, place = np.unique(values, return_inverse=True)
    count = int(classes.max()) + 1
    # Only the pairs that occur: a column of numbers may have as many values as there are rows.
    cells, counts = np.unique(place * count + classes, return_counts=True)
    starts = np.searchsorted(cells, np.arange(len(different)) * count)
    most = np.maximum.reduceat(counts, starts)
    if most.sum() < _AGREE * len(classes):
        return False
    if of_category or len(different) * _ROWS_A_VALUE <= len(classes):
        return len(different) * _ROWS_A_VALUE <= len(classes)
    of_value = cells // count
    best = np.flatnonzero(counts == most[of_value])
    _, first = np.unique(of_value[best], return_index=True)
    runs = 1 + int((np.diff(cells[best[first]] % count) != 0).sum())
    return runs <= len(np.unique(classes))
