"""What `samebits monitor` compares with: inputs of the training split, answers for the validation split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.decimals import ANSWER_DECIMALS
from samebits.checkpoints.outputs import bounded_batch
from samebits.checkpoints.serving import ServingModel
from samebits.data.loading.prepared import Split, open_split
from samebits.data.loading.sequential import sequential
from samebits.drift.answers import cells_of, measure_answers, watched_columns
from samebits.drift.measure import Counts, Kind, Measure, kind_of
from samebits.drift.reference import Reference, statistics
from samebits.inference.calibration import Calibration
from samebits.signature.kind import Array

_MOST_INPUTS, _MOST_ANSWERS = 10_000, 2_000
"""Samples, evenly over a split: of more, nothing changes that would be called drift."""
_AT_ONCE = 256

Indices = npt.NDArray[np.int64]


def reference(prepared: Path, serving: ServingModel, calibration: Calibration, check: Callable[[], None]) -> Reference:
    """The statistics of both splits.

    Args:
        serving: the calibrated model.
        check: called before each batch; raises to stop.
    """
    train, validation = (open_split(prepared, name, in_memory=False) for name in ("train", "validation"))
    info, target = train.info, serving.target
    kind, chosen = kind_of(info.signature.inputs), _some(train, _MOST_INPUTS)
    # A text that was counted itself has no new token: those that are measured are others.
    counts = _token_counts(kind, _inputs(train, chosen[1::2], check))
    if counts:
        chosen = chosen[::2]
    measured = [kind.measure(rows, counts) for rows in _inputs(train, chosen, check)]
    columns = watched_columns(target, calibration)
    answered = list(_answers(validation, serving, calibration, check)) if columns else []
    return Reference(
        weights_sha256=calibration.weights_sha256,
        data_digest=info.digest,
        inputs=statistics(measured),
        answers=statistics(answered),
        columns=columns if answered else {},
        labels=list(target.labels),
        ood_threshold=calibration.ood_threshold,
        token_counts=counts,
    )


def _some(split: Split, most: int) -> Indices:
    return np.linspace(0, max(0, len(split) - 1), min(len(split), most)).astype(np.int64)


def _inputs(split: Split, chosen: Indices, check: Callable[[], None]) -> Iterator[Array]:
    for start in range(0, len(chosen), _AT_ONCE):
        check()
        yield split.samples(chosen[start : start + _AT_ONCE])[0]


def _token_counts(kind: Kind[Any], parts: Iterator[Array]) -> list[int]:
    """Empty for inputs that have no tokens."""
    total: Counts | None = None
    for rows in parts:
        counts = kind.token_counts(rows)
        if not len(counts):
            break
        total = counts if total is None else total + counts
    return [] if total is None else [int(count) for count in total]


def _answers(
    split: Split, serving: ServingModel, calibration: Calibration, check: Callable[[], None]
) -> Iterator[dict[str, Measure]]:
    chosen, step = _some(split, _MOST_ANSWERS), bounded_batch(_AT_ONCE, split)
    target, columns = serving.target, watched_columns(serving.target, calibration)
    for batch in sequential(split, step, chosen):
        check()
        with torch.inference_mode():
            answers = serving(batch.inputs).numpy().round(ANSWER_DECIMALS)
        cells = cells_of(answers, target, calibration)
        yield measure_answers(cells, columns, target.labels, calibration.ood_threshold)
