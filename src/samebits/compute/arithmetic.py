"""Instruction sets that `reproducibility: portable` computes with, on every processor that has them.

Libraries choose kernels by the processor they find. These variables name one set of kernels for all of them; each is
read when its library starts, so the `train` stage sets them before torch is imported.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from samebits.base.errors import UserError
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
_NUMPY_BEYOND_V3 = "X86_V4 AVX512_ICL AVX512_SPR"

ARITHMETIC: Mapping[str, Arithmetic] = {
    "portable": Arithmetic(
        "x86-64-v3",
        _V3,
        "AVX2",
        {
            "ATEN_CPU_CAPABILITY": "avx2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "MKL_CBWR": "COMPATIBLE",
            "OPENBLAS_CORETYPE": "Haswell",
            "OPENBLAS_NUM_THREADS": "1",
            "NPY_DISABLE_CPU_FEATURES": _NUMPY_BEYOND_V3,
        },
    ),
    "portable-v4": Arithmetic(
        "x86-64-v4",
        _V4,
        "AVX512",
        {
            "ATEN_CPU_CAPABILITY": "avx512",
            "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
            "MKL_CBWR": "COMPATIBLE",
            "OPENBLAS_CORETYPE": "SkylakeX",
            "OPENBLAS_NUM_THREADS": "1",
            "NPY_DISABLE_CPU_FEATURES": _NUMPY_BEYOND_V3,
        },
    ),
}
"""By the value of `reproducibility`."""


def unsupported(mode: str) -> str | None:
    """Why this machine's CPU is not of the class that a value of `reproducibility` names; None if it is.

    Raises:
        UserError: if the class was named by its level, and the processor lacks it.
    """
    if mode not in ARITHMETIC:
        return f"reproducibility: {mode}"
    wanted = ARITHMETIC[mode]
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"{platform.machine()} is no x86-64"
    lacking = sorted(wanted.flags - cpu_flags())
    if not lacking:
        return None
    if mode != "portable":
        raise UserError(
            f"reproducibility = {mode!r} takes a processor of class {wanted.level}; {cpu_model()} lacks "
            f"{', '.join(lacking)}",
            "set reproducibility: portable (class x86-64-v3), or train on such a processor",
        )
    return f"{cpu_model()} lacks {', '.join(lacking)}"


def portable_variables(mode: str) -> dict[str, str]:
    """What to set before torch starts for a value of `reproducibility`; nothing where it cannot hold."""
    try:
        return {} if unsupported(mode) else dict(ARITHMETIC[mode].variables)
    except UserError:
        return {}  # the stage says it, when it has read all parameters
