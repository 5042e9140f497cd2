"""The state that every process of a training begins with: that of rank 0, whether it was saved or is the first one."""

from __future__ import annotations

import json

import torch
from safetensors.torch import load, save

from samebits.base.errors import UserError
from samebits.compute.distributed import ProcessGroup
from samebits.training.resume.state import TrainingState


def hand_over(state: TrainingState, group: ProcessGroup, device: torch.device) -> None:
    """Give the state of rank 0 to the other processes, in place: only its machine needs to have saved it.

    Raises:
        UserError: if it arrives damaged, or does not fit this process's model.
    """
    if group.size == 1:
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
