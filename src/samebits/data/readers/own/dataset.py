"""Opening and reading a Dataset of the user's own, item by item."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.own_code import error_line, load_own
from samebits.data.readers.own.values import as_array, as_plain, as_words, same_bytes
from samebits.data.readers.reader import Array
from samebits.params.own import OwnDataParams

_LETTERS = 300
"""Of a reason, at most."""


@dataclass(frozen=True)
class Item:
    """One sample as it was given.

    Attributes:
        array: its input; None if it is words, or cannot be used.
        words: its input, where that is a list of words.
        target: as `as_plain` gives it.
        facts: what its third element says: `group`, `time`, `split`.
        reason: why it cannot be used.
    """

    array: Array | None = None
    words: tuple[str, ...] | None = None
    target: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    def content(self) -> bytes:
        """SHA-256 of the input."""
        words = "\n".join(self.words or ()).encode(errors="surrogatepass")
        return hashlib.sha256(words if self.array is None else self.array.data).digest()

    def digest(self) -> bytes:
        """Of input and target."""
        return self.content() + same_bytes(self.target)


class OwnDataset:
    """What a class or function of the user's gives for the path of the data.

    Args:
        third: what a third element of an item is, where it is no mapping; empty: nothing that is needed.

    Raises:
        UserError: if it fails, or is neither a map-style Dataset nor an iterable.
    """

    def __init__(self, settings: OwnDataParams, path: Path, third: str = "") -> None:
        self.name = f"{settings.class_name} of {settings.file}"
        self._third = third
        found = load_own(settings.file, settings.class_name, "data.own")
        try:
            self.items = found(path, **settings.arguments)
            self.length = len(self.items) if hasattr(self.items, "__getitem__") else None
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{self.name} cannot be opened: {error_line(error)}",
                f"it is called as {settings.class_name}(path, **data.own.arguments), and has a length",
            ) from error
        if self.length is None and not hasattr(self.items, "__iter__"):
            raise UserError(
                f"{self.name} gives an object of type {type(self.items).__name__}, which has neither __getitem__ nor "
                "__iter__",
                "give a torch.utils.data.Dataset with __len__ and __getitem__, or a generator of (input, target)",
            )

    def __iter__(self) -> Iterator[Item]:
        """All items, in order.

        Raises:
            UserError: if a generator fails, which has no items after that.
        """
        if self.length is not None:
            yield from map(self.item, range(self.length))
            return
        number = 0
        try:
            for value in self.items:
                number += 1
                yield self._read(lambda value=value: value)  # type: ignore[misc]
        except Exception as error:
            raise UserError(
                f"{self.name}: item {number}: {error_line(error)}",
                "catch it in the generator, or write a class with __len__ and __getitem__, of which single items may "
                "fail",
            ) from error

    def item(self, index: int) -> Item:
        """An item of a map-style Dataset."""
        return self._read(lambda: self.items[index])

    def attribute(self, name: str) -> list[Any] | None:
        """A value of each item, as of `groups`; None if there is no such attribute.

        One of the class is none: `splits` of torchvision's EMNIST are the names of its parts.

        Raises:
            UserError: if it has another length.
        """
        of_class = getattr(type(self.items), name, None)
        if (found := getattr(self.items, name, None)) is None or found is of_class:
            return None
        try:
            values = [as_plain(each) for each in found]
        except TypeError:
            raise UserError(
                f"{self.name}: `{name}` is of type {type(found).__name__}", "give one value an item"
            ) from None
        if len(values) != self.length:
            raise UserError(
                f"{self.name} has {self.length} items, but {len(values):,} {name}", "give one value an item"
            )
        return values

    def _read(self, get: Callable[[], Any]) -> Item:
        try:
            value = get()
        except MemoryError:
            raise
        except Exception as error:
            return Item(reason=" ".join(error_line(error).split())[:_LETTERS])
        try:
            return self._item(value)
        except ValueError as error:
            return Item(reason=str(error))

    def _item(self, value: Any) -> Item:
        if not isinstance(value, tuple | list) or len(value) not in (2, 3):
            shown = f"{len(value)} values" if isinstance(value, tuple | list) else f"of type {type(value).__name__}"
            raise ValueError(f"it is {shown}: give (input, target)")
        target = as_plain(value[1])
        if target is None:
            raise ValueError("its target is None")
        words = as_words(value[0])
        array = as_array(value[0]) if words is None else None
        return Item(array, words, target, self._facts(value[2]) if len(value) == 3 else {})

    def _facts(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            return {self._third: as_plain(value)} if self._third else {}
        if unknown := sorted(set(value) - {"group", "time", "split"}):
            raise ValueError(f"its third element has {unknown[0]!r}: known are group, time and split")
        return {name: as_plain(each) for name, each in value.items()}
