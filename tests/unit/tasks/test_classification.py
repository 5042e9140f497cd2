"""The loss and the sums of the classification task, by hand."""

from __future__ import annotations

import pytest
import torch

from samebits.base.errors import UserError
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.tasks import build_task
from samebits.tasks.classification import Settings
from tests.helpers.logits import IMAGES, LOGITS, SIGNATURE, TARGETS, by_hand


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_mean_cross_entropy(smoothing: float) -> None:
    task = build_task(Settings(name="classification", label_smoothing=smoothing), SIGNATURE)
    assert task.loss(LOGITS, TARGETS).item() == pytest.approx(sum(by_hand(smoothing)) / 4, rel=1e-6)


def test_measures_are_sums_without_smoothing() -> None:
    task = build_task(Settings(name="classification", label_smoothing=0.3), SIGNATURE)
    sums = task.metric_sums(LOGITS, TARGETS)
    assert sums["loss"].item() == pytest.approx(sum(by_hand(0.0)), rel=1e-6)
    assert sums["accuracy"].item() == 2
    parts = [task.metric_sums(LOGITS[part], TARGETS[part]) for part in (slice(0, 1), slice(1, 4))]
    for name, value in sums.items():
        assert sum(part[name].item() for part in parts) == pytest.approx(value.item())


def test_half_precision_outputs_are_summed_in_fp32() -> None:
    task = build_task(Settings(name="classification"), SIGNATURE)
    outputs = LOGITS.bfloat16()
    assert task.loss(outputs, TARGETS).dtype == torch.float32
    assert task.metric_sums(outputs, TARGETS)["loss"].dtype == torch.float32


def test_the_answer_is_the_probability_of_each_class() -> None:
    answer = build_task(Settings(name="classification"), SIGNATURE).postprocess(LOGITS.bfloat16())
    assert answer.dtype == torch.float32
    assert torch.allclose(answer, torch.softmax(LOGITS.bfloat16().float(), dim=1))


def test_numbers_are_no_classes() -> None:
    numbers = Signature(inputs=IMAGES, target=NumberTarget(name="price", mean=0.0, std=1.0))
    with pytest.raises(UserError, match="learns a class; the target of the data is a number"):
        build_task(Settings(name="classification"), numbers)
