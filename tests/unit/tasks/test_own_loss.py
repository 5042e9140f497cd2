"""A loss of torch.nn in the place of a task's: the same numbers, and the task's own metrics beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from samebits.base.errors import UserError
from samebits.metrics.scores import token_metrics
from samebits.params.own import OwnLoss
from samebits.tasks import classification, multilabel, regression, segmentation
from samebits.tasks.classification import Classification
from samebits.tasks.language_model import LanguageModel
from samebits.tasks.multilabel import MultiLabel
from samebits.tasks.own_loss import WithOwnLoss, with_own_loss
from samebits.tasks.regression import Regression, VectorRegression
from samebits.tasks.segmentation import Segmentation

CODE = """
import torch
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from torch.nn.functional import cross_entropy
class Centers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.center = torch.nn.Parameter(torch.zeros(2))
number = 3
"""


@pytest.fixture(autouse=True)
def _code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "mine.py").write_text(CODE)


def own(name: str, **arguments: Any) -> OwnLoss:
    return OwnLoss(file="custom/mine.py", class_name=name, arguments=arguments)


def outputs(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


CASES = {
    "classes": (Classification(0.0), outputs(6, 3), torch.tensor([0, 1, 2, 0, 0, 1]), "CrossEntropyLoss"),
    "a function": (Classification(0.0), outputs(6, 3), torch.tensor([0, 1, 2, 0, 0, 1]), "cross_entropy"),
    "an ensemble": (Classification(0.0), outputs(6, 4, 3), torch.tensor([0, 1, 2, 0, 0, 1]), "CrossEntropyLoss"),
    "mixed": (Classification(0.0), outputs(2, 3), torch.tensor([[0.5, 0.5, 0], [0, 0.1, 0.9]]), "CrossEntropyLoss"),
    "labels": (MultiLabel(), outputs(5, 3), (outputs(5, 3) > 0).to(torch.uint8), "BCEWithLogitsLoss"),
    "a number": (
        Regression(regression.Settings(name="regression"), 3.0, 2.0), outputs(5, 1), outputs(5) + 2, "MSELoss",
    ),
    "a vector": (
        VectorRegression(regression.Settings(name="regression"), (3.0, 1.0), (2.0, 9.0)), outputs(5, 2),
        outputs(5, 2) + 2, "MSELoss",
    ),
    "tokens": (LanguageModel(4.0), outputs(3, 4, 7), outputs(3, 4).abs().long(), "CrossEntropyLoss"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_loss_of_torch_is_that_of_the_task(case: str) -> None:
    task, given, targets, name = CASES[case]
    assert with_own_loss(task, own(name)).loss(given, targets) == task.loss(given, targets)


def masks() -> tuple[Segmentation, torch.Tensor, torch.Tensor]:
    settings = segmentation.Settings(name="segmentation", dice=0.0)
    targets = torch.tensor([[[0, 1], [2, 255]], [[255, 255], [255, 255]]], dtype=torch.uint8)
    return Segmentation(settings), outputs(2, 3, 2, 2), targets


def test_pixels_that_do_not_count_count_for_no_loss() -> None:
    task, given, targets = masks()
    mine = with_own_loss(task, own("CrossEntropyLoss", ignore_index=255))
    assert mine.loss(given, targets).item() == pytest.approx(task.loss(given, targets).item())
    assert mine.count(targets) == 3
    nothing = mine.loss(given[1:].requires_grad_(), targets[1:])
    assert (nothing.item(), nothing.requires_grad) == (0.0, True)


def test_val_loss_is_the_users_and_metrics_stay() -> None:
    task = Classification(0.0)
    given, targets = outputs(6, 3), torch.tensor([0, 1, 2, 0, 0, 1])
    mine = with_own_loss(task, own("CrossEntropyLoss", label_smoothing=0.5))
    sums, plain = mine.metric_sums(given, targets), task.metric_sums(given, targets)
    assert sums["accuracy"] == plain["accuracy"]
    assert sums["loss"].item() == pytest.approx(6 * mine.loss(given, targets).item())
    assert sums["loss"] != plain["loss"]
    assert torch.equal(mine.postprocess(given), task.postprocess(given))


def test_the_perplexity_is_that_of_the_cross_entropy() -> None:
    task, given, targets, _ = CASES["tokens"]
    mine = with_own_loss(task, own("CrossEntropyLoss", label_smoothing=0.9))
    means = {name: float(value) / 3 for name, value in mine.metric_sums(given, targets).items()}
    assert mine.derived_metrics(means) == token_metrics(task.metric_sums(given, targets)["loss"].item() / 3, 4.0)


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("Centers", {}, r"Centers of custom/mine.py has parameters of its own \(center\)"),
        ("number", {}, "number of custom/mine.py is of type int"),
        ("CrossEntropyLos", {}, "has no class CrossEntropyLos"),
        ("CrossEntropyLoss", {"gamma": 1}, "CrossEntropyLoss of custom/mine.py cannot be built: TypeError"),
    ],
)
def test_what_is_no_loss(name: str, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        with_own_loss(Classification(0.0), own(name, **arguments))
    assert caught.value.fix


@pytest.mark.parametrize(
    ("give", "problem"),
    [(lambda *_: 1.0, "gives float as the loss"), (lambda x, _: x, r"gives a loss of shape \[6, 3\]")],
)
def test_what_is_no_number(give: Any, problem: str) -> None:
    task = WithOwnLoss(Classification(0.0), give, "mine")
    with pytest.raises(UserError, match=problem):
        task.loss(outputs(6, 3), torch.zeros(6, dtype=torch.long))


LOSS = {"own_loss": {"file": "custom/mine.py", "class_name": "CrossEntropyLoss"}}


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (classification.Settings, {"name": "classification", "label_smoothing": 0.1}),
        (multilabel.Settings, {"name": "multilabel", "class_weights": "balanced"}),
        (regression.Settings, {"name": "regression", "loss": "huber"}),
        (segmentation.Settings, {"name": "segmentation", "dice": 0.5}),
    ],
)
def test_settings_that_would_do_nothing_are_refused(settings: Any, values: dict[str, Any]) -> None:
    assert settings(**values)
    with pytest.raises(ValidationError, match=r"own_loss replaces the task's loss, so .* does nothing: set it to"):
        settings(**values, **LOSS)
