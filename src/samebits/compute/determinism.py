"""One place for every switch that makes two runs the same, and for the seeds of a step."""

from __future__ import annotations

import functools
import hashlib
import os

import torch

from samebits.base.errors import UserError
from samebits.compute.cpu import openmp_limit

INITIALISATION = "initialisation"
"""Stream of the initial weights."""

STEP = "step"
"""Stream of what is drawn inside a step (dropout)."""


THREADS = 2
"""Of one operation on a CPU, by default. A sum that is split over threads has other bits with another number of them,
so it is no number of the machine's. Two run on one core, too; four on two cores took over 30 times as long."""

_DEBUG_MODES = {"warn": "warn", "off": "default"}


def set_determinism(mode: str, threads: int, *, compiles: bool = False) -> None:
    """Set torch's switches for `reproducibility` and the number of CPU threads.

    portable, strict: an operation without a deterministic implementation stops the run. warn: it is used, with a
    warning. off: cuDNN may choose its algorithms by timing them. The number of threads changes how sums are split, so
    it is fixed in every mode.

    Args:
        compiles: whether torch's compiler is used, and has to be told, too.

    Raises:
        UserError: if OpenMP's settings do not let that number of threads work.
    """
    set_threads(threads)
    if compiles:
        torch.use_deterministic_algorithms(mode != "off", warn_only=mode == "warn")
    else:
        # The same switch; it does not import the compiler (torch 2.14: over a second) to tell it.
        torch.set_deterministic_debug_mode(_DEBUG_MODES.get(mode, "error"))
    torch.backends.cudnn.benchmark = mode == "off"
    # fp32 means fp32: without this, cuDNN computes fp32 convolutions in TF32, with 10 bits of mantissa.
    torch.backends.cudnn.allow_tf32 = False
    # Deterministic mode also fills every fresh tensor, which guards against code that reads memory it never
    # wrote; ours does not. (A property of the module's class, which stubs do not show.)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def set_threads(threads: int) -> None:
    """Set the number of threads that torch computes with.

    Raises:
        UserError: where OpenMP would start fewer. torch 2.14's oneDNN then waits for the others for ever: a convolution
            of 2 threads under `OMP_THREAD_LIMIT=1` did not come back from its backward pass.
    """
    limit = openmp_limit()
    if limit is not None and threads > limit:
        raise UserError(
            f"{threads} threads are wanted, and OMP_THREAD_LIMIT={limit} allows fewer",
            f"unset OMP_THREAD_LIMIT; for training, train.threads: {limit} does, too, with other bits",
        )
    if threads > 1 and os.environ.get("OMP_DYNAMIC", "").strip().lower() in ("true", "1"):
        raise UserError(
            "OMP_DYNAMIC is set: the number of threads would follow the load of the machine, and the bits with it",
            "unset OMP_DYNAMIC",
        )
    torch.set_num_threads(threads)


def derive_seed(seed: int, stream: str, *counters: int) -> int:
    """A 63-bit seed that is a function of its arguments alone (SHA-256), so that no stream touches another."""
    text = "/".join([str(seed), stream, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_torch(seed: int, stream: str, *counters: int) -> None:
    """Put torch's generators (CPU and devices) where (seed, stream, counters) says.

    Called before each forward pass with the step's number: then there is no generator state to save, and a
    resumed run draws what the uninterrupted one would have drawn.
    """
    value = derive_seed(seed, stream, *counters)
    if _has_accelerator():
        torch.manual_seed(value)
    else:
        # The same state. torch.manual_seed also leaves word for devices that may come up later: 0.11 ms, every step.
        torch.default_generator.manual_seed(value)


@functools.cache
def _has_accelerator() -> bool:
    """Whether there are generators of devices to seed; asked once, as torch looks for them anew each time."""
    return torch.accelerator.is_available()
