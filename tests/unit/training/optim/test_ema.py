"""The moving average: its formula, its warm-up, integer buffers, and that it leaves the trained model alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from samebits.training.optim.ema import ModelEma


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_it_follows_the_formula(decay: float) -> None:
    net = model()
    average = ModelEma(net, decay)
    expected = net[0].weight.detach().double().clone()
    for step in range(60):
        with torch.no_grad():
            net[0].weight.add_(torch.randn(3, 2))
        average.update(step)
        used = min(decay, (1 + step) / (10 + step))
        expected = used * expected + (1 - used) * net[0].weight.detach().double()
    assert torch.allclose(average.model[0].weight.double(), expected, atol=1e-5)


def test_it_starts_as_a_copy_in_eval_mode_that_is_not_trained() -> None:
    net = model().train()
    average = ModelEma(net, 0.9)
    assert not average.model.training
    assert not any(each.requires_grad for each in average.model.parameters())
    assert net.training
    assert all(each.requires_grad for each in net.parameters())
    for name, value in net.state_dict().items():
        assert torch.equal(average.model.state_dict()[name], value)


def test_statistics_are_averaged_and_counters_copied() -> None:
    net = model().train()
    average = ModelEma(net, 0.9)
    net(torch.randn(16, 2) + 5.0)
    average.update(0)
    trained, averaged = net.state_dict(), average.model.state_dict()
    assert averaged["1.num_batches_tracked"] == trained["1.num_batches_tracked"] == 1
    # At step 0 a tenth stays of what was.
    assert torch.allclose(averaged["1.running_mean"], 0.9 * trained["1.running_mean"])


def test_the_trained_model_is_left_alone() -> None:
    net = model()
    average = ModelEma(net, 0.9)
    with torch.no_grad():
        net[0].weight.add_(1.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    average.update(3)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
