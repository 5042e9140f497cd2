"""Predict .npy files of arrays with an exported model, by ONNX Runtime alone: no torch, no project."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.inference.answer import Answer, Answers, answer_of
from samebits.inference.request import Request
from samebits.inference.session import Opened, Session

_ONNX_TYPES = {"uint8": "uint8", "int32": "int32", "float32": "float"}
_BATCH = 256

Array = npt.NDArray[Any]


NOUN = "arrays"
OPTIONS = frozenset({"top"})


def answer(request: Request, opened: Opened) -> Answers:
    """Answers for .npy files: see `predict_arrays`."""
    return Answers(predict_arrays(request.files, *opened, top=request.classes))


def predict_arrays(
    paths: Sequence[Path], session: Session, metadata: dict[str, Any], *, top: int = 3
) -> Iterator[Answer]:
    """The answer for each file, or for each array of a file that holds several ([N, ...]).

    Args:
        session: of ONNX Runtime, on an exported model of arrays.
        metadata: the file's: `preprocessing` and `target`.
        top: how many classes to give.

    Raises:
        UserError: for a file that is no .npy, or of another shape or type: all of them are named.
    """
    if not paths:
        raise UserError("no array was given", "name one or more .npy files")
    if top < 1:
        raise UserError(f"top is {top}", "ask for at least one class")
    preprocessing, target = metadata["preprocessing"], metadata["target"]
    session.require_inputs({"arrays": (_ONNX_TYPES[preprocessing["dtype"]], 1 + len(preprocessing["shape"]))})
    found: list[tuple[str, Array]] = []
    bad = []
    for path in paths:
        try:
            found += _arrays(path, preprocessing)
        except (OSError, ValueError, EOFError) as error:
            bad.append(f"{path}: {error.strerror if isinstance(error, OSError) and error.strerror else error}")
    if bad:
        raise UserError(
            f"{len(bad)} of {len(paths)} files cannot be used:\n    " + "\n    ".join(bad),
            "replace them, or leave them out",
        )
    for start in range(0, len(found), _BATCH):
        part = found[start : start + _BATCH]
        answers = session.answers(np.stack([array for _, array in part]), target)
        for (name, _), answer in zip(part, answers, strict=True):
            yield answer_of(name, answer, target, top)


def input_of(model: Path, preprocessing: dict[str, Any]) -> Callable[[Any], Array]:
    """From an array, or the path of a .npy file, to what the model takes; the function raises UserError for others."""

    def take(value: Any) -> Array:
        name = str(value) if isinstance(value, str | Path) else "the array"
        try:
            found = np.load(value, allow_pickle=False) if isinstance(value, str | Path) else np.asarray(value)
            ((_, served),) = _as_served(found, name, preprocessing)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{name}: {error}", f"give one array of {preprocessing['shape']}") from None
        return served

    return take


def _arrays(path: Path, preprocessing: dict[str, Any]) -> list[tuple[str, Array]]:
    """The arrays of a file, with names for them, in the type in which the model is served.

    Raises:
        ValueError: with the reason why the model cannot take them.
    """
    return _as_served(np.load(path, allow_pickle=False), str(path), preprocessing)


def _as_served(found: Any, name: str, preprocessing: dict[str, Any]) -> list[tuple[str, Array]]:
    shape, stored = preprocessing["shape"], np.dtype(preprocessing["stored_dtype"])
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
        raise ValueError("it holds no array of numbers")
    if list(found.shape) not in (shape, [len(found), *shape] if found.ndim else shape):
        raise ValueError(f"its shape is {list(found.shape)}, the model takes {shape} or several of them, [N, ...]")
    if not found.size:
        raise ValueError("it is empty")
    with np.errstate(over="ignore", invalid="ignore"):
        values = found.astype(stored)
    right = np.isfinite(values) if stored.kind == "f" else values == found
    if not right.all():
        raise ValueError(f"it holds {found[~right].flat[0]!s}, which is no {stored} as the model takes them")
    served = values.astype(preprocessing["dtype"])
    if list(found.shape) == shape:
        return [(name, served)]
    return [(f"{name}[{number}]", each) for number, each in enumerate(served)]
