"""How fast a training is next to what the machine can do: floating-point operations per sample, and the measured peak.

The operations are counted on torch's meta device, where shapes are computed and numbers are not; products and
convolutions count, as is usual (`torch.utils.flop_counter`). The peak is the fastest of a large matrix product and a
large convolution in the training's precision, measured once a machine and kept in `.samebits/peak.json`.
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.base.files import json_bytes, read_json, write_json
from samebits.compute.hardware import Precision, hardware_kind, synchronize

PEAKS = "peak.json"
"""Below `.samebits`: operations per second by kind of hardware and precision."""

_SHAPES = 8
"""Batches that are looked at: those of texts differ in length."""
_MEASURE_SECONDS = 0.15
_LEAST_REPEATS = 3


def flops_a_sample(
    model: nn.Module, prepare: nn.Module, batch: Callable[[int], torch.Tensor], steps: int
) -> float | None:
    """Floating-point operations of forward and backward a sample, the mean over a few batches of an epoch.

    Args:
        batch: a step's stored samples, [B, ...].
        steps: steps of an epoch.

    Returns:
        None for a model that cannot run without numbers, such as one that branches on its input.
    """
    from torch.utils.flop_counter import FlopCounterMode  # 0.1 s, and not before the first step

    formulas = {torch.ops.aten.convolution_backward: _convolution_backward}
    by_shape: dict[torch.Size, int] = {}
    samples = operations = 0
    try:
        empty, inputs_of = _without_numbers(model).train(), _without_numbers(prepare)
        for step in sorted({step * steps // _SHAPES for step in range(_SHAPES)}):
            stored = batch(step)
            if stored.shape not in by_shape:
                with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
                    empty(inputs_of(stored.to("meta"))).float().sum().backward()
                by_shape[stored.shape] = counter.get_total_flops()
            samples += len(stored)
            operations += by_shape[stored.shape]
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return None
    return operations / samples


def _convolution_backward(
    grad_out: Sequence[int], x: Sequence[int], weight: Sequence[int], *rest: Any, **_: Any
) -> int:
    """Operations of a convolution's backward pass, from shapes: as many for each gradient as for the forward pass.

    torch 2.14's own formula leaves groups out: it counts a depthwise convolution of C channels C times.

    Args:
        rest: as of `aten::convolution_backward`: bias, stride, padding, dilation, transposed, padding of the output,
            groups, and which of the gradients of input, weight and bias are asked for.
    """
    transposed, wanted = rest[4], rest[7]
    places = (x if transposed else grad_out)[2:]
    return 2 * x[0] * math.prod(weight) * math.prod(places) * sum(map(bool, wanted[:2]))


def _without_numbers(module: nn.Module) -> nn.Module:
    """A copy on the meta device; what fills the memory is not copied first."""
    known: dict[int, torch.Tensor] = {
        id(each): nn.Parameter(each.detach().to("meta"), each.requires_grad) for each in module.parameters()
    }
    return copy.deepcopy(module, known | {id(each): each.to("meta") for each in module.buffers()})


def peak_flops(folder: Path, device: torch.device, precision: Precision) -> float:
    """Floating-point operations per second that the device reaches at best in this precision.

    Args:
        folder: where the figure is kept for the next time.
    """
    file = folder / PEAKS
    kind = json_bytes(hardware_kind(device) | {"precision": precision.name})
    key = hashlib.sha256(kind).hexdigest()[:16]
    known: dict[str, float] = {}
    with suppress(UserError, OSError):
        noted = read_json(file) if file.is_file() else {}
        known = noted if isinstance(noted, dict) else {}
    if not isinstance(known.get(key), float):
        known[key] = max(_product(device, precision), _convolution(device, precision))
        with suppress(OSError):
            write_json(file, known)
    return known[key]


@torch.no_grad()
def _product(device: torch.device, precision: Precision) -> float:
    side = 1024 if device.type == "cpu" else 2048  # twice that is no faster on a CPU, and takes a second
    left, right = (torch.ones(side, side, device=device, dtype=precision.dtype) for _ in range(2))
    return 2 * side**3 / shortest_seconds(lambda: left @ right, device)


@torch.no_grad()
def _convolution(device: torch.device, precision: Precision) -> float:
    images, channels, side, kernel = 16 if device.type == "cpu" else 64, 128, 28, 3
    dtype = precision.dtype
    inputs = torch.ones(images, channels, side, side, device=device, dtype=dtype)
    weight = torch.ones(channels, channels, kernel, kernel, device=device, dtype=dtype)
    inputs, weight = (each.contiguous(memory_format=torch.channels_last) for each in (inputs, weight))
    operations = 2 * images * (channels * side * kernel) ** 2
    return operations / shortest_seconds(lambda: functional.conv2d(inputs, weight, padding=1), device)


def shortest_seconds(run: Callable[[], object], device: torch.device, seconds: float | None = None) -> float:
    """The shortest of the runs that fit into some seconds, at least 3, after one that warms up."""
    found: list[float] = []
    run()
    until = time.perf_counter() + (_MEASURE_SECONDS if seconds is None else seconds)
    while len(found) < _LEAST_REPEATS or time.perf_counter() < until:
        synchronize(device)
        began = time.perf_counter()
        run()
        synchronize(device)
        found.append(time.perf_counter() - began)
    return min(found)
