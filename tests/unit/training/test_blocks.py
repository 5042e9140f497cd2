"""Blocks of a model, and computing their activations a second time: the same bits from less memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from samebits.base.errors import UserError
from samebits.models.layers.dropout import Dropout
from samebits.training.blocks import blocks, checkpointed


def pair(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), Dropout(0.3))


def convolutions() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(pair(2, 8), pair(8, 8), nn.Flatten(), nn.Linear(8 * 16, 3))


def trained(network: nn.Module) -> tuple[list[torch.Tensor], int]:
    """Gradients and buffers after a step, and the bytes that the forward pass kept."""
    kept: dict[int, int] = {}

    def pack(value: torch.Tensor) -> torch.Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        loss = network(torch.randn(16, 2, 4, 4)).square().mean()
    loss.backward()
    return [*(each.grad.clone() for each in network.parameters() if each.grad is not None), *network.buffers()], sum(
        kept.values()
    )


@pytest.mark.slow  # torch's checkpoint imports its compiler
def test_activations_computed_again_give_the_same_bits_from_less_memory() -> None:
    network, other = convolutions(), convolutions()
    wanted, much = trained(network)
    with checkpointed(other):
        got, little = trained(other)
    assert len(wanted) == len(got) == 16
    assert all(torch.equal(one, two) for one, two in zip(wanted, got, strict=True))
    assert little < much / 3
    assert all("forward" not in vars(each) for each in other.modules())
    copy.deepcopy(other)


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(UserError, match="no list or sequence of blocks"), checkpointed(nn.Linear(2, 2)):
        pass


def test_blocks_are_the_outermost_members_with_layers_of_their_own() -> None:
    network: Any = nn.Module()
    network.stages = nn.Sequential(nn.Sequential(pair(2, 2), pair(2, 2)), nn.ReLU())
    network.layers = nn.ModuleList(nn.TransformerEncoderLayer(8, 2) for _ in range(2))
    network.head = nn.Linear(2, 2)
    assert blocks(network) == [*network.stages[0], *network.layers]


def test_a_block_that_shares_is_none() -> None:
    network: Any = nn.Module()
    network.layers = nn.ModuleList(pair(2, 2) for _ in range(3))
    network.head = nn.Conv2d(2, 2, 3)
    network.head.weight = network.layers[0][0].weight
    network.twice = network.layers[1]
    assert blocks(network) == [network.layers[2]]
