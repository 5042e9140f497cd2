"""`reference.json`: what the training data and the answers on the validation split are like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.drift.measure import Counts, Measure
from samebits.params.section import Section, Sha256
from samebits.signature.kind import Column

REFERENCE = "reference.json"
"""Beside the exported files."""
_FIX = "make it again: dvc repro (or fetch it: dvc pull)"
_EDGES = 64


class NumberStatistic(Section):
    """How a number is distributed.

    Attributes:
        edges: rising; quantiles of the training data, the lowest and the highest value included, and the float32 before
            the lowest and before each value that is frequent.
        counts: of the values up to the first edge, up to the second ..., and above the last.
        missing: how many have none.
        mean: of those that have one; 0 where none has.
    """

    kind: Literal["number"] = "number"
    name: str
    edges: list[float]
    counts: list[int] = Field(min_length=1)
    missing: int = Field(ge=0)
    mean: float

    def counted(self, values: npt.NDArray[np.float32]) -> Counts:
        """How many values are in each bin, and last how many are missing: int64 [edges + 2]."""
        there = values[~np.isnan(values)]
        # Each edge is a value itself, and belongs to the bin below it.
        bins = np.searchsorted(np.array(self.edges, dtype=np.float32), there, side="left")
        found = np.bincount(bins, minlength=len(self.edges) + 1)
        return np.append(found, len(values) - len(there)).astype(np.int64)

    @property
    def all_counts(self) -> Counts:
        """As `counted`."""
        return np.array([*self.counts, self.missing], dtype=np.int64)


class CategoryStatistic(Section):
    """How often each category is there."""

    kind: Literal["category"] = "category"
    name: str
    names: list[str]
    counts: list[int]

    def counted(self, values: npt.NDArray[np.int64]) -> Counts:
        """How many samples are in each category, and last how many in none of them: int64 [names + 1]."""
        return np.bincount(np.minimum(values, len(self.names)), minlength=len(self.names) + 1).astype(np.int64)

    @property
    def all_counts(self) -> Counts:
        """As `counted`."""
        return np.array([*self.counts, 0], dtype=np.int64)


Statistic = Annotated[NumberStatistic | CategoryStatistic, Field(discriminator="kind")]


class Reference(Section):
    """What samples in use are compared with.

    Attributes:
        weights_sha256: of the model that the answers are of.
        data_digest: of the prepared data.
        inputs: statistics of samples of the training split.
        answers: of the answers for samples of the validation split, which the model was not trained on.
        columns: of answers that are compared, and what they hold.
        labels: names of the classes.
        ood_threshold: as of `Calibration`.
        token_counts: of texts, how often each token is in those samples of the training split that are not measured.
    """

    format_version: Literal[1] = 1
    weights_sha256: Sha256
    data_digest: str
    inputs: list[Statistic] = Field(default=[])
    answers: list[Statistic] = Field(default=[])
    columns: dict[str, Column] = Field(default={})
    labels: list[str] = Field(default=[])
    ood_threshold: float | None = None
    token_counts: list[int] = Field(default=[])


def statistics(measures: Iterable[Mapping[str, Measure]]) -> list[NumberStatistic | CategoryStatistic]:
    """Of the measures of all samples, in parts; none where there is no sample."""
    parts = list(measures)
    found: list[NumberStatistic | CategoryStatistic] = []
    for name in parts[0] if parts else ():
        values = np.concatenate([part[name].values for part in parts])
        names = parts[0][name].names
        found.append(_of_categories(name, values, names) if names else _of_numbers(name, values))
    return found


def _of_numbers(name: str, values: npt.NDArray[np.float32]) -> NumberStatistic:
    there = np.sort(values[~np.isnan(values)])
    places = np.linspace(0, max(0, len(there) - 1), _EDGES + 1).round().astype(np.int64)
    edges = np.unique(there[places]) if len(there) else there
    # A value that many samples have (a probability of 1) is a bin of its own, and so is what lies below all of them.
    often = np.searchsorted(there, edges, side="right") - np.searchsorted(there, edges) > len(there) / _EDGES
    often[:1] = True
    edges = np.unique(np.concatenate([edges, np.nextafter(edges[often], np.float32(-np.inf))]))
    mean = float(there.mean(dtype=np.float64)) if len(there) else 0.0
    # The shortest text that gives each back.
    shortest = [float(str(edge)) for edge in edges]
    empty = NumberStatistic(name=name, edges=shortest, counts=[0], missing=0, mean=float(f"{mean:.6g}"))
    *counts, missing = empty.counted(values).tolist()
    return empty.model_copy(update={"counts": counts, "missing": missing})


def _of_categories(name: str, values: npt.NDArray[np.int64], names: Sequence[str]) -> CategoryStatistic:
    return CategoryStatistic(name=name, names=list(names), counts=np.bincount(values, minlength=len(names)).tolist())


def load_reference(path: Path) -> Reference:
    """What the stages wrote beside a model.

    Raises:
        UserError: if it is missing, damaged, or of another format.
    """
    if not path.is_file():
        raise UserError(
            f"{path} does not exist: there is nothing to compare with",
            "it is made with the model: dvc repro; it belongs beside model.onnx",
        )
    try:
        return Reference.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is not what evaluate writes: {place}: {first['msg']}", _FIX) from None
