"""Targets other than one class, from the cells of a label column: what `data.target_kind` names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.params.data import DataParams
from samebits.signature.classes import ClassTarget
from samebits.signature.signature import TARGETS
from samebits.signature.target_kind import TargetKind

_IN_LABEL_COLUMNS = {name: kind for name, kind in TARGETS.items() if kind.in_label_column}


def require_kind(wanted: str, kinds: Collection[str]) -> None:
    """Refuse a `data.target_kind` that is neither `auto` nor one of some kinds.

    Raises:
        UserError: with the nearest known one.
    """
    known = ["auto", *kinds]
    if wanted not in known:
        near = nearest(wanted, known)
        hint = f"did you mean {near}? " if near else ""
        raise UserError(f"data.target_kind is {wanted!r}", f"{hint}known: {', '.join(known)}")


def target_kind(settings: DataParams) -> type[TargetKind] | None:
    """The kind of target that `data.target_kind` names, if it is read cell by cell; None for one class of each sample.

    Raises:
        UserError: for a kind that no label column holds.
    """
    require_kind(settings.target_kind, _IN_LABEL_COLUMNS)
    kind = _IN_LABEL_COLUMNS.get(settings.target_kind)
    return None if kind is ClassTarget else kind


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
