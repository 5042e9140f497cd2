"""Regression: losses against their formulas, sums that add up over batches, answers in the unit of the data."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from samebits.base.errors import UserError
from samebits.signature.classes import ClassTarget
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.signature.table import NumberColumn, TableInputs
from samebits.tasks import build_task
from samebits.tasks.classification import Settings as ClassSettings
from samebits.tasks.regression import Settings

INPUTS = TableInputs(columns=[NumberColumn(name="n", mean=0.0, std=1.0, fill=0.0)])
SIGNATURE = Signature(inputs=INPUTS, target=NumberTarget(name="y", mean=100.0, std=20.0))
TARGETS = torch.tensor([100.0, 140.0, 60.0])
OUTPUTS = torch.tensor([0.5, 2.0, 1.0])  # standardised; the targets are 0, 2, -2


def task(**settings: Any) -> Any:
    return build_task(Settings(name="regression", **settings), SIGNATURE)


@pytest.mark.parametrize(
    ("settings", "each"),
    [
        ({"loss": "mse"}, [0.25, 0.0, 9.0]),
        ({"loss": "mae"}, [0.5, 0.0, 3.0]),
        ({"loss": "huber", "delta": 1.0}, [0.125, 0.0, 2.5]),
        ({"loss": "huber", "delta": 2.0}, [0.125, 0.0, 4.0]),
    ],
)
def test_losses(settings: dict[str, Any], each: list[float]) -> None:
    assert task(**settings).loss(OUTPUTS, TARGETS).item() == pytest.approx(sum(each) / 3)
    assert task(**settings).metric_sums(OUTPUTS, TARGETS)["loss"].item() == pytest.approx(sum(each))


def test_measures_are_in_the_unit_of_the_data() -> None:
    sums = task().metric_sums(OUTPUTS, TARGETS)
    assert sums["mae"].item() == pytest.approx(10.0 + 0.0 + 60.0)
    assert sums["mse"].item() == pytest.approx(100.0 + 0.0 + 3600.0)
    split = [task().metric_sums(OUTPUTS[k : k + 1], TARGETS[k : k + 1]) for k in range(3)]
    assert {name: sum(part[name] for part in split).item() for name in sums} == pytest.approx(
        {name: value.item() for name, value in sums.items()}
    )


def test_the_answer_has_the_unit_of_the_data() -> None:
    answer = task().postprocess(OUTPUTS.bfloat16())
    assert answer.dtype == torch.float32
    assert answer.tolist() == [110.0, 140.0, 120.0]


def test_each_member_has_a_loss_of_its_own() -> None:
    """The mean of the members' losses, not the loss of their mean."""
    members = torch.stack([OUTPUTS - 1.0, OUTPUTS + 1.0], dim=1)
    expected = (task().loss(OUTPUTS - 1.0, TARGETS) + task().loss(OUTPUTS + 1.0, TARGETS)) / 2
    torch.testing.assert_close(task().loss(members, TARGETS), expected)
    classes = Signature(inputs=INPUTS, target=ClassTarget(classes=["a", "b"]))
    classify = build_task(ClassSettings(name="classification", label_smoothing=0.1), classes)
    logits, labels = torch.randn(3, 2, 2), torch.tensor([0, 1, 1])
    expected = (classify.loss(logits[:, 0], labels) + classify.loss(logits[:, 1], labels)) / 2
    torch.testing.assert_close(classify.loss(logits, labels), expected)


def test_classes_are_refused() -> None:
    with pytest.raises(UserError, match="learns a number or a vector; the target of the data is a class") as caught:
        build_task(Settings(name="regression"), Signature(inputs=INPUTS, target=ClassTarget(classes=["a", "b"])))
    assert "classification" in caught.value.fix
