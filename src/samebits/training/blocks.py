"""The repeated parts of a model: what is gathered, or computed a second time, as one piece."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from samebits.base.errors import UserError

_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


def blocks(model: nn.Module) -> list[nn.Module]:
    """What stands in a model's lists and sequences, and has layers of its own; each once.

    A block that stands in two places, or shares a parameter with something outside of it, is left out.
    """
    places = Counter(map(id, (each for _, each in model.named_modules(remove_duplicate=False))))
    owners = Counter(map(id, (each for _, each in model.named_parameters(remove_duplicate=False))))
    found = []
    for block in _blocks(model):
        inside = Counter(map(id, (each for _, each in block.named_parameters(remove_duplicate=False))))
        if inside and places[id(block)] == 1 and all(owners[each] == count for each, count in inside.items()):
            found.append(block)
    return found


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    listed = isinstance(module, _CONTAINERS)
    for child in module.children():
        if listed and not isinstance(child, _CONTAINERS) and any(child.children()):
            yield child
        elif inner := list(_blocks(child)):
            yield from inner
        elif listed and isinstance(child, nn.Sequential):
            yield child


@contextlib.contextmanager
def checkpointed(model: nn.Module) -> Iterator[None]:
    """Keep of each block its inputs alone: the backward pass computes the rest again, with the same random numbers.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016). The bits are those of keeping all.

    Raises:
        UserError: for a model without blocks.
    """
    found = blocks(model)
    if not found:
        raise UserError(
            "train.checkpoint_activations: the model has no list or sequence of blocks whose activations could be "
            "computed again",
            "set train.checkpoint_activations: false",
        )
    for block in found:
        block.forward = partial(_again, block, block.forward)
    try:
        yield
    finally:
        for block in found:
            del block.forward


def _again(block: nn.Module, forward: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs, **named)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return contextlib.nullcontext(), _buffers_kept(block)

    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts, **named)


@contextlib.contextmanager
def _buffers_kept(block: nn.Module) -> Iterator[None]:
    """Running statistics move in the first pass alone."""
    saved = [(each, each.clone()) for each in block.buffers()]
    try:
        yield
    finally:
        for buffer, value in saved:
            buffer.data.copy_(value)  # .data: autograd need not take it for a change of what it keeps
