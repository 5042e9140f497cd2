"""Targets other than one class, from the cells of a label column: what `data.target_kind` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.params.data import DataParams
from samebits.signature.classes import ClassTarget
from samebits.signature.kind import TargetKind
from samebits.signature.signature import TARGETS


def target_kind(settings: DataParams) -> type[TargetKind] | None:
    """The kind of target that `data.target_kind` names, if it is read cell by cell; None for one class of each sample.

    Raises:
        UserError: for a kind that no label column holds.
    """
    if settings.target_kind == "auto":
        return None
    kind = TARGETS.get(settings.target_kind)
    if kind is ClassTarget:
        return None
    if kind is None or not kind.in_label_column:
        known = ["auto", *(name for name, each in TARGETS.items() if each.in_label_column)]
        near = nearest(settings.target_kind, known)
        hint = f"did you mean {near}? " if near else ""
        raise UserError(f"data.target_kind is {settings.target_kind!r}", f"{hint}known: {', '.join(known)}")
    return kind


def parse_cells(kind: type[TargetKind], cells: Sequence[str]) -> tuple[list[Any], list[str | None]]:
    """Of each cell what it says, and why it cannot be used."""
    values: list[Any] = []
    reasons: list[str | None] = []
    for cell in cells:
        try:
            values.append(kind.parse(cell.strip()))
            reasons.append(None)
        except ValueError as error:
            values.append(None)
            reasons.append(str(error))
    return values, reasons
