"""What an exported model answers, as `samebits predict` gives it, without the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.inference.answer import Answer
from samebits.inference.job import batches
from samebits.inference.predictor import Request
from samebits.inference.request import kind_for


def asked(model: Path, **request: Any) -> list[Answer]:
    """Of all samples, in order; errors among them.

    Args:
        request: as of `Request`.
    """
    kind = kind_for(Request(model, **request))
    return [answer for batch in kind.answers(batches(kind.items(), kind.batch)) for answer in batch]


def answered(model: Path, **request: Any) -> list[Answer]:
    """As `asked`.

    Raises:
        UserError: naming the samples that have an error, if there are any; or if there is no sample.
    """
    found = asked(model, **request)
    if bad := [f"{each.name}: {each.error}" for each in found if each.error]:
        raise UserError(f"{len(bad)} of {len(found)} samples cannot be used:\n    " + "\n    ".join(bad), "look")
    if not found:
        raise UserError("nothing was given", "give something")
    return found


def classify(paths: Sequence[Path], *, model: Path, **request: Any) -> list[Answer]:
    """Of image files."""
    return answered(model, files=tuple(paths), **request)


def predict_texts(
    model: Path, *, texts: Sequence[str] = (), files: Sequence[Path] = (), **request: Any
) -> list[Answer]:
    """Of texts and of files that hold some."""
    return answered(model, text=tuple(texts), files=tuple(files), **request)
