"""Optimisers from their section: the class, each setting, and what is decayed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn, optim

from samebits.params.train import AdamParams, SGDParams
from samebits.training.optimizers import build_optimizer, set_learning_rate


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_only_matrices_and_convolutions_decay(name: str) -> None:
    kind = SGDParams if name == "sgd" else AdamParams
    net = model()
    optimizer = build_optimizer(net, kind.model_validate({"name": name, "lr": 0.1, "weight_decay": 0.3}))
    decay = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    assert decay == {id(each): 0.3 if each.ndim > 1 else 0.0 for each in net.parameters()}


def test_frozen_parameters_and_empty_groups_are_left_out() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    (group,) = build_optimizer(net, SGDParams(name="sgd", lr=0.1)).param_groups
    assert [id(each) for each in group["params"]] == [id(net.weight)]


SGD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"lr": 0.5}, {"lr": 0.5, "momentum": 0.9, "nesterov": True}),
    ({"lr": 0.1, "momentum": 0.5, "nesterov": False}, {"momentum": 0.5, "nesterov": False}),
    ({"lr": 0.1, "momentum": 0.0, "nesterov": True}, {"momentum": 0.0, "nesterov": False}),  # torch refuses both
]


@pytest.mark.parametrize(("settings", "expected"), SGD)
def test_sgd(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    optimizer = build_optimizer(model(), SGDParams(name="sgd", **settings))
    assert type(optimizer) is optim.SGD
    for group in optimizer.param_groups:
        assert expected.items() <= group.items()
        assert group["fused"]


@pytest.mark.parametrize(("name", "kind"), [("adam", optim.Adam), ("adamw", optim.AdamW)])
def test_adam(name: Any, kind: type) -> None:
    settings = AdamParams(name=name, lr=0.2, beta1=0.8, beta2=0.95, eps=1e-5)
    optimizer = build_optimizer(model(), settings)
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert {"lr": 0.2, "betas": (0.8, 0.95), "eps": 1e-5, "fused": True}.items() <= group.items()


@pytest.mark.parametrize(("name", "moved"), [("adam", 7.9), ("adamw", 7.6)])
def test_decay_is_in_the_gradient_or_apart(name: str, moved: float) -> None:
    """From a gradient of 0, Adam's decay is scaled to one lr; AdamW takes lr * decay off the weight itself."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 8.0)
    optimizer = build_optimizer(net, AdamParams.model_validate({"name": name, "lr": 0.1, "weight_decay": 0.5}))
    net.weight.grad = torch.zeros_like(net.weight)
    optimizer.step()
    assert net.weight.item() == pytest.approx(moved)


def test_the_learning_rate_is_that_of_every_group() -> None:
    optimizer = build_optimizer(model(), SGDParams(name="sgd", lr=0.1))
    set_learning_rate(optimizer, 0.025)
    assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.025]
