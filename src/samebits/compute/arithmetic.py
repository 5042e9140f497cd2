"""Instruction sets that `reproducibility: portable` computes with, on every processor that has them.

Libraries choose kernels by the processor they find. These variables name one set of kernels for all of them; each is
read when its library starts, so the `train` stage sets them before torch is imported.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from samebits.base.launch import NUMPY
from samebits.compute.cpu import cpu_flags, cpu_model


@dataclass(frozen=True)
class Arithmetic:
    """A class of processors that compute the same bits.

    Attributes:
        level: of the x86-64 psABI.
        flags: instruction sets that a processor of the class has, as Linux names them.
        aten: what torch calls its kernels of this level.
        variables: of the environment. MKL's one branch for all vendors is slow in products, which `portable_ops` gives
            to OpenBLAS; torch's other calls of MKL stay.
    """

    level: str
    flags: frozenset[str]
    aten: str
    variables: Mapping[str, str]


_V3 = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"})
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
# A model of one's own may compile parts of itself for the processor at hand.
_COMMON = NUMPY | {"MKL_CBWR": "COMPATIBLE", "TORCHDYNAMO_DISABLE": "1"}

ARITHMETIC: Mapping[str, Arithmetic] = {
    "portable": Arithmetic(
        "x86-64-v3", _V3, "AVX2", _COMMON | {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    ),
    "portable-v4": Arithmetic(
        "x86-64-v4",
        _V4,
        "AVX512",
        _COMMON
        | {
            "ATEN_CPU_CAPABILITY": "avx512",
            "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
            "OPENBLAS_CORETYPE": "SkylakeX",
        },
    ),
}
"""By the value of `reproducibility`."""


def unsupported(mode: str) -> str | None:
    """Why this machine's CPU is not of the class that a value of `reproducibility` names; None if it is."""
    if mode not in ARITHMETIC:
        return f"reproducibility: {mode}"
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"{platform.machine()} is no x86-64"
    flags = cpu_flags()
    if not flags:
        return f"{platform.system()} does not tell the instruction sets of its CPU"
    lacking = sorted(ARITHMETIC[mode].flags - flags)
    return f"{cpu_model()} lacks {', '.join(lacking)}" if lacking else None


def portable_variables(mode: str) -> dict[str, str]:
    """What to set before torch starts for a value of `reproducibility`; nothing where it cannot hold."""
    return {} if unsupported(mode) else dict(ARITHMETIC[mode].variables)
