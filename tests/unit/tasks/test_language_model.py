"""The task of the next token."""

from __future__ import annotations

import math

import pytest
import torch

from samebits.metrics.scores import token_metrics
from samebits.tasks import DerivesMetrics
from samebits.tasks.language_model import LanguageModel


def test_the_loss_is_the_mean_over_all_positions() -> None:
    logits = torch.tensor([[[0.0, 0.0], [math.log(3.0), 0.0]]])
    targets = torch.tensor([[0, 1]])
    expected = (math.log(2.0) + math.log(4.0)) / 2
    task = LanguageModel(4.0)
    assert task.loss(logits, targets).item() == pytest.approx(expected)
    sums = task.metric_sums(logits.repeat(5, 1, 1), targets.repeat(5, 1))
    assert sums["loss"].item() / 5 == pytest.approx(expected)
    assert sums["accuracy"].item() / 5 == pytest.approx(0.5)


def test_bits_per_byte_do_not_depend_on_how_text_is_cut() -> None:
    # The same text, 1,000 bits in all, as 100 tokens of 8 bytes or as 400 of 2.
    coarse = token_metrics(1000 * math.log(2) / 100, 8.0)
    fine = token_metrics(1000 * math.log(2) / 400, 2.0)
    assert coarse["bits_per_byte"] == pytest.approx(fine["bits_per_byte"]) == pytest.approx(1.25)
    assert coarse["perplexity"] > fine["perplexity"]


def test_without_bytes_there_are_no_bits_per_byte() -> None:
    task = LanguageModel(None)
    assert isinstance(task, DerivesMetrics)
    assert task.derived_metrics({"loss": 1.0}) == {"perplexity": pytest.approx(math.e)}


def test_a_loss_beyond_all_bounds_is_still_a_number() -> None:
    assert math.isfinite(token_metrics(1e9, None)["perplexity"])
