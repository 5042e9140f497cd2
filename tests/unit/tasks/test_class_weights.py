"""Class weights: none, balanced, given; by hand."""

from __future__ import annotations

import pytest
import torch

from samebits.base.errors import UserError
from samebits.tasks import build_task
from samebits.tasks.classification import Settings
from tests.helpers.logits import LOGITS, SIGNATURE, TARGETS, by_hand


def loss(counts: tuple[int, ...] = (), **settings: object) -> float:
    task = build_task(Settings.model_validate({"name": "classification"} | settings), SIGNATURE, counts)
    return task.loss(LOGITS, TARGETS).item()


def weighted(*weights: float) -> float:
    terms = [weights[k] * value for k, value in zip(TARGETS.tolist(), by_hand(0.0), strict=True)]
    return sum(terms) / len(terms)


def test_balanced_weights_are_the_inverse_counts_and_one_on_average() -> None:
    # 60 / (3 * n): a sample of a class of 10 counts twice, one of 30 two thirds.
    assert loss((10, 20, 30), class_weights="balanced") == pytest.approx(weighted(2.0, 1.0, 2 / 3))
    assert loss((20, 20, 20), class_weights="balanced") == pytest.approx(loss())


def test_given_weights() -> None:
    assert loss(class_weights={"b": 3.0}) == pytest.approx(weighted(1.0, 3.0, 1.0))


def test_classes_that_yaml_reads_as_numbers() -> None:
    given = {0: 1.0, 1.5: 2.0, True: 3.0, "b": 4.0}
    settings = Settings.model_validate({"name": "classification", "class_weights": given})
    assert settings.class_weights == {"0": 1.0, "1.5": 2.0, "true": 3.0, "b": 4.0}


def test_micro_batches_add_up() -> None:
    task = build_task(Settings(name="classification", class_weights={"a": 5.0}), SIGNATURE)
    parts = [task.loss(LOGITS[part], TARGETS[part]) * n / 4 for part, n in ((slice(0, 1), 1), (slice(1, 4), 3))]
    assert sum(parts).item() == pytest.approx(task.loss(LOGITS, TARGETS).item())  # type: ignore[union-attr]


def test_measures_are_not_weighted() -> None:
    plain, heavy = (
        build_task(Settings(name="classification", class_weights=each), SIGNATURE) for each in ("none", {"a": 9.0})
    )
    assert torch.equal(plain.metric_sums(LOGITS, TARGETS)["loss"], heavy.metric_sums(LOGITS, TARGETS)["loss"])


@pytest.mark.parametrize(("weights", "fix"), [({"A": 2.0}, "the classes: a, b, c"), ({"zebra": 1.0}, "the classes")])
def test_a_weight_for_no_class(weights: dict[str, float], fix: str) -> None:
    with pytest.raises(UserError, match="which is no class") as caught:
        loss(class_weights=weights)
    assert fix in caught.value.fix
