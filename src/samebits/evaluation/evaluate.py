"""The `evaluate` stage: calibrate on the validation split, and judge on the test split, which nothing saw before.

Run it by `dvc repro evaluate`. Result: `models/calibration.json`, which every export carries, `models/reference.json`
for `samebits monitor`, and `reports/evaluation/` with `metrics.json`, `report/` (one HTML page that needs nothing else,
and tables) and `figures/`.
"""

from __future__ import annotations

import contextlib
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from samebits.base.errors import Interrupted
from samebits.base.files import remove_unfinished, sha256_file, write_bytes, write_json
from samebits.calibration.calibrate import calibrate
from samebits.checkpoints.checkpoint import WEIGHTS
from samebits.checkpoints.serving import build_serving
from samebits.checkpoints.trained_on import load_trained
from samebits.compute.cpu import available_cores
from samebits.compute.determinism import THREADS, set_threads
from samebits.data.loading.prepared import Split, open_split
from samebits.evaluation.double_precision import double_precision
from samebits.evaluation.inputs import Evaluation, EvaluationInputs
from samebits.evaluation.reference import reference
from samebits.evaluation.report.curves import read_curves
from samebits.metrics.own import own_metrics
from samebits.params.calibration import CalibrationParams
from samebits.params.evaluate import EvaluateParams

if TYPE_CHECKING:
    from samebits.pipeline.context import StageContext


def evaluate(evaluate: EvaluateParams, calibration: CalibrationParams, *, context: StageContext) -> None:
    """Write `models/calibration.json`, `models/reference.json` and `reports/evaluation/`.

    Raises:
        UserError: missing or damaged inputs, a checkpoint of other data, outputs that are not finite.
        Interrupted: if asked to stop.
    """
    # In float64 no digit that is written shows how a sum was split.
    set_threads(available_cores() if evaluate.precision == "fp64" else THREADS)
    project = context.project
    checkpoint, info = load_trained(project)
    weights_sha256 = sha256_file(project.checkpoint / WEIGHTS)
    serving = build_serving(checkpoint.model, checkpoint.task, info.signature)

    def check() -> None:
        if context.stop.requested:
            raise Interrupted("evaluate was stopped")

    def split(name: Literal["validation", "test"]) -> Split:
        fits = info.split_bytes(name) <= context.runtime.memory_mib << 20
        return open_split(project.prepared, name, in_memory=fits)

    context.tracker.computes()
    module = import_module(f"samebits.evaluation.{info.signature.target.evaluator}")
    with double_precision(serving) if evaluate.precision == "fp64" else contextlib.nullcontext():
        fitted = calibrate(
            calibration, checkpoint, serving, split("validation"), weights_sha256,
            batch_size=evaluate.batch_size, check=check,
        )  # fmt: skip
        for name, value in fitted.facts:
            context.say(f"{name}: {value}")
        serving.temperature = fitted.temperature
        evaluated = EvaluationInputs(
            checkpoint=checkpoint,
            serving=serving,
            calibration=fitted,
            info=info,
            split=split("test"),
            prepared=project.prepared,
            curves=read_curves(project.reports / "train" / "curves.csv"),
            check=check,
            own_metrics=own_metrics(checkpoint.own_metrics),
        )
        evaluation: Evaluation = module.evaluate(evaluated, evaluate)
        compared = reference(project.prepared, serving, fitted, check)
    write_json(project.calibration, fitted.model_dump())
    write_json(project.reference, compared.model_dump())
    folder = project.reports / "evaluation"
    _write(folder, evaluation)
    for line in evaluation.table:
        context.say(line)
    context.tracker.report(folder / "metrics.json")
    for path in [*sorted((folder / "figures").iterdir()), *sorted((folder / "report").iterdir())]:
        # One line a sample: of interest to `dvc plots`, too large and too private for the tracker.
        if path.name != "predictions.csv":
            context.tracker.artifact(path, "evaluation")


def _write(folder: Path, evaluation: Evaluation) -> None:
    """Both folders anew, `metrics.json` last."""
    for name, files in (("report", evaluation.files), ("figures", evaluation.figures)):
        shutil.rmtree(folder / name, ignore_errors=True)
        for file, data in files.items():
            write_bytes(folder / name / file, data)
    remove_unfinished(folder)
    write_json(folder / "metrics.json", evaluation.metrics)
