"""A model's outputs for the samples of a split, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.decimals import ANSWER_DECIMALS
from samebits.base.errors import UserError
from samebits.checkpoints.serving import ServingModel
from samebits.data.loading.prepared import Split
from samebits.data.loading.sequential import Batch, by_length, sequential
from samebits.tasks.own import OwnTask

_NUMBERS = 1 << 24
"""Outputs that are looked at together, at most."""


def sample_outputs(serving: ServingModel, samples: torch.Tensor, split: str = "test") -> npt.NDArray[np.floating]:
    """Raw outputs for stored samples; of a task of the user's own, those that mean the same answers.

    Args:
        split: that the samples are of, for messages.

    Raises:
        UserError: if such answers are none of the kind of target.
    """
    if not isinstance(serving.task, OwnTask):
        outputs: npt.NDArray[np.floating] = serving.outputs(samples).numpy()
        return outputs
    answers = serving(samples).double().numpy()
    if problem := serving.target.answers_problem(answers):
        raise UserError(f"postprocess of {serving.task.name} fails on the {split} split: {problem}", "fix it")
    return serving.target.outputs_of(answers)


def bounded_batch(batch_size: int, split: Split) -> int:
    """Samples per forward pass, fewer than asked for where the outputs of so many would be large."""
    return max(1, min(batch_size, _NUMBERS // math.prod(split.info.signature.output_shape)))


def split_outputs(
    outputs: Callable[[torch.Tensor], npt.NDArray[np.floating]],
    split: Split,
    batch_size: int,
    check: Callable[[], None],
) -> Iterator[tuple[npt.NDArray[np.floating], Batch]]:
    """Outputs, a batch at a time, and the samples that they are of; the shortest texts first.

    Args:
        outputs: of stored samples: a model's raw outputs, or its answers.
        check: called before each batch; raises to stop.
    """
    with torch.inference_mode():
        for batch in sequential(split, batch_size, by_length(split)):
            check()
            yield outputs(batch.inputs).round(ANSWER_DECIMALS), batch
