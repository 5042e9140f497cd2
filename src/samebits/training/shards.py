"""A model that is cut over the processes: each keeps its rows of every parameter, of its gradient and of what the
optimiser remembers, and borrows a block's other rows while it computes with it.

torch's `fully_shard` (FSDP2) cuts and borrows. Its sums over the processes are replaced by the tree of elastic
training: in a round, each process computes the next micro-batch, and gets its rows of the gradients of all of them,
which it adds in the order of the micro-batches. So it never holds more than its rows of a few partial sums.

Rows are those of `torch.chunk`: process k of n has rows k r to (k + 1) r, with r the rows / n, rounded up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, distributed, nn, optim

from samebits.base.errors import UserError, listed
from samebits.checkpoints.stream import LazyTensors, file_order
from samebits.checkpoints.tied import named_weights
from samebits.compute.distributed import ProcessGroup
from samebits.training.blocks import blocks
from samebits.training.optim.gradients import TreeSum, rows_of

if TYPE_CHECKING:
    from samebits.training.optim.ema import ModelEma

_CHANNELS_LAST_AXES = (4, 5)
"""Of the parameters that `train.channels_last` lays out otherwise."""


def require_shardable(model: nn.Module, *, channels_last: bool) -> None:
    """What holds for any number of processes, so that one trains what several can go on with.

    Raises:
        UserError: for a model that cannot be cut.
    """
    named = dict(model.named_parameters())
    fix = "set train.shard: false"
    if scalars := [name for name, each in named.items() if each.ndim == 0]:
        raise UserError(f"train.shard: {listed(scalars)} has no rows to cut", "give it the shape [1], or " + fix)
    if others := [name for name, each in named.items() if each.dtype != torch.float32]:
        raise UserError(f"train.shard: {listed(others)} is not float32", "make it float32, or " + fix)
    places = Counter(each.untyped_storage().data_ptr() for each in named.values() if each.numel())
    if views := [name for name, each in named.items() if places[each.untyped_storage().data_ptr()] > 1]:
        raise UserError(f"train.shard: {listed(views)} share memory without being one parameter", fix)
    if channels_last and (kernels := [name for name, each in named.items() if each.ndim in _CHANNELS_LAST_AXES]):
        raise UserError(
            f"train.shard: {listed(kernels)} lies in memory as train.channels_last wants it, and rows are cut of plain "
            "weights alone",
            "set train.channels_last: false, or " + fix,
        )


class Exchange:
    """What a block borrows and gives back: stands for torch's own collectives (`fully_shard`'s `AllGather` and
    `ReduceScatter`), one object per block.

    Attributes:
        reduced: how often, in this round.
    """

    def __init__(self, group: ProcessGroup, number: int) -> None:
        self._group, self._number = group, number
        self._sum = TreeSum()
        self._real, self._last = 0, False
        self.reduced = 0

    def begin(self, real: int, *, last: bool) -> None:
        """A round begins, in which the first `real` processes compute a micro-batch that counts."""
        self._real, self._last, self.reduced = real, last, 0

    def allocate(self, size: Any, *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Memory for an exchange."""
        return torch.empty(*size, dtype=dtype, device=device)

    def gather(self, output_tensor: Tensor, input_tensor: Tensor, **_: Any) -> None:
        """All rows of a block's parameters."""
        self._require_same(2 * self._number, input_tensor.device)
        parts = self._group.all_gather(input_tensor)
        torch.cat(parts, out=output_tensor)

    def reduce(self, output_tensor: Tensor, input_tensor: Tensor, **_: Any) -> None:
        """This process's rows of the gradients; of all micro-batches, in the last round."""
        self._require_same(2 * self._number + 1, input_tensor.device)
        self.reduced += 1
        parts = self._group.all_to_all(input_tensor.view(self._group.size, 1, -1), [1] * self._group.size)
        for part in parts[: self._real]:
            self._sum.add(1, part.clone())  # a view would hold the memory of all parts
        if self._last and self.reduced == 1:
            output_tensor.copy_(self._sum.total())
            self._sum = TreeSum()

    def _require_same(self, step: int, device: torch.device) -> None:
        """Rows of one block must not meet those of another of the same size.

        Raises:
            UserError: if another process exchanges something else now.
        """
        told = self._group.all_gather(torch.tensor([step], device=device))
        if torch.cat(told).ne(step).any():
            raise UserError(
                "train.shard: the model runs other blocks in one process than in another",
                "set train.shard: false: a model whose blocks depend on its input or on chance cannot be cut",
            )


class _Gather:
    def __init__(self, exchange: Exchange) -> None:
        self.allocate, self._exchange = exchange.allocate, exchange

    def __call__(self, **tensors: Any) -> None:
        self._exchange.gather(**tensors)


class _Reduce:
    def __init__(self, exchange: Exchange) -> None:
        self.allocate, self._exchange = exchange.allocate, exchange

    def __call__(self, **tensors: Any) -> None:
        self._exchange.reduce(**tensors)


