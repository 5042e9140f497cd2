"""A model's raw outputs for the samples of a split, as evaluation and calibration look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.decimals import ANSWER_DECIMALS
from samebits.base.errors import UserError
from samebits.checkpoints.serving import ServingModel
from samebits.data.loading.prepared import Split
from samebits.data.loading.sequential import by_length, sequential
from samebits.tasks.own import OwnTask


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


def split_outputs(
    outputs: Callable[[torch.Tensor], npt.NDArray[np.floating]],
    split: Split,
    batch_size: int,
    check: Callable[[], None],
) -> Iterator[tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]]:
    """Batches of raw outputs with the rows of the split that they are of; the shortest texts first.

    Args:
        outputs: of stored samples.
        check: called before each batch; raises to stop.
    """
    with torch.inference_mode():
        for batch in sequential(split, batch_size, by_length(split)):
            check()
            yield outputs(batch.inputs).round(ANSWER_DECIMALS), batch.indices
