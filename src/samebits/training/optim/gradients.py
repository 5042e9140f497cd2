"""The gradient of a batch, from one process or several.

Three ways, one result as far as mathematics goes:

accumulate   one process: micro-batches one after the other, gradients added up as autograd does it.
all-reduce   several processes: each takes its part of the batch, the parts are added by all-reduce. The bits depend on
             the number of processes, and batch normalisation sees the part, not the batch.
elastic      any number of processes, the same bits: the batch is cut into its micro-batches, whatever the number of
             processes. Each is computed alone, from the same state, with its own normalisation statistics and its own
             random stream, and what they give is added in one fixed order, a binary tree over the micro-batches. A
             process owns a run of them, which is one subtree or several. (Li et al., "EasyScale: Elastic Training with
             Consistent Accuracy and Improved Utilization on GPUs", SC '23, has the same aim for GPUs.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from samebits.compute.distributed import ProcessGroup

if TYPE_CHECKING:
    from samebits.training.shards import Shards

MicroBatch = Callable[[int], torch.Tensor]
"""Runs forward and backward of one micro-batch of the step; returns its part of the mean loss of the batch."""

_PIECE, _PIECES = 250_000, 16
"""Numbers in a piece of an exchange, at least; pieces, at most."""


class FlatGradients:
    """Gradients and floating-point buffers (running statistics) of a model as one vector.

    Attributes:
        parameters: those that are trained.
    """

    def __init__(self, model: nn.Module) -> None:
        self.parameters = [each for each in model.parameters() if each.requires_grad]
        self._all_buffers = list(model.buffers())
        self._buffers = [each for each in self._all_buffers if each.is_floating_point()]

    def gradients(self) -> torch.Tensor:
        """Gradients, then buffers; what has no gradient counts as 0."""
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in self.parameters]
        return _flat([*parts, *self._buffers])

    def statistics(self) -> torch.Tensor:
        """The floating-point buffers alone."""
        return _flat(self._buffers)

    @property
    def has_statistics(self) -> bool:
        """Whether the model has floating-point buffers."""
        return bool(self._buffers)

    def buffers(self) -> list[torch.Tensor]:
        """Copies of all buffers, counters included, for `restore`."""
        return [each.clone() for each in self._all_buffers]

    def restore(self, buffers: list[torch.Tensor]) -> None:
        """Put the buffers back."""
        for mine, saved in zip(self._all_buffers, buffers, strict=True):
            mine.copy_(saved)

    def clear(self) -> None:
        """Forget the gradients."""
        for each in self.parameters:
            each.grad = None

    def unflatten(self, vector: torch.Tensor, parts: int) -> None:
        """Write back a sum of `gradients()`: gradients as they are, buffers as the mean over `parts` summands."""
        at = 0
        for parameter in self.parameters:
            # In the memory layout of the weight: fused optimisers walk both in step.
            part = vector[at : at + parameter.numel()].view_as(parameter)
            parameter.grad = torch.empty_like(parameter, requires_grad=False).copy_(part)
            at += parameter.numel()
        self.unflatten_statistics(vector[at:], parts)

    def unflatten_statistics(self, vector: torch.Tensor, parts: int) -> None:
        """Write back a sum of `statistics()` as the mean over `parts` summands."""
        at = 0
        for each in self._buffers:
            each.copy_((vector[at : at + each.numel()] / parts).view_as(each))
            at += each.numel()


def _flat(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([part.reshape(-1).float() for part in parts])


class TreeSum:
    """The sum of the leaves of a binary tree, neighbours first; with log2 of them in memory."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, torch.Tensor]] = []

    def add(self, leaves: int, part: torch.Tensor) -> None:
        """From left to right: a number of leaves (a power of two), and the sum of these."""
        count, total = leaves, part
        while self._waiting and self._waiting[-1][0] == count:
            total = self._waiting.pop()[1] + total
            count *= 2
        self._waiting.append((count, total))

    def total(self) -> torch.Tensor:
        """The sum of all."""
        if len(self._waiting) != 1:
            raise ValueError("the number of leaves is no power of two")
        return self._waiting[0][1]


def tree_sum(parts: Iterable[tuple[int, torch.Tensor]]) -> torch.Tensor:
    """`TreeSum` of parts that are all there."""
    total = TreeSum()
    for leaves, part in parts:
        total.add(leaves, part)
    return total.total()


def subtrees(leaves: range) -> list[range]:
    """The fewest whole subtrees that a run of leaves of a binary tree consists of, from left to right."""
    found, begin = [], leaves.start
    while begin < leaves.stop:
        size = begin & -begin if begin else 1 << (leaves.stop.bit_length() - 1)
        while begin + size > leaves.stop:
            size //= 2
        found.append(range(begin, begin + size))
        begin += size
    return found


