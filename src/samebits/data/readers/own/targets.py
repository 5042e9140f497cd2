"""Targets that a Dataset gives, one by one, as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from samebits.base.errors import UserError
from samebits.data.readers.labels import class_name
from samebits.data.readers.own.values import kind_of
from samebits.data.readers.reader import Array
from samebits.data.readers.targets import require_kind
from samebits.signature.signature import TARGETS

_KNOWN = [name for name, kind in TARGETS.items() if kind.stored_dtype is not None]


class Targets:
    """The targets of the samples that can be used.

    Args:
        wanted: `data.target_kind`; `auto`: what the first target looks like.
        names: of the classes, where numbers stand for them (the attribute `classes` of torchvision's Datasets).

    Raises:
        UserError: for a kind of target that no Dataset can give.
    """

    def __init__(self, wanted: str, names: Any = None) -> None:
        require_kind(wanted, _KNOWN)
        self.kind = "" if wanted == "auto" else wanted
        self._chosen = wanted != "auto"
        self._names = names if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names) else ()
        self._values: list[Any] = []

    def add(self, target: Any, shape: tuple[int, ...]) -> str:
        """Keep a target; else why it cannot be used.

        Args:
            shape: of the sample's input.
        """
        if isinstance(target, np.ndarray) and target.ndim > 1 and target.shape != shape[-target.ndim :]:
            return f"its target is [{', '.join(map(str, target.shape))}], its input {list(shape)}: no mask of it"
        try:
            kind = self.kind if self._chosen else kind_of(target)
            value: Any = _class(target) if kind == "class" else TARGETS[kind].accept(target)
            if TARGETS[kind].per_position and len(value) != shape[-1]:
                raise ValueError(f"its target has {len(value)} tags, its input {list(shape)}: give one for each step")
        except ValueError as error:
            return str(error)
        if self.kind and kind != self.kind:
            return f"its target is a {kind}, that of the first sample a {self.kind}; data.target_kind can say which"
        self.kind = kind
        self._values.append(value)
        return ""

    def gathered(self) -> tuple[Array, tuple[str, ...]]:
        """As they are stored, [n, ...], and the names of the classes.

        Raises:
            UserError: if there is nothing to learn in them.
        """
        if self.kind == "class":
            return self._classes()
        targets, classes = TARGETS[self.kind].gather(self._values)
        numbered = classes == tuple(map(str, range(len(classes))))
        return targets, tuple(self._names[: len(classes)]) if numbered and len(self._names) >= len(classes) else classes

    def _classes(self) -> tuple[Array, tuple[str, ...]]:
        values: Sequence[Any] = self._values
        numbers = all(type(value) is int for value in values)
        if not numbers:
            values = [str(value) for value in values]
        known = sorted(set(values))
        if len(known) < 2:
            raise UserError(
                f"all targets are {known[0]!r}: a classifier needs two classes", "look at what the Dataset gives"
            )
        if len(known) > max(20, len(values) // 2):
            raise UserError(
                f"{len(values):,} samples have {len(known):,} different targets, such as {known[0]!r} and "
                f"{known[1]!r}: too many for classes",
                "set data.target_kind: number, if they are numbers",
            )
        index = {value: place for place, value in enumerate(known)}
        named = numbers and known[0] >= 0 and known[-1] < len(self._names)
        classes = tuple(self._names[value] if named else str(value) for value in known)
        return np.array([index[value] for value in values], dtype=np.int64), classes


def _class(target: Any) -> str | int:
    if isinstance(target, int):
        return str(target) if isinstance(target, bool) else target
    if not isinstance(target, str):
        raise ValueError(f"its target is of type {type(target).__name__}: a class is a text or a whole number")
    try:
        name = class_name(target)
    except UserError as error:
        raise ValueError(error.problem) from None
    if not name:
        raise ValueError("its target is an empty text")
    return name
