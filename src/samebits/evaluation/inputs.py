"""What an evaluator gets and what it gives back: a module with `evaluate(evaluated, settings) -> Evaluation`, which a
kind of target names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.decimals import rounded
from samebits.base.errors import UserError
from samebits.checkpoints.checkpoint import Checkpoint
from samebits.checkpoints.outputs import bounded_batch, sample_outputs, split_outputs
from samebits.checkpoints.serving import ServingModel
from samebits.data.loading.prepared import DatasetInfo, Split
from samebits.data.loading.sequential import Batch
from samebits.evaluation.baseline import Baseline
from samebits.evaluation.report.curves import Curve
from samebits.evaluation.report.page import Details
from samebits.inference.calibration import Calibration
from samebits.metrics.metric import Metric, Scores
from samebits.metrics.own import OwnMetric
from samebits.metrics.own_interval import as_metric
from samebits.params.evaluate import EvaluateParams
from samebits.params.model_name import shown_model
from samebits.signature.corrections import corrections_text
from samebits.signature.kind import Preview
from samebits.signature.tokens import TOKENIZER


@dataclass(frozen=True)
class EvaluationInputs:
    """A checkpoint and the split that it is evaluated on.

    Attributes:
        serving: the checkpoint's model with its preprocessing, on the CPU, in `evaluate.precision`.
        split: the test split.
        prepared: the prepared folder, for files beside the shards.
        curves: of the training.
        check: raises if a stop was asked for.
        calibration: what was fitted on the validation split; the temperature is in `serving` already.
        own_metrics: of the user's own, beside those of the kind of target.
    """

    checkpoint: Checkpoint
    serving: ServingModel
    info: DatasetInfo
    split: Split
    prepared: Path
    curves: list[Curve]
    check: Callable[[], None]
    calibration: Calibration
    own_metrics: tuple[OwnMetric, ...] = ()

    @property
    def more_metrics(self) -> list[Metric[Any]]:
        """Own metrics, as `measure` takes them."""
        return [as_metric(each) for each in self.own_metrics]

    def outputs(self, samples: torch.Tensor) -> npt.NDArray[np.floating]:
        """Raw outputs for stored samples; of a task of the user's own, those that mean the same answers.

        Raises:
            UserError: if such answers are none of the kind of target.
        """
        return sample_outputs(self.serving, samples)

    @property
    def title(self) -> str:
        return f"{shown_model(self.checkpoint.config.model)} on {self.info.title}"


@dataclass(frozen=True)
class Evaluation:
    """What is written.

    Attributes:
        metrics: `metrics.json`: `test` with the numbers, `interval` with their confidence intervals.
        files: of `report/`, by name: `report.html`, tables.
        figures: of `figures/`, PNG by name.
        table: lines for the terminal.
    """

    metrics: dict[str, Any]
    files: dict[str, bytes]
    figures: dict[str, bytes]
    table: list[str] = field(default_factory=list)


def outputs_in_batches(
    evaluated: EvaluationInputs, batch_size: int
) -> Iterator[tuple[npt.NDArray[np.floating], Batch]]:
    """Raw outputs of the whole split, eager on the CPU, as of `split_outputs`.

    Raises:
        UserError: if the split is empty.
    """
    if not len(evaluated.split):
        raise UserError("the test split holds no sample", "check data.source, then run: dvc repro")
    return split_outputs(
        evaluated.outputs, evaluated.split, bounded_batch(batch_size, evaluated.split), evaluated.check
    )


def raw_outputs(evaluated: EvaluationInputs, batch_size: int) -> npt.NDArray[np.floating]:
    """Raw outputs of the whole split in its order: logits [N, K] or standardised numbers [N].

    Raises:
        UserError: if the split is empty.
    """
    parts, batches = zip(*outputs_in_batches(evaluated, batch_size), strict=True)
    return np.concatenate(parts)[np.argsort(np.concatenate([batch.indices for batch in batches]))]


class Origin(NamedTuple):
    """Which sample a test sample was: its id, and the place in the source that a person can look up."""

    id: str
    source: str


def read_provenance(evaluated: EvaluationInputs) -> list[Origin]:
    """Of each row of the split.

    Raises:
        UserError: if the manifest is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = evaluated.prepared / "manifest.parquet"
    try:
        table = pq.read_table(path, columns=["split", "id", "source"], filters=[("split", "=", "test")])
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {error}", "make it again: dvc repro prepare") from None
    ids, sources = (table.column(name).to_pylist() for name in ("id", "source"))
    if len(ids) != len(evaluated.split):
        raise UserError(f"{path} names {len(ids):,} test samples of {len(evaluated.split):,}", "run dvc repro prepare")
    return [Origin(*each) for each in zip(ids, sources, strict=True)]