def rows_of(count: int, rank: int, size: int) -> slice:
    """Which rows of a parameter a process keeps."""
    each = -(-count // size)
    return slice(min(rank * each, count), min((rank + 1) * each, count))


def micro_batches_of(rank: int, size: int, count: int) -> range:
    """Which micro-batches of a step a process computes."""
    return range(rank * count // size, (rank + 1) * count // size)


def reduce_deterministic(run: MicroBatch, count: int, flat: FlatGradients, group: ProcessGroup) -> torch.Tensor:
    """Gradients of a batch into the model, the same bits for any number of processes; returns the mean loss, float64.

    Args:
        count: micro-batches of the batch, a power of two, not less than the number of processes.
    """
    owned = [subtrees(micro_batches_of(rank, group.size, count)) for rank in range(group.size)]
    buffers = flat.buffers()
    losses: dict[int, torch.Tensor] = {}

    def compute(index: int) -> torch.Tensor:
        flat.restore(buffers)
        flat.clear()
        losses[index] = run(index)
        return flat.gradients()

    sums = [tree_sum((1, compute(index)) for index in subtree) for subtree in owned[group.rank]]
    flat.unflatten(_sum_over(group, owned, sums), count)
    return _mean_loss(losses, count, group)


def reduce_sharded(run: MicroBatch, count: int, flat: FlatGradients, shards: Shards) -> torch.Tensor:
    """As `reduce_deterministic`, of a model that is cut: the rows of each process get their gradients.

    In a round, each process computes the next micro-batch. Those that are left over in the last round compute one of
    the others, which counts once: they lend their rows of the weights.
    """
    group, buffers, losses, statistics = shards.group, flat.buffers(), {}, TreeSum()
    for first in range(0, count, group.size):
        real = min(group.size, count - first)
        index = first + min(group.rank, real - 1)
        flat.restore(buffers)
        flat.clear()
        shards.begin(real, last=first + real == count)
        loss = run(index)
        shards.require_one_each()
        if group.rank < real:
            losses[index] = loss
        if flat.has_statistics:
            for part in group.all_gather(flat.statistics())[:real]:
                statistics.add(1, part)
    shards.take_gradients()
    if flat.has_statistics:
        flat.unflatten_statistics(statistics.total(), count)
    return _mean_loss(losses, count, group)


def _mean_loss(losses: Mapping[int, torch.Tensor], count: int, group: ProcessGroup) -> torch.Tensor:
    """The sum of the parts of the mean loss that the micro-batches of all processes have, in their order."""
    # Every summand but one is 0, so this sum is exact.
    every = torch.zeros(count, dtype=torch.float64, device=next(iter(losses.values())).device)
    for index, loss in losses.items():
        every[index] = loss
    total = torch.zeros((), dtype=torch.float64, device=every.device)
    for loss in group.all_reduce(every):
        total += loss
    return total


def _sum_over(group: ProcessGroup, owned: list[list[range]], sums: list[torch.Tensor]) -> torch.Tensor:
    """The tree's sum, on every process. Each adds up one slice of the vector, and then all slices are gathered.

    So a process sends twice the vector or so whatever their number, where whole vectors would be sent to each. It is
    done in pieces, all of them under way at once, so that a slow link is never idle: which piece a number lies in
    changes no sum.

    Args:
        owned: the subtrees of each process.
        sums: of those of this process, [L] each.
    """
    if group.size == 1:
        (whole,) = sums
        return whole
    length = sums[0].numel()
    leaves = [len(subtree) for subtrees_of_one in owned for subtree in subtrees_of_one]
    rows = [len(subtrees_of_one) for subtrees_of_one in owned]
    piece = max(_PIECE, -(-length // _PIECES))
    summed, gathered = [], []
    for begin in range(0, length, piece):
        width = min(piece, length - begin)
        each = -(-width // group.size)
        padding = (0, each * group.size - width)
        padded = torch.stack([nn.functional.pad(part[begin : begin + width], padding) for part in sums])
        slices = padded.view(len(sums), group.size, each).transpose(0, 1)  # of each process, of each subtree
        summed.append((width, group.start_all_to_all(slices, rows)))
    for width, received in summed:
        gathered.append((width, group.start_all_gather(tree_sum(zip(leaves, received(), strict=True)))))
    return torch.cat([torch.cat(whole())[:width] for width, whole in gathered])


def all_reduce_grads(run: MicroBatch, mine: range, flat: FlatGradients, group: ProcessGroup) -> torch.Tensor:
    """Gradients of a batch into the model: summed over the processes; returns the mean loss, float64."""
    total: torch.Tensor | None = None
    for index in mine:
        loss = run(index)
        total = loss if total is None else total + loss
    if total is None:
        raise ValueError("a process without a micro-batch")
    if group.size > 1:
        flat.unflatten(group.all_reduce(flat.gradients()), group.size)
        group.all_reduce(total)
    return total
