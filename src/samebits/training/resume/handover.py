"""The state that every process of a training begins with: that of rank 0, whether it was saved or is the first one."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from safetensors.torch import load, save

from samebits.base.errors import UserError
from samebits.compute.distributed import ProcessGroup
from samebits.training.resume.saved import Saved
from samebits.training.resume.state import TrainingState
from samebits.training.shards import Shards


def hand_over(
    state: TrainingState, group: ProcessGroup, device: torch.device, saved: Callable[[], Saved | None] = lambda: None
) -> None:
    """Give the state of rank 0 to the other processes, in place: only its machine needs to have saved it.

    Args:
        saved: on rank 0, the whole state that it goes on from, for a model that is cut: it has its own rows alone.

    Raises:
        UserError: if it arrives damaged, or does not fit this process's model.
    """
    if group.size == 1:
        return
    if state.shards:
        _hand_over_rows(state, state.shards, device, saved)
        return
    tensors, counters = b"", b""
    if group.is_rank_zero:
        tensors = save({name: value.cpu().contiguous() for name, value in state.tensors().items()})
        counters = json.dumps(state.counters()).encode()
    sent, told = load(group.broadcast(tensors, device)), json.loads(group.broadcast(counters, device))
    if group.is_rank_zero:
        return
    if problem := state.problem(sent, told):
        raise UserError(f"the state of the first process does not fit: {problem}", "run dvc repro again")
    state.restore(sent, told)


def _hand_over_rows(
    state: TrainingState, shards: Shards, device: torch.device, saved: Callable[[], Saved | None]
) -> None:
    """Send each process its rows of a saved state, a tensor at a time. The first state, everyone has."""
    group = shards.group
    tensors = {}
    if group.is_rank_zero and state.step and (found := saved()):
        tensors = found[0]
    about = {name: [list(each.shape), str(each.dtype).removeprefix("torch.")] for name, each in tensors.items()}
    told = json.loads(group.broadcast(json.dumps([about, state.counters()]).encode(), device))
    mine = {}
    for name, (shape, dtype) in told[0].items():
        whole = tensors[name] if group.is_rank_zero else torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for rank in range(1, group.size):
            part = shards.mine(name, whole, rank)
            if not part.numel():
                mine[name] = torch.empty_like(part, device=device)
            elif group.is_rank_zero:
                group.send(part.to(device).contiguous(), rank)
            elif rank == group.rank:
                mine[name] = torch.empty_like(part, device=device)
                group.receive(mine[name], 0)
    if told[0] and not group.is_rank_zero:
        state.restore(mine, told[1])
