"""Keeps torch's compiler from being imported where nothing is compiled: 1.2 s before a training's first step.

torch's optimisers import it in two places, though they compile nothing: the shield around methods that the compiler
must not look into, on its first call, and the shell around `step`, which tells the compiler where a graph ends. Both
are passed by here. A torch that does this otherwise is left as it is, and imports its compiler as before.
"""

from __future__ import annotations

import inspect
from functools import partial

import torch
from torch.optim import Optimizer

_KEPT = "__dynamo_disable"
"""Where a shield (torch/_compile.py) keeps the shielded function once it has made it."""


def avoid_dynamo_import() -> None:
    """Let methods of torch's optimisers stand for their own shielded forms. Before an optimiser is built."""
    for method in vars(Optimizer).values():
        inner = getattr(method, "__wrapped__", None)
        code = getattr(method, "__code__", None)
        if inner is not None and code is not None and code.co_filename.endswith("_compile.py"):
            setattr(inner, _KEPT, inner)


def step_without_compiler(optimizer: Optimizer) -> None:
    """Let this optimiser's `step` be the function under torch's shells (hooks, profiler, compiler): the same bits."""
    step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    optimizer.step = partial(step, optimizer)  # type: ignore[method-assign]
