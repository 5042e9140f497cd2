"""Dropout from 16 random bits a value."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from samebits.models.layers.dropout import Dropout, dropout, replace_dropout


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_is_zeroed_and_the_mean_stays(probability: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = torch.ones(1001, 999, dtype=dtype)
    found = dropout(values, probability)
    assert found.dtype == dtype
    zeroed = (found == 0).double().mean().item()
    assert zeroed == pytest.approx(probability, abs=0.002)  # four standard deviations at most
    assert found.double().mean().item() == pytest.approx(1.0, rel=0.02)


def test_each_of_the_four_values_of_a_draw_is_zeroed_alike_and_on_its_own() -> None:
    torch.manual_seed(1)
    zeroed = (dropout(torch.ones(400_000), 0.3) == 0).double().view(-1, 4)
    torch.testing.assert_close(zeroed.mean(dim=0), torch.full((4,), 0.3, dtype=torch.float64), atol=0.006, rtol=0)
    together = torch.corrcoef(zeroed.T) - torch.eye(4, dtype=torch.float64)
    assert together.abs().max() < 0.015


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_any_number_of_values(count: int) -> None:
    assert dropout(torch.ones(count), 0.5).shape == (count,)


def test_the_seed_decides() -> None:
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(dropout(torch.ones(100), 0.5))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("probability", [0.0, 1e-9, 1 - 1e-9])
def test_extreme_probabilities_stay_finite(probability: float) -> None:
    found = dropout(torch.ones(100_000), probability)
    assert found.isfinite().all()
    if probability < 0.5:
        assert torch.equal(found, torch.ones(100_000))


def test_gradients_are_zero_where_values_are() -> None:
    values = torch.ones(1000, requires_grad=True)
    found = dropout(values, 0.25)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())


def test_in_evaluation_nothing_happens() -> None:
    values = torch.randn(10, 10)
    assert Dropout(0.5).eval()(values) is values


def test_layers_of_a_model_from_elsewhere_are_replaced() -> None:
    model = nn.Sequential(nn.Dropout(0.1), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2)))
    names = list(model.state_dict())
    replace_dropout(model)
    found = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert [(type(module), module.p) for module in found] == [(Dropout, 0.1), (Dropout, 0.2)]
    assert list(model.state_dict()) == names
