"""Whether this process computes with portable arithmetic, and turning it on."""

from __future__ import annotations

import os

import numpy as np
import torch

from samebits.base.errors import UserError
from samebits.compute import portable_ops
from samebits.compute.arithmetic import ARITHMETIC, unsupported

_active: list[str] = []
"""The level, once it is on; kernels stay replaced for the rest of a process."""


def portable_level() -> str | None:
    """The class of processors whose bits this process computes, `x86-64-v3` or `x86-64-v4`; None: its own kind."""
    return _active[0] if _active else None


def set_portable(mode: str, device: torch.device, threads: int, *, compiles: bool = False) -> str | None:
    """Turn portable arithmetic on, if `reproducibility` asks for it and the device can.

    A GPU, or a processor that is not of the class, computes as in `strict`: its bits are those of its own kind.

    Args:
        mode: the value of `reproducibility`.
        threads: that compute a product.
        compiles: whether the model is compiled for the processor at hand.

    Returns:
        why it is off; None if it is on.

    Raises:
        UserError: if variables of the environment or numpy's library ask for other kernels.
    """
    if _active and (mode not in ARITHMETIC or ARITHMETIC[mode].level != _active[0]):
        raise UserError(
            f"this process computes portable arithmetic of class {_active[0]} already", "start another process"
        )
    reason = unsupported(mode) if device.type == "cpu" or mode not in ARITHMETIC else f"device {device}"
    if reason:
        return reason
    arithmetic = ARITHMETIC[mode]
    for name, value in arithmetic.variables.items():
        if (found := os.environ.get(name)) != value:
            shown = "is not set" if found is None else f"is {found!r}"
            raise UserError(
                f"reproducibility = {mode!r} takes {name}={value} before torch starts, and it {shown}",
                f"unset {name}, and run the stage: dvc repro" if found else "run the stage: dvc repro",
            )
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    if "openblas" not in blas["name"]:
        raise UserError(
            f"numpy multiplies with {blas['name']}, and portable arithmetic is OpenBLAS's",
            "install numpy from PyPI: make setup",
        )
    if (loaded := torch.backends.cpu.get_cpu_capability()) != arithmetic.aten:
        raise UserError(f"torch was started with its kernels for {loaded}", "run the stage: dvc repro")
    if compiles:
        raise UserError(
            f"train.compile generates code for the processor at hand, reproducibility = {mode!r} for all of a class",
            "set train.compile: false, or reproducibility: strict",
        )
    portable_ops.install(threads)
    if not _active:
        _active.append(arithmetic.level)
    return None
