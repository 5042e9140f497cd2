"""The device, the precision it computes in, and the facts of a machine that bits depend on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import numpy as np
import torch

from samebits.base.errors import UserError
from samebits.compute.cpu import cpu_design, cpu_flags, cpu_model
from samebits.compute.portable import portable_level


def pick_device(requested: str) -> torch.device:
    """`auto` is the accelerator torch finds (CUDA, ROCm, XPU, MPS), else the CPU.

    Raises:
        UserError: if a named device is not there.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if requested == "auto":
        return accelerator or torch.device("cpu")
    device = torch.device(requested)
    if device.type == "cpu":
        return device
    count = torch.accelerator.device_count() if accelerator and accelerator.type == device.type else 0
    if (device.index or 0) >= count:
        found = f"{torch.accelerator.device_count()} {accelerator.type} device(s)" if accelerator else "no accelerator"
        raise UserError(
            f"runtime.device = {requested!r}: torch {torch.__version__} finds {found}",
            "set runtime.device: auto, or install a torch build and a driver for the device",
        )
    return device


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was asked to; a CPU always has."""
    if device.type != "cpu":
        torch.accelerator.synchronize()


@dataclass(frozen=True)
class Precision:
    """How the forward pass computes. Weights and optimiser state are fp32 in every case.

    Attributes:
        name: fp32, bf16 or fp16.
        dtype: what autocast casts to; None is no autocast.
        scaled: scale the loss so that fp16 gradients do not vanish (Micikevicius et al., 2018).
    """

    name: str
    dtype: torch.dtype | None
    scaled: bool


def resolve_precision(requested: str, device: torch.device) -> Precision:
    """From `train.precision` and the device to what is computed.

    | requested | CUDA, ROCm, XPU             | MPS  | CPU                              |
    |-----------|-----------------------------|------|----------------------------------|
    | auto      | bf16, fp32 where it has none| fp32 | bf16 if that is the faster (below), else fp32 |
    | bf16      | bf16                        | bf16 | bf16                             |
    | fp16      | fp16 with a scaler          | refused | refused                       |

    Faster on a CPU: with AMX, and on AMD's with AVX512_BF16. On an Intel Xeon with that and without AMX, fp32 trained
    ResNet-18 1.4 times as fast as bf16. Portable arithmetic is fp32.

    Raises:
        UserError: for fp16 on a device where gradients cannot be scaled, and for 16 bits in portable arithmetic.
    """
    if (level := portable_level()) and device.type == "cpu":
        if requested not in ("auto", "fp32"):
            raise UserError(
                f"train.precision = {requested!r}: portable arithmetic ({level}) computes in fp32",
                "set train.precision: fp32, or reproducibility: strict",
            )
        requested = "fp32"
    if requested == "auto":
        requested = "bf16" if _computes_bf16(device) else "fp32"
    if requested == "bf16":
        return Precision("bf16", torch.bfloat16, scaled=False)
    if requested == "fp16":
        if device.type not in ("cuda", "xpu"):
            raise UserError(
                f"train.precision = 'fp16' cannot be used on {device.type}", "set train.precision: auto (bf16 or fp32)"
            )
        return Precision("fp16", torch.float16, scaled=True)
    return Precision("fp32", None, scaled=False)


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "xpu":
        return True
    if device.type == "cpu":
        flags = cpu_flags()
        return "amx_bf16" in flags or ("avx512_bf16" in flags and "AuthenticAMD" in cpu_design())
    return False


def _blas() -> str:
    """The library that multiplies matrices, which numpy brings."""
    found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{found['name']} {found['version']}"


KERNEL_VARIABLES = (
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA",
)  # fmt: skip
"""They choose among a CPU's kernels. oneDNN goes by its old name, DNNL, too."""


def hardware_kind(device: torch.device) -> dict[str, str]:
    """What the resulting bits depend on beside code, data and parameters. docs/reproducibility.md has the measurements.

    The CPU counts for a run on a GPU, too: the initial weights are drawn on it.
    """
    kind = {
        "torch": torch.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
        "device": device.type,
    }
    if (level := portable_level()) and device.type == "cpu":
        # The same on every processor of the class.
        kind |= {"arithmetic": level, "numpy": f"{np.__version__}, {_blas()}"}
    else:
        kind |= {
            "cpu": cpu_model(),
            "cpu_design": cpu_design(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }
    for variable in KERNEL_VARIABLES:
        if variable in os.environ:
            kind[variable] = os.environ[variable]
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        kind["gpu"] = torch.cuda.get_device_name(device)
        kind["compute_capability"] = f"{major}.{minor}"
        kind["runtime"] = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}"
        kind["cudnn"] = str(torch.backends.cudnn.version())
    return kind
