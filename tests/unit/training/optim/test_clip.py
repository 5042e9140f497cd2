"""Clipping of gradients whose rows lie in several processes: the bits of one, the norm of torch."""

from __future__ import annotations

import pytest
import torch

from samebits.compute.distributed import ProcessGroup
from samebits.training.optim.clip import clip_rows
from samebits.training.optim.gradients import rows_of
from tests.helpers.meeting import Member, together

SHAPES = [(7, 5), (3,), (1, 4, 2), (64, 33)]


def gradients() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)  # threads share torch's own
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def clipped(group: ProcessGroup, largest: float) -> list[torch.Tensor]:
    whole = {str(shape): each for shape, each in zip(SHAPES, gradients(), strict=True)}
    rows = {name: len(each) for name, each in whole.items()}
    mine = {name: each[rows_of(rows[name], group.rank, group.size)].clone() for name, each in whole.items()}
    clip_rows(mine, rows, largest, group)
    return list(mine.values())


@pytest.mark.parametrize("size", [2, 3, 8])
def test_the_bits_are_those_of_one_process(size: int) -> None:
    alone = clipped(ProcessGroup(), 1.0)

    def work(group: Member) -> list[torch.Tensor]:
        return clipped(group, 1.0)

    for got, wanted in zip(zip(*together(size, work), strict=True), alone, strict=True):
        assert torch.equal(torch.cat(got), wanted)


def test_the_norm_is_the_l2_norm() -> None:
    wanted = [each.requires_grad_() for each in gradients()]
    for each in wanted:
        each.grad = each.detach().clone()
    torch.nn.utils.clip_grad_norm_(wanted, 1.5)
    for got, each in zip(clipped(ProcessGroup(), 1.5), wanted, strict=True):
        assert each.grad is not None
        assert torch.allclose(got, each.grad, rtol=1e-6, atol=0)


def test_a_smaller_gradient_is_left_alone() -> None:
    assert all(torch.equal(got, each) for got, each in zip(clipped(ProcessGroup(), 1e3), gradients(), strict=True))
