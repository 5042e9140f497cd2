"""What a finished training writes: the checkpoint, the curves, the metrics of the epoch that was kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samebits.base.decimals import shown
from samebits.base.errors import listed
from samebits.base.files import csv_bytes, remove_unfinished, write_bytes, write_json
from samebits.base.own_code import copy_own_code, names_own_code
from samebits.checkpoints.checkpoint import CheckpointConfig, copy_files, save_checkpoint
from samebits.data.loading.prepared import DatasetInfo
from samebits.models import settled_settings
from samebits.params.section import Section
from samebits.pipeline.context import StageContext
from samebits.training.loop import Training
from samebits.training.optim.finite import CALMER, not_finite, require_finite_state
from samebits.training.resume.state import Row, step_of

_FEWEST_EPOCHS = 2
_MUCH_WORSE = 1.5
"""A validation loss so many times the best one is worth a warning: noise between epochs does not reach it."""


def write_outputs(training: Training, task: Section, model: Section, info: DatasetInfo, context: StageContext) -> None:
    """The outputs: weights, config, curves and the metrics of the epoch that was kept."""
    state, reports = training.state, context.project.reports / "train"
    remove_unfinished(context.project.checkpoint, reports)
    steps = training.batches.steps_per_epoch
    epoch = state.step // steps if state.best is None else state.best_epoch
    require_finite_state(not_finite(state.best or state.weights(), state.unbounded), epoch * steps)
    config = CheckpointConfig(
        task=task.model_dump(),
        model=settled_settings(model, info.signature).model_dump(),
        signature=info.signature,
        data_digest=info.digest,
        step=epoch * steps,
        epoch=epoch,
    )
    save_checkpoint(context.project.checkpoint, state.kept_weights(), config)
    copy_files(context.project.prepared, context.project.checkpoint, info.signature)
    augment = training.batches.augment
    named = [config.task, config.model, augment.model_dump() if augment else {}]
    copy_own_code(context.project.workspace if names_own_code(named) else None, context.project.checkpoint)

    rows = _merged(state.curve)
    write_bytes(reports / "curves.csv", _csv(rows))
    kept: Row = next((row for row in reversed(rows) if step_of(row) == epoch * steps), {})
    validation = {name.removeprefix("val/"): value for name, value in kept.items() if name.startswith("val/")}
    lost = [name for name, value in validation.items() if value is None]
    metrics: dict[str, Any] = {
        "val": validation,
        "train": {"loss": kept.get("train/loss"), "steps": state.step, "epochs": state.step // steps},
        "model": {"parameters": sum(each.numel() for each in state.model.parameters()), "epoch": epoch},
    }
    if lost:
        metrics["undefined"] = {f"val/{name}": "it is not finite" for name in lost}
    write_json(reports / "metrics.json", metrics)
    context.tracker.report(reports / "metrics.json")
    said = ", ".join(f"validation {name} {shown(value)}" for name, value in validation.items())
    context.say(f"kept epoch {epoch}: {said}")
    own = {each.name for each in training.own_metrics}  # may be undefined for a split
    if diverged := [name for name in lost if name not in own]:
        context.say(f"warning: the training diverged: the validation {listed(diverged)} is not finite; {CALMER}")
    elif warning := _learnt_badly(rows, epoch * steps):
        context.say(f"warning: {warning}")


def _learnt_badly(rows: list[Row], kept: int) -> str:
    """What is wrong with the losses of a training, if something is.

    Args:
        rows: of the whole curve.
        kept: the step of the weights that are written.
    """
    losses = {step_of(row): loss for row in rows if isinstance(loss := row.get("val/loss"), float)}
    epochs = sorted(losses)
    if kept not in losses or len(epochs) < _FEWEST_EPOCHS:
        return ""
    best = min(epochs, key=losses.__getitem__)
    if losses[kept] <= _MUCH_WORSE * losses[best]:
        return ""
    was, now = (f"{shown(losses[step])} after epoch {epochs.index(step) + 1}" for step in (best, kept))
    return (
        f"the validation loss was {was} and is {now}, whose weights are kept; set train.select: best and "
        f"train.patience, or, if it rose at once: {CALMER}"
    )


def write_curves(curve: list[Row], reports: Path) -> None:
    """`curves.csv` so far, for `dvc plots` while the training runs."""
    write_bytes(reports / "curves.csv", _csv(_merged(curve)))


def _merged(curve: list[Row]) -> list[Row]:
    """One row per step."""
    rows: dict[int, Row] = {}
    for row in curve:
        rows.setdefault(step_of(row), {}).update(row)
    return list(rows.values())


def _csv(rows: list[Row]) -> bytes:
    columns = sorted({name for row in rows for name in row} - {"step"})
    header = ["step", *columns]
    return csv_bytes(header, ([row.get(name) for name in header] for row in rows))
