"""A reference beside a model, of samples and answers that the test makes."""

from __future__ import annotations

from pathlib import Path

from samebits.base.files import write_json
from samebits.drift.answers import measure_answers, watched_columns
from samebits.drift.measure import kind_of
from samebits.drift.reference import Reference, statistics
from samebits.inference.calibration import UNCALIBRATED, Calibration
from samebits.signature.kind import Array, InputKind
from samebits.signature.target_kind import TargetKind


def write_reference(
    folder: Path,
    inputs: InputKind,
    target: TargetKind,
    rows: Array,
    cells: dict[str, list[object]],
    calibration: Calibration = UNCALIBRATED,
) -> None:
    """Write `reference.json`.

    Args:
        rows: samples of the training data, as they are stored.
        cells: of answers, by column.
    """
    columns = watched_columns(target, calibration)
    measured = kind_of(inputs).measure(rows, ())
    answered = measure_answers(cells, columns, target.labels, calibration.ood_threshold)
    reference = Reference(
        weights_sha256=calibration.weights_sha256,
        data_digest="d1",
        inputs=statistics([measured]),
        answers=statistics([answered]),
        columns=columns,
        labels=list(target.labels),
        ood_threshold=calibration.ood_threshold,
    )
    write_json(folder / "reference.json", reference.model_dump())
