"""The `evaluate` stage: judge the checkpoint on the test split. Nothing before it looks at that split.

Run it by `dvc repro evaluate`. Result: `reports/evaluation/` with `metrics.json`, `report/` (one HTML page that needs
nothing else, and tables) and `figures/`.
"""

from __future__ import annotations

import contextlib
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from samebits.base.errors import Interrupted
from samebits.base.files import remove_unfinished, sha256_file, write_bytes, write_json
from samebits.checkpoints.checkpoint import WEIGHTS
from samebits.checkpoints.double_precision import double_precision
from samebits.checkpoints.serving import build_serving
from samebits.checkpoints.trained_on import load_trained
from samebits.compute.cpu import available_cores
from samebits.compute.determinism import THREADS, set_threads
from samebits.data.loading.prepared import open_split
from samebits.evaluation.inputs import Evaluation, EvaluationInputs
from samebits.evaluation.report.curves import read_curves
from samebits.inference.calibration import load_calibration
from samebits.metrics.own import own_metrics
from samebits.params.evaluate import EvaluateParams

if TYPE_CHECKING:
    from samebits.pipeline.context import StageContext


def evaluate(evaluate: EvaluateParams, *, context: StageContext) -> None:
    """Write `reports/evaluation/` from `models/checkpoint/` and the test split.

    Raises:
        UserError: missing or damaged inputs, a checkpoint of other data, outputs that are not finite.
        Interrupted: if asked to stop.
    """
    # In float64 no digit that is written shows how a sum was split.
    set_threads(available_cores() if evaluate.precision == "fp64" else THREADS)
    project = context.project
    checkpoint, info = load_trained(project)
    calibration = load_calibration(project.calibration, sha256_file(project.checkpoint / WEIGHTS))
    if calibration is None:
        context.say(f"{project.calibration} is not there: the answers are not calibrated")

    def check() -> None:
        if context.stop.requested:
            raise Interrupted("evaluate was stopped")

    evaluated = EvaluationInputs(
        checkpoint=checkpoint,
        serving=build_serving(
            checkpoint.model, checkpoint.task, info.signature, calibration.temperature if calibration else 1.0
        ),
        calibration=calibration,
        info=info,
        split=open_split(
            project.prepared, "test", in_memory=info.split_bytes("test") <= context.runtime.memory_mib << 20
        ),
        prepared=project.prepared,
        curves=read_curves(project.reports / "train" / "curves.csv"),
        check=check,
        own_metrics=own_metrics(checkpoint.own_metrics),
    )
    context.tracker.computes()
    module = import_module(f"samebits.evaluation.{info.signature.target.evaluator}")
    with double_precision(evaluated.serving) if evaluate.precision == "fp64" else contextlib.nullcontext():
        evaluation: Evaluation = module.evaluate(evaluated, evaluate)
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
