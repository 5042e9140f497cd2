"""Rows of a model in several processes: how they are cut, summed and updated. Whole trainings: tests/exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from samebits.base.errors import UserError
from samebits.params.train import OptimizerParams
from samebits.training.optim.gradients import rows_of, tree_sum
from samebits.training.optim.optimizers import build_optimizer
from samebits.training.shards import Exchange, require_shardable
from tests.helpers.meeting import Member, together


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [1, 4, 7, 10])
def test_rows_are_those_of_torchs_chunks(count: int, size: int) -> None:
    rows = torch.arange(count)
    chunks = [*torch.chunk(rows, size), *[rows[:0]] * size][:size]
    assert all(torch.equal(rows[rows_of(count, rank, size)], chunks[rank]) for rank in range(size))


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_rows_are_summed_in_the_order_of_the_micro_batches(size: int) -> None:
    """8 of them, a round after another; who is left over sends what does not count."""
    torch.manual_seed(1)
    leaves = [torch.randn(size, 6) for _ in range(8)]
    wanted = tree_sum((1, leaf) for leaf in leaves)

    def work(group: Member) -> torch.Tensor:
        exchange = Exchange(group, 0)
        rows = torch.empty(6)
        for first in range(0, 8, size):
            real = min(size, 8 - first)
            exchange.begin(real, last=first + real == 8)
            mine = leaves[first + group.rank] if group.rank < real else torch.full((size, 6), torch.nan)
            exchange.reduce(rows, mine.reshape(-1))
        return rows

    assert torch.equal(torch.stack(together(size, work)), wanted)


def test_blocks_that_differ_between_processes_do_not_meet() -> None:
    def work(group: Member) -> str:
        with pytest.raises(UserError, match="other blocks in one process") as error:
            Exchange(group, group.rank).gather(torch.empty(4), torch.zeros(2))
        return error.value.fix

    assert len(together(2, work)) == 2


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_updates_of_rows_are_rows_of_the_update(name: str) -> None:
    """Of the fused kernels they are not."""
    settings: Any = TypeAdapter(OptimizerParams).validate_python({"name": name, "lr": 0.1, "weight_decay": 0.1})

    def updated(part: slice) -> torch.Tensor:
        torch.manual_seed(1)
        network = nn.Linear(7, 31)
        network.weight = nn.Parameter(network.weight.detach()[part].clone())
        optimizer = build_optimizer(network, settings, fused=False)
        for _ in range(3):
            gradient = torch.randn(31, 7)
            network.weight.grad, network.bias.grad = gradient[part].clone(), torch.zeros(31)
            optimizer.step()
        slots = [each for each in optimizer.state[network.weight].values() if each is not None and each.ndim]
        return torch.stack([network.weight.detach(), *slots])

    cut = [updated(rows_of(31, rank, 3)) for rank in range(3)]
    assert torch.equal(torch.cat(cut, dim=1), updated(slice(None)))


def scalar() -> nn.Module:
    network = nn.Linear(2, 2)
    network.scale = nn.Parameter(torch.tensor(1.0))
    return network


def view() -> nn.Module:
    network = nn.Linear(2, 2)
    network.first = nn.Parameter(network.weight.detach()[:1])
    return network


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (scalar(), "scale has no rows"),
        (nn.Linear(2, 2).double(), "weight, bias is not float32"),
        (view(), "weight, first share memory"),
        (nn.Conv2d(2, 2, 3), "weight lies in memory as train.channels_last wants it"),
    ],
)
def test_models_that_cannot_be_cut_are_refused(model: nn.Module, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        require_shardable(model, channels_last=True)


def test_tied_and_frozen_weights_can_be_cut() -> None:
    network = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 3))
    network[1].weight = network[0].weight
    network[1].bias.requires_grad_(False)
    require_shardable(network, channels_last=True)
