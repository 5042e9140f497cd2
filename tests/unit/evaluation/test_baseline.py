"""What is reached without an input: by hand, and the warning where a model does no better."""

from __future__ import annotations

import math

import numpy as np
import pytest

from samebits.evaluation.baseline import Baseline, lines, of_classes, of_numbers, of_tokens


def test_the_most_frequent_class_of_training() -> None:
    found = of_classes([3, 7, 0], np.array([1, 1, 0, 2]), ["a", "b", "c"])
    assert found.answer == "always b, the most frequent class of the training split"
    expected = -(2 * math.log(8 / 13) + math.log(4 / 13) + math.log(1 / 13)) / 4
    assert found.values == {"accuracy": 0.5, "log_loss": pytest.approx(expected, abs=1e-6)}


def test_the_mean_of_training() -> None:
    found = of_numbers(3.0, np.array([1.0, 2.0, 6.0]))
    assert found.answer == "always 3, the mean of the training split"
    assert found.values == {"r2": 0.0, "rmse": pytest.approx(math.sqrt(14 / 3), abs=1e-6), "mae": 2.0}


def test_r2_of_equal_targets_is_left_out() -> None:
    # Their mean is off by a bit, and their spread is not 0.
    assert of_numbers(0.5, np.full(3, 0.1)).values == {"rmse": 0.4, "mae": 0.4}


def test_tokens_by_their_share() -> None:
    found = of_tokens(np.array([5, 1, 0]), np.array([2, 1, 1]), bytes_per_token=2.0)
    loss = -(2 * math.log(6 / 9) + math.log(2 / 9) + math.log(1 / 9)) / 4
    assert found.values == {
        "loss": pytest.approx(loss, abs=1e-6),
        "accuracy": 0.5,
        "perplexity": pytest.approx(math.exp(loss), abs=1e-5),
        "bits_per_byte": pytest.approx(loss / math.log(2) / 2, abs=1e-6),
    }


@pytest.mark.parametrize(
    ("values", "worse"),
    [
        (
            {"accuracy": 0.5, "log_loss": 2.0},
            ["accuracy (0.5000, baseline 0.5000)", "log_loss (2.0000, baseline 2.0000)"],
        ),
        ({"accuracy": 0.51, "log_loss": 1.9}, []),
        # most samples are of one class: as often right, and yet it has learnt something
        ({"accuracy": 0.5, "log_loss": 1.9}, ["accuracy (0.5000, baseline 0.5000)"]),
        # sure of what is wrong
        ({"accuracy": 0.6, "log_loss": 2.5}, ["log_loss (2.5000, baseline 2.0000)"]),
        ({"accuracy": None, "log_loss": None}, []),
        ({"accuracy": 0.6, "macro_f1": 0.1}, []),
    ],
)
def test_a_model_that_is_no_better_is_warned_of(values: dict[str, float | None], worse: list[str]) -> None:
    first, *warning = lines(Baseline("always b", {"accuracy": 0.5, "log_loss": 2.0}), values)
    assert first == "baseline: always b"
    assert warning == ([f"warning: the model is no better than the baseline in {', '.join(worse)}"] if worse else [])


def test_each_kind_of_target_is_warned_of() -> None:
    numbers = of_numbers(3.0, np.array([1.0, 2.0, 6.0]))
    tokens = of_tokens(np.array([5, 1, 0]), np.array([2, 1, 1]), bytes_per_token=2.0)
    classes = of_classes([3, 7, 0], np.array([1, 1, 0, 2]), ["a", "b", "c"])
    for baseline in (numbers, tokens, classes):
        assert len(lines(baseline, baseline.values)) == 2