def details(evaluated: EvaluationInputs, settings: EvaluateParams) -> Details:
    """Tables for the end of a report: data, model, how it was evaluated."""
    info, config = evaluated.info, evaluated.checkpoint.config
    data = [("name", info.title), ("licence", info.licence), ("samples", info.signature.inputs.described)]
    if info.classes:
        data.append(("classes", f"{len(info.classes)}"))
    data.append(("splits", ", ".join(f"{count:,} {split}" for split, count in info.counts.items())))
    if corrected := corrections_text(info.corrections):
        data.append(("corrections", corrected))
    data.append(("digest", info.digest))
    parameters = sum(parameter.numel() for parameter in evaluated.checkpoint.model.parameters())
    model = [("model", str(config.model.get("name"))), ("parameters", f"{parameters:,}")]
    model += [(name, _text(value)) for name, value in sorted(config.model.items()) if name != "name"]
    model += [(f"task.{name}", _text(value)) for name, value in sorted(config.task.items())]
    model += [("trained", f"{config.epoch} epochs, {config.step:,} steps")]
    how = [(f"evaluate.{name}", _text(value)) for name, value in settings.model_dump().items()]
    found = [("Data", data), ("Model", model), ("Evaluation", how)]
    return [*found, ("Calibration", evaluated.calibration.facts)]


def previews(evaluated: EvaluationInputs, indices: npt.NDArray[np.int64]) -> list[Preview]:
    """Samples of the split by row, for galleries and tables of worst cases."""

    def decode(tokens: list[int]) -> str:
        return str(tokenizer(evaluated.prepared).decode(tokens))

    return evaluated.info.signature.inputs.previews(evaluated.split.rows(indices), decode)


@lru_cache(maxsize=1)
def tokenizer(prepared: Path) -> Any:
    """The tokeniser of prepared texts."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(prepared / TOKENIZER))


def special_tokens(prepared: Path) -> frozenset[int]:
    """Tokens of no text, such as those at its ends."""
    added = tokenizer(prepared).get_added_tokens_decoder()
    return frozenset(token for token, each in added.items() if each.special)


def metrics_document(metrics: Scores, baseline: Baseline, settings: EvaluateParams, samples: int) -> dict[str, Any]:
    """`metrics.json`: numbers under `test`, their intervals under `interval`, what is reached without an input under
    `baseline`; what is undefined is null, with why. `better` says of metrics of the user's own which end is."""
    limits = {name: (rounded(each.low), rounded(each.high)) for name, each in metrics.intervals.items()}
    document: dict[str, Any] = {
        "test": {name: rounded(value) for name, value in metrics.values.items()},
        "interval": {
            name: {"low": low, "high": high} for name, (low, high) in limits.items() if None not in (low, high)
        },
        "baseline": baseline.values,
        "confidence": settings.confidence,
        "samples": samples,
    }
    if own := {each.name: each.metric.better for each in metrics.scores if each.metric.own}:
        document["better"] = own
    if undefined := metrics.undefined:
        document["undefined"] = undefined
    return document


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
