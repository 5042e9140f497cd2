"""Sums in one fixed order, and what each process contributes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from samebits.compute.distributed import ProcessGroup
from samebits.training.optim import gradients
from samebits.training.optim.gradients import (
    FlatGradients,
    all_reduce_grads,
    micro_batches_of,
    reduce_deterministic,
    subtrees,
    tree_sum,
)
from tests.helpers.meeting import Meeting, together


def numbers(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    scales = torch.logspace(-6, 6, count)
    return [torch.randn(50, generator=generator) * scale for scale in scales]


def leaves(parts: list[torch.Tensor]) -> list[tuple[int, torch.Tensor]]:
    return [(1, part) for part in parts]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 11, 16])
def test_a_sum_of_subtrees_is_the_tree(size: int) -> None:
    parts = leaves(numbers(16))
    own = [subtree for rank in range(size) for subtree in subtrees(micro_batches_of(rank, size, 16))]
    assert [index for subtree in own for index in subtree] == list(range(16))
    sums = [(len(each), tree_sum(parts[index] for index in each)) for each in own]
    assert torch.equal(tree_sum(sums), tree_sum(parts))


def test_a_run_of_leaves_is_cut_into_the_fewest_subtrees() -> None:
    assert subtrees(range(8)) == [range(8)]
    assert subtrees(range(2, 5)) == [range(2, 4), range(4, 5)]
    assert subtrees(range(5, 8)) == [range(5, 6), range(6, 8)]
    assert subtrees(range(3)) == [range(2), range(2, 3)]


def test_the_order_of_a_sum_matters_here() -> None:
    """Else the test above could not fail."""
    parts = numbers(16)
    straight = parts[0].clone()
    for part in parts[1:]:
        straight += part
    assert not torch.equal(straight, tree_sum(leaves(parts)))
    assert torch.allclose(straight, tree_sum(leaves(parts)))


@pytest.mark.parametrize("count", [0, 3, 6])
def test_other_than_a_power_of_two_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        tree_sum(leaves(numbers(count)))


def model() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2), nn.Linear(9, 9))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def batch_of(network: nn.Module, samples: torch.Tensor, micro: int) -> list[float]:
    """Runs `reduce_deterministic` over micro-batches alone; the mean loss of each."""
    pieces = samples.split(micro)
    losses: list[float] = []

    def run(index: int) -> torch.Tensor:
        loss = network[:4](pieces[index]).square().mean() * len(pieces[index]) / len(samples)  # type: ignore[index]
        loss.backward()
        losses.append(loss.item())
        return loss.detach().double()

    total = reduce_deterministic(run, len(pieces), FlatGradients(network), ProcessGroup())
    assert total.dtype == torch.float64
    assert total.item() == pytest.approx(sum(losses))
    return losses


def test_elastic_gradients_are_those_of_the_micro_batches() -> None:
    network, reference = model(), model()
    samples = torch.randn(8, 2, 4, 4).contiguous(memory_format=torch.channels_last)
    batch_of(network.train(), samples, 2)
    means = []
    for piece in samples.split(2):
        before = [each.clone() for each in reference.buffers()]
        (reference[:4](piece).square().mean() / 4).backward()  # type: ignore[index]
        means.append(reference[1].running_mean.clone())  # type: ignore[index, union-attr, operator]
        for mine, saved in zip(reference.buffers(), before, strict=True):
            mine.copy_(saved)
    for got, wanted in zip(network.parameters(), reference.parameters(), strict=True):
        if wanted.grad is None:
            assert got.grad is not None
            assert not got.grad.any()  # a weight that no micro-batch used
            continue
        assert got.grad is not None
        assert torch.allclose(got.grad, wanted.grad, atol=1e-6)
        assert got.grad.stride() == got.stride()
    normalisation = network[1]  # type: ignore[index]
    assert torch.allclose(normalisation.running_mean, torch.stack(means).mean(dim=0))  # type: ignore[union-attr, arg-type]
    assert int(normalisation.num_batches_tracked) == 1  # type: ignore[union-attr, arg-type]


def test_alone_plain_gradients_are_autograds_own() -> None:
    network, reference = model(), model()
    samples = torch.randn(4, 2, 4, 4)

    def run(index: int) -> torch.Tensor:
        loss = network[:4](samples[2 * index : 2 * index + 2]).sum()  # type: ignore[index]
        loss.backward()
        return loss.detach().double()

    all_reduce_grads(run, range(2), FlatGradients(network), ProcessGroup())
    for piece in samples.split(2):
        reference[:4](piece).sum().backward()  # type: ignore[index]
    for got, wanted in zip(network.parameters(), reference.parameters(), strict=True):
        assert (got.grad is None) == (wanted.grad is None)
        assert wanted.grad is None or torch.equal(got.grad, wanted.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "most", "piece"),
    [(2, 1.1, 99), (3, 2.1, 99), (4, 1.6, 99), (5, 2.6, 99), (7, 2.8, 99), (8, 2.0, 99), (2, 1.1, 12), (3, 2.4, 12)],
)
def test_what_a_process_sends_does_not_grow_with_their_number(
    size: int, most: float, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In vectors of the model; the bits are those of one process, however many pieces the vector is sent in."""
    monkeypatch.setattr(gradients, "_PIECE", piece)
    parts = numbers(8)

    def summed(group: ProcessGroup) -> torch.Tensor:
        network = nn.Linear(50, 1, bias=False)

        def run(index: int) -> torch.Tensor:
            network(parts[index]).backward()
            return parts[index].sum().double()

        loss = reduce_deterministic(run, 8, FlatGradients(network), group)
        assert network.weight.grad is not None
        return torch.cat([network.weight.grad.reshape(-1).double(), loss[None]])

    meeting = Meeting(size)
    found = together(size, summed, meeting)
    alone = summed(ProcessGroup())
    assert all(torch.equal(each, alone) for each in found)
    assert max(meeting.numbers) <= most * 50
