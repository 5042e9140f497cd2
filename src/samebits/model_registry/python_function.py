"""The registered model as MLflow's `python_function`: the answers of `samebits predict`, a row per sample.

A copy of this module and of the code that it uses lies in the model's folder (`code_archive.py`). There it needs ONNX
Runtime, numpy, pandas and pydantic, for images Pillow, for texts tokenizers: neither torch nor an installed samebits.
"""

from __future__ import annotations

import base64
import binascii
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from zipimport import zipimporter

import numpy as np
import numpy.typing as npt
import pandas as pd

from samebits.base.errors import UserError
from samebits.inference.answer import Reading, answer_of, cells_of
from samebits.inference.calibration import UNCALIBRATED
from samebits.inference.session import open_model
from samebits.signature.signature import INPUTS

_BATCH = 256

Array = npt.NDArray[Any]


class PythonFunction:
    """A model with its preprocessing.

    Args:
        model: the .onnx file; what belongs to it, as a tokenizer, lies beside it.
    """

    def __init__(self, model: Path) -> None:
        self._session, metadata = open_model(model)
        self._target, inputs = metadata["target"], metadata["preprocessing"]
        self._reading = Reading(
            self._target, max(1, len(self._target.labels)), 1, metadata.get("calibration") or UNCALIBRATED
        )
        kind = INPUTS[inputs.get("kind", "image")]
        self._pictures = kind.pictures
        self._columns = columns_of(inputs)
        self._take = import_module(f"samebits.inference.{kind.predictor}").input_of(model, inputs)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answers, a row per sample.

        Args:
            model_input: of tables, the columns that the model knows; of images, a column of the bytes of image files
                (in JSON: as base64) or of arrays of pixels; of texts, a column of texts; of arrays, {name: [N, ...]}.
            params: not used; MLflow gives them.

        Returns:
            the columns of `samebits predict` (`prediction`; of a class, `probability`; of several numbers, a column for
            each), with what a calibration adds; of classes also `probabilities` (label -> probability).

        Raises:
            UserError: for a sample that the model cannot take.
        """
        samples = map(self._take, self._values(model_input))
        rows = [row for batch in _batches(samples) for row in self._rows(self._session.answers(batch, self._target))]
        return pd.DataFrame(rows)

    def _values(self, given: Any) -> Iterable[Any]:
        if isinstance(given, dict):
            (values,) = given.values()
            return list(values)
        if self._columns:
            known = given[self._columns].astype(object)
            rows: list[Any] = known.where(known.notna(), None).to_dict("records")
            return rows
        values = given.iloc[:, 0].tolist()
        return map(_picture, values) if self._pictures else values

    def _rows(self, given: npt.NDArray[np.float32]) -> Iterator[dict[str, Any]]:
        scores = self._reading.calibration.ood_scores_of(list(given))
        answers = [
            answer_of("", each, self._reading, ood_score=score) for each, score in zip(given, scores, strict=True)
        ]
        names = self._reading.names
        for answer, cells in zip(answers, zip(*cells_of(answers, names), strict=True), strict=True):
            row = dict(zip(names, cells, strict=True))
            yield row | ({"probabilities": dict(answer.classes)} if answer.classes else {})


def columns_of(inputs: dict[str, Any]) -> list[str]:
    """Names of the columns that a model of tables takes; none for other kinds."""
    return list(dict.fromkeys(each.get("source") or each["name"] for each in inputs.get("columns", ())))


def _picture(value: Any) -> Any:
    """Never a path: a server would read its own files for whoever asks."""
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            raise UserError("an image is a text, but no base64", "send the bytes of an image file, as base64") from None
    if isinstance(value, list):
        pixels = np.asarray(value)
        fits = pixels.dtype.kind in "iu" and pixels.min(initial=0) >= 0 and pixels.max(initial=0) <= 255
        return pixels.astype(np.uint8) if fits else pixels
    return value


def _batches(samples: Iterable[Array]) -> Iterator[Array]:
    """Samples of one shape together, in order: [n, ...] of at most `_BATCH`."""
    batch: list[Array] = []
    for sample in samples:
        if batch and (len(batch) == _BATCH or sample.shape != batch[0].shape):
            yield np.stack(batch)
            batch = []
        batch.append(sample)
    if batch:
        yield np.stack(batch)


@cache
def _load_all() -> None:
    """Load the whole archive that this module lies in, if it does: the file may be moved or deleted meanwhile.

    A module that cannot be loaded is of another kind of inputs, whose packages are not installed.
    """
    if not isinstance(getattr(__spec__, "loader", None), zipimporter):
        return
    package = __name__.partition(".")[0]
    for each in pkgutil.walk_packages(sys.modules[package].__path__, f"{package}."):
        with suppress(ImportError):
            import_module(each.name)


def _load_pyfunc(data_path: str) -> PythonFunction:
    """What MLflow calls, with the path of the .onnx file."""
    _load_all()
    return PythonFunction(Path(data_path))