class Shards:
    """The rows of this process: of a model, its optimiser and its average, which are cut in place.

    Every process makes it at once. The values of rank 0 are taken.

    Attributes:
        whole: of each weight, shape and type, on the meta device.
        trained: the optimiser's parameters, by name: this process's rows.
    """

    def __init__(
        self, model: nn.Module, optimizer: optim.Optimizer, average: ModelEma | None, group: ProcessGroup
    ) -> None:
        self.group = group
        self.exchanges: list[Exchange] = []
        self._model = model
        for each in (model, *([average.model] if average else [])):
            for value in named_weights(each).values():
                group.share(value)
        self.whole = {name: value.to("meta") for name, value in named_weights(model).items()}
        self.cut = {name for name, _ in model.named_parameters()}
        names = {id(value): name for name, value in model.named_parameters()}
        optimised = [names[id(each)] for part in optimizer.param_groups for each in part["params"]]
        self._cut(model)
        self.trained = {name: nn.Parameter(self.rows(model)[name]) for name in optimised}
        self._slots = optimised
        for part in optimizer.param_groups:
            part["params"] = [self.trained[names[id(each)]] for each in part["params"]]
        if average:
            self._cut(average.model)
            average.follow(self.rows(average.model), self.rows(model))

    def _cut(self, model: nn.Module) -> None:
        from torch.distributed.device_mesh import DeviceMesh  # 2 s, and only where a model is cut
        from torch.distributed.fsdp import FSDPModule, fully_shard

        world = distributed.group.WORLD
        device = next(model.parameters()).device
        mesh = DeviceMesh.from_group(cast(distributed.ProcessGroup, world), device.type)
        for block in (*blocks(model), model):
            fully_shard(block, mesh=mesh, reshard_after_forward=True)
            assert isinstance(block, FSDPModule)
            exchange = Exchange(self.group, len(self.exchanges))
            self.exchanges.append(exchange)
            block.set_custom_all_gather(cast(Any, _Gather(exchange)))
            block.set_custom_reduce_scatter(cast(Any, _Reduce(exchange)))
            block.set_force_sum_reduction_for_comms(True)
            block.set_gradient_divide_factor(1.0)
            block.set_reduce_scatter_unused_params(True)

    def rows(self, model: nn.Module) -> dict[str, Tensor]:
        """This process's rows of the weights of a model that is cut, by name; what is no parameter is there whole."""
        state = model.state_dict()
        return {name: _local(state[name]) for name in self.whole}

    def begin(self, real: int, *, last: bool) -> None:
        """A round begins: see `Exchange.begin`."""
        for each in self.exchanges:
            each.begin(real, last=last)

    def require_one_each(self) -> None:
        """After a round: each block that is trained has given its gradients once.

        Raises:
            UserError: for a model that runs a block more than once.
        """
        if any(each.reduced > 1 for each in self.exchanges):
            raise UserError(
                "train.shard: the model runs a block more than once in a forward pass",
                "set train.shard: false, or let the model hold that block outside of its lists and sequences",
            )

    def take_gradients(self) -> None:
        """After the last round: the sums become the gradients of `trained`; what has none counts as 0."""
        of_name = dict(self._model.named_parameters())
        for name, mine in self.trained.items():
            gradient = of_name[name].grad
            mine.grad = torch.zeros_like(mine) if gradient is None else _local(gradient)

    def slot_shapes(self) -> list[torch.Size]:
        """Of each parameter of the optimiser, whole."""
        return [self.whole[name].shape for name in self._slots]

    def is_cut(self, name: str, shape: torch.Size) -> bool:
        """Whether a tensor of a state, by its name there, is whole and is to be cut; this process's rows are not."""
        part, _, rest = name.partition(".")
        weight = self._slots[int(rest.partition(".")[0])] if part == "optimizer" else rest
        return weight in self.cut and shape == self.whole[weight].shape

    def mine(self, name: str, value: Tensor, rank: int | None = None) -> Tensor:
        """The rows of this process (or another) of a tensor of a whole state; what is no whole one, as it is."""
        if not self.is_cut(name, value.shape):
            return value
        return value[rows_of(len(value), self.group.rank if rank is None else rank, self.group.size)]

    def whole_of(self, name: str, value: Tensor) -> Tensor:
        """Shape and type of the whole tensor of a state whose rows `value` has, on the meta device."""
        part, _, rest = name.partition(".")
        if part == "optimizer":
            weight = self._slots[int(rest.partition(".")[0])]
            cut = value.shape == self.trained[weight].shape  # or one number for all
        else:
            weight, cut = rest, rest in self.cut
        return torch.empty(self.whole[weight].shape if cut else value.shape, dtype=value.dtype, device="meta")


def _local(value: Tensor) -> Tensor:
    """This process's rows of what `fully_shard` has cut; the same memory."""
    value = value.detach()
    return value.to_local() if hasattr(value, "to_local") else value  # a DTensor, whose module takes 2 s to import


class Gathered(LazyTensors):
    """The whole tensors of a state that is cut, one at a time, on rank 0; the others send it their rows.

    Every process has to go through them: `send_all` where nobody wants them.

    Args:
        rows: by name, of this process.
        like: see `LazyTensors`.
        part: of a state that the names are of, such as `model.`; empty where they say it.
    """

    def __init__(self, rows: Mapping[str, Tensor], shards: Shards, like: Mapping[str, Tensor], part: str = "") -> None:
        self._rows, self._shards, self.like, self._part = rows, shards, like, part

    def __getitem__(self, name: str) -> Tensor:
        mine, like, group = self._rows[name], self.like[name], self._shards.group
        if not self._shards.is_cut(self._part + name, like.shape):
            return mine
        if not group.is_rank_zero:
            if mine.numel():
                group.send(mine.contiguous(), 0)
            return mine
        whole = torch.empty(like.shape, dtype=like.dtype, device=mine.device)
        for rank in range(group.size):
            part = whole[rows_of(len(whole), rank, group.size)]
            if rank == group.rank:
                part.copy_(mine)
            elif part.numel():
                group.receive(part, rank)
        return whole

    def send_all(self) -> None:
        """Give rank 0 this process's rows of everything."""
        for name in file_order(self.like):
            self[name]
