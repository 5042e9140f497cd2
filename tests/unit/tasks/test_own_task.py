"""A task of the user's own gets outputs of one shape, whatever the model is."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor

from samebits.protocols import Task
from samebits.tasks.own import OwnTask


class Halves:
    def count(self, targets: Tensor) -> int:
        return len(targets)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        assert outputs.shape == targets.shape
        return (outputs - targets).abs().mean()

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"loss": self.loss(outputs, targets) * len(targets), "_two": cast(Tensor, 2)}

    def derived_metrics(self, means: dict[str, float]) -> dict[str, float]:
        return {"double": 2 * means["loss"]}

    def postprocess(self, outputs: Tensor) -> Tensor:
        assert outputs.ndim == 1
        return outputs / 2


TASK = OwnTask(cast(Task, Halves()), "Halves", 1)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3)])
def test_members_of_an_ensemble_are_samples(shape: tuple[int, ...], kind: torch.dtype) -> None:
    assert TASK.loss(torch.ones(shape, dtype=kind), torch.zeros(4)).dtype == torch.float32


def test_a_number_is_an_axis_less() -> None:
    outputs, targets = torch.ones(4, 1), torch.zeros(4)
    assert TASK.postprocess(outputs).tolist() == [0.5] * 4
    sums = TASK.metric_sums(outputs, targets)
    assert {name: value.item() for name, value in sums.items()} == {"loss": 4.0, "_two": 2}
    assert TASK.derived_metrics({"loss": 1.5}) == {"double": 3.0}
