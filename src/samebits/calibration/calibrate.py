"""What the model says of the validation split, against what is true there: temperature, intervals, limits.

The `evaluate` stage does it first. So another coverage, or no temperature, costs no training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.calibration.conformal import conformal_limit, fewest_samples
from samebits.calibration.rows import KeptRows
from samebits.calibration.temperature import LEAST, MOST, FittedTemperature, fit_temperature
from samebits.checkpoints.checkpoint import Checkpoint
from samebits.checkpoints.outputs import bounded_batch, sample_outputs, split_outputs
from samebits.checkpoints.serving import ServingModel
from samebits.data.loading.prepared import Split
from samebits.inference.calibration import Calibration, entropy
from samebits.params.calibration import CalibrationParams
from samebits.tasks.own import OwnTask

Floats = npt.NDArray[np.float64]

FEWEST = 100
"""Validation samples for a temperature: of fewer, its own error is larger than what it mends."""

_CROSS_ENTROPIES = {"CrossEntropyLoss", "BCEWithLogitsLoss"}
"""Losses of torch.nn whose outputs are logits."""


def calibrate(
    asked: CalibrationParams,
    checkpoint: Checkpoint,
    serving: ServingModel,
    split: Split,
    weights_sha256: str,
    *,
    batch_size: int,
    check: Callable[[], None],
) -> Calibration:
    """What is fitted to the validation split.

    Args:
        serving: the checkpoint's model without a temperature, in the precision to compute in.
        split: the validation split.
        weights_sha256: of the checkpoint's weights.
        batch_size: samples per forward pass, at most.
        check: called before each; raises to stop.

    Raises:
        UserError: if an output is not finite.
    """
    said = _Said()
    if not serving.target.generates and len(split):
        said = _what_is_said(serving, split, batch_size, check)
    return fit(asked, said, checkpoint, len(split), weights_sha256)


@dataclass
class _Said:
    """What the model said of the validation split.

    Attributes:
        rows: logits and true classes, in parts.
        errors: of predicted numbers, [n, numbers] each.
        of_class: whether the rows are samples, each of one class.
    """

    rows: KeptRows = field(default_factory=KeptRows)
    errors: list[Floats] = field(default_factory=list)
    of_class: bool = False


def _what_is_said(serving: ServingModel, split: Split, batch_size: int, check: Callable[[], None]) -> _Said:
    target = serving.target
    said = _Said(of_class=target.one_class)
    outputs_of = partial(sample_outputs, serving, split="validation")
    for outputs, batch in split_outputs(outputs_of, split, bounded_batch(batch_size, split), check):
        exact = outputs.astype(np.float64)
        if not np.isfinite(exact).all():
            raise UserError(
                "the model's output for a validation sample is not finite",
                "the weights are damaged or the training diverged: lower train.optimizer.lr and train again",
            )
        targets = batch.targets.numpy()
        if (rows := target.temperature_rows(exact, targets)) is not None:
            said.rows.append(*rows)
        if (errors := target.errors(exact, targets)) is not None:
            said.errors.append(errors)
    return said


def fit(
    asked: CalibrationParams, said: _Said, checkpoint: Checkpoint, samples: int, weights_sha256: str
) -> Calibration:
    """What was asked for, of what the model said; `reasons` has why something is not there."""
    reasons: dict[str, str] = {}
    values: dict[str, Any] = {}
    temperature = 1.0
    if asked.temperature and not said.errors:
        fitted = _temperature(said, checkpoint, samples)
        if isinstance(fitted, str):
            reasons["temperature"] = fitted
        else:
            temperature = fitted.temperature
            values |= {"log_loss": fitted.log_loss, "log_loss_before": fitted.log_loss_before}
    if asked.coverage is not None and said.errors:
        errors = np.concatenate(said.errors)
        limits = [conformal_limit(column, asked.coverage) for column in errors.T]
        if None in limits:
            reasons["coverage"] = _too_few(samples, asked.coverage)
        else:
            values |= {"coverage": asked.coverage, "half_widths": [_digits(cast(float, each)) for each in limits]}
    if said.of_class:
        values |= _of_class(asked, said, temperature, isinstance(checkpoint.task, OwnTask), reasons)
    elif asked.sets:
        reasons["sets"] = "the target is not one class"
    return Calibration(
        weights_sha256=weights_sha256, samples=samples, temperature=temperature, reasons=reasons, **values
    )


def _of_class(
    asked: CalibrationParams, said: _Said, temperature: float, own_task: bool, reasons: dict[str, str]
) -> dict[str, Any]:
    """Limits for sets and for what is unlike the training data."""
    of_truth, entropies = [], []
    for logits, classes in said.rows:
        scaled = logits / temperature
        shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        of_truth.append(shares[np.arange(len(classes)), classes])
        entropies.append(entropy(shares, temperature))
    shares = np.concatenate(of_truth)
    found: dict[str, Any] = {}
    if asked.sets and asked.coverage is not None:
        # The k-th least of 1 - p is 1 - the k-th largest p, of which no digit is lost.
        limit = conformal_limit(-shares, asked.coverage)
        if limit is None:
            reasons["sets"] = _too_few(len(shares), asked.coverage)
        else:
            found |= {"coverage": asked.coverage, "set_probability": _digits(-limit)}
    if asked.ood_rate is not None:
        limit = None if own_task else conformal_limit(np.concatenate(entropies), 1.0 - asked.ood_rate)
        if own_task:
            reasons["ood_rate"] = "task.name is own: its outputs may be no logits"
        elif limit is None:
            reasons["ood_rate"] = _too_few(len(shares), 1.0 - asked.ood_rate)
        else:
            found |= {"ood_rate": asked.ood_rate, "ood_threshold": _digits(limit)}
    return found


def _temperature(said: _Said, checkpoint: Checkpoint, samples: int) -> FittedTemperature | str:
    """A fitted temperature, or why there is none."""
    if checkpoint.config.signature.target.generates:
        return "a language model gives scores; samebits generate has a temperature of its own"
    if isinstance(checkpoint.task, OwnTask):
        return "task.name is own: its outputs may be no logits"
    loss = (checkpoint.config.task.get("own_loss") or {}).get("class_name")
    if loss is not None and loss not in _CROSS_ENTROPIES:
        return f"task.own_loss is {loss}: with another loss than cross entropy, outputs may be no logits"
    if samples < FEWEST:
        return f"the validation split has {samples:,} samples, and {FEWEST} are the fewest"
    found = fit_temperature(said.rows)
    if found is None:
        return (
            f"no temperature between {LEAST:g} and {MOST:g} is best: the validation split is answered without a "
            "mistake, or no better than by chance"
        )
    return found


def _too_few(samples: int, coverage: float) -> str:
    return f"the validation split has {samples:,} samples, and {coverage:g} needs {fewest_samples(coverage):,}"


def _digits(value: float) -> float:
    """As many as every machine has in common."""
    return float(f"{value:.6g}")
