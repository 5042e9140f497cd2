"""What is predicted of a row: a number or a class, or several labels or numbers, in one column or in several."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from samebits.base.errors import UserError, listed
from samebits.data.readers import cells
from samebits.data.readers.table.columns import Column
from samebits.data.readers.table.target import Target, read_target
from samebits.data.readers.targets import parse_cells, require_kind
from samebits.params.table import TableParams
from samebits.signature.signature import TARGETS

_KINDS = ("number", "class", "labels", "vector")
_SEVERAL = ("labels", "vector")
_YES = {"1": True, "0": False}
"""Beside `yes`, `no`, `true`, `false`."""


def read_targets(columns: Sequence[Column], settings: TableParams, wanted: str) -> Target:
    """The target by `data.target_kind`, `wanted`.

    Raises:
        UserError: for columns that are not of such a kind, or with nothing to learn.
    """
    require_kind(wanted, _KINDS)
    if len(columns) == 1:
        (column,) = columns
        return _of_cells(column, wanted) if wanted in _SEVERAL else read_target(column, settings, wanted)
    names = ", ".join(column.name for column in columns)
    if wanted not in ("auto", *_SEVERAL):
        raise UserError(
            f"data.target_kind is {wanted!r}, and data.table.target has {len(columns)} columns, {names}",
            "set data.target_kind to labels or vector, or name one column",
        )
    for column in columns:
        if not (~column.missing).any():
            raise UserError(f"the target {column.name} is missing in every row", "take it out of data.table.target")
    if wanted == "labels" or (wanted == "auto" and all(_is_flag(column) for column in columns)):
        return _labels(columns)
    return _vector(columns)


def _truth(column: Column) -> list[bool | None]:
    """Of each row whether the cell says yes; None for one that says neither."""

    def of(cell: Any) -> bool | None:
        text = str(cell).strip()
        number = cells.number(text, ".")
        return _YES.get(f"{number:g}") if number is not None else cells.boolean(text)

    known = functools.cache(of)
    return [known(cell) for cell in column.texts]


def _is_flag(column: Column) -> bool:
    return all(missing or found is not None for found, missing in zip(_truth(column), column.missing, strict=True))


def _labels(columns: Sequence[Column]) -> Target:
    """A label per column, which applies where it says 1 or yes."""
    bad: dict[int, str] = {}
    found: dict[str, list[bool]] = {}
    for column in columns:
        truths = _truth(column)
        for row, truth in enumerate(truths):
            if truth is None:
                cell = f"says {column.texts[row][:40]!r}" if not column.missing[row] else "is missing"
                bad.setdefault(row, f"target {column.name} {cell}: a label is 0 or 1, or no or yes")
        if len(wrong := [row for row, truth in enumerate(truths) if truth is None]) * 2 > len(truths):
            raise UserError(
                f"the target {column.name} is neither 0 nor 1, nor no or yes, in {len(wrong):,} of {len(truths):,} rows"
                f", as {column.texts[wrong[0]][:40]!r}",
                "set data.target_kind: vector for numbers, or take the column out of data.table.target",
            )
        found[column.name] = [bool(truth) for truth in truths]
    sets = [frozenset(name for name, truths in found.items() if truths[row]) for row in range(len(columns[0].texts))]
    return _gathered("labels", ", ".join(found), sets, bad, named=tuple(found))


def _vector(columns: Sequence[Column]) -> Target:
    """A number per column."""
    parts = []
    for column in columns:
        if column.kind != "number":
            what = "dates" if column.kind == "date" else f"text, such as {column.labels[0]!r}"
            raise UserError(
                f"the target {column.name} holds {what}, and a vector has numbers",
                "take it out of data.table.target; for columns of 0 and 1: data.target_kind: labels",
            )
        parts.append(read_target(column, TableParams(), "number"))
    bad: dict[int, str] = {}
    for part in parts:
        for row, reason in part.bad.items():
            bad.setdefault(row, reason)
    names = tuple(part.name for part in parts)
    values = np.stack([part.values for part in parts], axis=1)
    meaning = f"{len(parts)} numbers"
    return Target(", ".join(names), "vector", values, parts[0].exact, (), bad, meaning, names, tuple(parts))


def _of_cells(column: Column, wanted: str) -> Target:
    """Several labels or numbers in each cell, as `a; b` or `0.5; 2`."""
    marked = {int(row): mark for mark, rows in column.marks.items() for row in rows}
    values, reasons = parse_cells(TARGETS[wanted], list(column.texts))
    bad: dict[int, str] = {}
    for row, reason in enumerate(reasons):
        if row in marked:
            bad[row] = f"target {column.name} is missing: its cell says {marked[row]!r}, which data.table.missing lists"
        elif reason is not None:
            bad[row] = f"target {column.name}: {reason}"
    if len(bad) == len(values):
        raise UserError(
            f"the target {column.name} cannot be read in any row; the first: {bad[0]}",
            f"set data.table.target to the column with {'labels' if wanted == 'labels' else 'numbers'}, as a; b",
        )
    return _gathered(wanted, column.name, values, bad)


def _gathered(
    wanted: str, name: str, values: Sequence[Any], bad: dict[int, str], named: tuple[str, ...] = ()
) -> Target:
    """The usable rows as they are stored; others get the first one's value, and are set aside.

    Args:
        named: names of labels that are meant, of which each must apply somewhere.
    """
    good = [row for row in range(len(values)) if row not in bad]
    if not good:
        raise UserError(f"the target {name} cannot be read in any row; the first: {bad[0]}", "look at the file")
    filled = [values[row if row not in bad else good[0]] for row in range(len(values))]
    if lost := [each for each in named if sum(each in values[row] for row in good) < 2]:
        raise UserError(
            f"labels of fewer than two rows, which cannot be both learnt and judged: {listed(lost, 5)}",
            "take these columns out of data.table.target",
        )
    kind = TARGETS[wanted]
    stored, classes = kind.gather([filled[row] for row in good])
    whole = np.zeros((len(values), *stored.shape[1:]), dtype=stored.dtype)
    whole[good] = stored
    exact = whole.astype(np.float64)
    parts = tuple(_part(wanted, f"{name}, {classes[k] if classes else k}", exact[:, k]) for k in range(exact.shape[1]))
    meaning = f"{len(classes)} labels: {listed(classes, 12)}" if classes else f"{exact.shape[1]} numbers"
    return Target(name, "labels" if classes else "vector", whole, exact[:, 0], classes, bad, meaning, (), parts)


def _part(wanted: str, name: str, exact: Any) -> Target:
    of_class = wanted == "labels"
    values = exact.astype(np.int64 if of_class else np.float32)
    return Target(name, "class" if of_class else "number", values, exact, ("no", "yes") if of_class else (), {}, "")
