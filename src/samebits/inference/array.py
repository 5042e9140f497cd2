"""Answers for .npy files of arrays by an exported model, by ONNX Runtime alone: no torch, no project."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.inference import predictor
from samebits.inference.items import Given, Item

_ONNX_TYPES = {"uint8": "uint8", "int32": "int32", "float32": "float"}
_BATCH = 256

Array = npt.NDArray[Any]


class Kind(predictor.Kind):
    """Answers for .npy files: for each, or for each array of a file that holds several ([N, ...])."""

    noun = "arrays"
    options = frozenset({"column"})

    def open_model(self) -> None:
        shape = self.inputs["shape"]
        self.session.require_inputs({"arrays": (_ONNX_TYPES[self.inputs["dtype"]], 1 + len(shape))})

    @property
    def batch(self) -> int:
        return predictor.batch_of(math.prod(self.inputs["shape"]), _BATCH)

    def takes(self, name: str) -> bool:
        return name.lower().endswith(".npy")

    def of_file(self, given: Given) -> Iterator[Item]:
        return self._arrays(Item(given.shown, given.path, given.path))

    def of_row(self, row: Mapping[str, Any], name: str, given: Given) -> Item:
        return replace(super().of_row(row, name, given), value=None)

    def of_line(self, line: str, name: str) -> Item:
        return replace(super().of_line(line, name), value=None)

    def of_value(self, value: Any, name: str) -> Item:
        """Of nested lists of numbers, or of the bytes of a .npy file."""
        try:
            found = _loaded(value) if isinstance(value, bytes) else np.asarray(value)
            _require_shape(found, self.inputs, single=True)
            return Item(name, found)
        except (OSError, ValueError, EOFError) as error:
            return Item(name, error=_reason(error))

    def example(self) -> Any:
        return np.zeros(self.inputs["shape"], dtype=self.inputs["stored_dtype"]).tolist()

    def _arrays(self, item: Item) -> Iterator[Item]:
        """The arrays of a file, which stays on the disk until each is read."""
        assert item.file is not None
        try:
            found = _open(item.file)
            _require_shape(found, self.inputs)
        except (OSError, ValueError, EOFError) as error:
            yield replace(item, error=_reason(error))
            return
        if list(found.shape) == self.inputs["shape"]:
            yield replace(item, value=found)
            return
        for number, each in enumerate(found):
            yield Item(f"{item.name}[{number}]", each, item.file)

    def ready(self, items: Sequence[Item]) -> predictor.Ready:
        served, errors = {}, {}
        for place, item in enumerate(items):
            try:
                if item.value is None:  # of a list: one array a file
                    assert item.file is not None
                    found = _open(item.file)
                    _require_shape(found, self.inputs, single=True)
                else:
                    found = item.value
                served[place] = _as_served(found, self.inputs)
            except (OSError, ValueError, EOFError) as error:
                errors[place] = _reason(error)
        samples = np.stack(list(served.values())) if served else np.empty(0)
        return predictor.Ready(samples, list(served), [()] * len(served), errors)


def input_of(model: Path, preprocessing: dict[str, Any]) -> Callable[[Any], Array]:
    """From an array, or the path of a .npy file, to what the model takes; the function raises UserError for others."""

    def take(value: Any) -> Array:
        name = str(value) if isinstance(value, str | Path) else "the array"
        try:
            found = _open(Path(value)) if isinstance(value, str | Path) else np.asarray(value)
            _require_shape(found, preprocessing, single=True)
            return _as_served(found, preprocessing)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{name}: {error}", f"give one array of {preprocessing['shape']}") from None

    return take


def _open(path: Path) -> Any:
    # Mapped, not read: a file may hold more arrays than fit in memory.
    with path.open("rb") as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
            raise ValueError("it is no .npy file")
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _loaded(content: bytes) -> Any:
    """The array of a .npy file in memory; ValueError for what is none."""
    if not content.startswith(np.lib.format.MAGIC_PREFIX):
        raise ValueError("it is no .npy file")
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # numpy raises what its parser of the header runs into
        raise ValueError(f"it is damaged ({error})"[:200]) from None


def _require_shape(found: Any, preprocessing: Mapping[str, Any], *, single: bool = False) -> None:
    """Raise ValueError with the reason why the model cannot take an array, or [N, ...] of them."""
    shape = preprocessing["shape"]
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
        raise ValueError("it holds no array of numbers")
    several = not single and list(found.shape[1:]) == shape
    if list(found.shape) != shape and not several:
        more = "" if single else " or several of them, [N, ...]"
        raise ValueError(f"its shape is {list(found.shape)}, the model takes {shape}{more}")
    if not found.size:
        raise ValueError("it is empty")


def _as_served(found: Array, preprocessing: Mapping[str, Any]) -> Array:
    """One array in the type in which the model is served; ValueError for a value that the stored type lacks."""
    stored = np.dtype(preprocessing["stored_dtype"])
    with np.errstate(over="ignore", invalid="ignore"):
        values = found.astype(stored)
    right = np.isfinite(values) if stored.kind == "f" else values == found
    if not right.all():
        raise ValueError(f"it holds {found[~right].flat[0]!s}, which is no {stored} as the model takes them")
    return values.astype(preprocessing["dtype"])


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
