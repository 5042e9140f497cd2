"""What a Dataset gives, as arrays and targets. Each function raises ValueError with the reason why it cannot be used.

torch is not imported: tensors are known by their methods.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from PIL import Image

from samebits.data.readers.reader import Array
from samebits.signature.array import ArrayDtype

DTYPES = get_args(ArrayDtype)
_CURES = {"float64": "float32", "int64": "int32", "bool": "uint8", "uint32": "int32", "int8": "int16"}
_MODES = {"1": "L", "LA": "L", "La": "L", "RGBa": "RGBA", "RGBX": "RGB"}
_KEPT_MODES = ("L", "RGB", "RGBA", "F", "I", "I;16", "I;16B", "I;16L")


def as_array(value: Any) -> Array:
    """An input: an array, a tensor or a PIL image ([C, H, W]), little-endian and in C order."""
    array = _pixels(value) if isinstance(value, Image.Image) else _numpy(value)
    if not isinstance(array, np.ndarray):
        raise ValueError(
            f"its input is of type {type(value).__name__}: give an array, a tensor, a PIL image or a list of words"
        )
    name = array.dtype.name
    if name not in DTYPES:
        cure = f"convert it, as with .astype(numpy.{_CURES[name]})" if name in _CURES else "convert it"
        raise ValueError(f"its input is of {name}, none of {', '.join(DTYPES)}: {cure}")
    if not array.ndim or not array.size:
        raise ValueError(f"its input has the shape {list(array.shape)}: give at least one value on one axis")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("its input holds a value that is not finite (NaN or infinite)")
    return np.ascontiguousarray(array, dtype=np.dtype(name).newbyteorder("<"))


def as_words(value: Any) -> tuple[str, ...] | None:
    """A list or an array of words; None if it is something else."""
    given = value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind in "UO" else value
    is_words = isinstance(given, list | tuple) and all(isinstance(word, str) for word in given)
    return tuple(given) if is_words else None


def as_plain(value: Any) -> Any:
    """A target without torch's and numpy's wrapping: a number, a text, a collection, or an array of several axes."""
    array = np.asarray(value) if isinstance(value, Image.Image) else _numpy(value)
    if isinstance(array, np.ndarray | np.generic):
        return array.item() if array.ndim == 0 else array
    return value


def kind_of(value: Any) -> str:
    """The kind of target that a plain target is of, for `data.target_kind: auto`."""
    if isinstance(value, str | int):  # a truth value is an int
        return "class"
    if isinstance(value, float):
        return "number"
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "biu":
        return "mask"
    each = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else value
    if isinstance(each, set | frozenset | list | tuple):
        if all(isinstance(name, str) for name in each):
            return "labels"
        if all(isinstance(number, int | float) for number in each):
            return "vector"
    shown = f"an array of {value.ndim} axes" if isinstance(value, np.ndarray) else type(value).__name__
    raise ValueError(f"its target is {shown}: give a class, a number or a list of them, or set data.target_kind")


def same_bytes(value: Any) -> bytes:
    """Bytes that are equal where plain targets are."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, set | frozenset):
        return repr(sorted(map(repr, value))).encode()
    return repr(value).encode()


def _numpy(value: Any) -> Any:
    if hasattr(value, "detach") and hasattr(value, "numpy"):
        try:
            return value.detach().cpu().numpy()
        except (TypeError, RuntimeError) as error:  # a type that numpy has not, a sparse tensor
            raise ValueError(f"a tensor of {getattr(value, 'dtype', '?')} becomes no array: {error}") from None
    return value


def _pixels(image: Image.Image) -> Array:
    if image.mode not in _KEPT_MODES:
        image = image.convert(_MODES.get(image.mode, "RGB"))
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
