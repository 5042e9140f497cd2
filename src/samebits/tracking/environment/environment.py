"""Facts of the machine and the software, gathered once an execution. No reading that fails stops another.

`machine_facts` and `packages` belong to the sender, which shares the stage's machine and interpreter; `torch_facts`
tell how torch is set up in the stage's own process (threads, chosen instruction set, libraries).
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from functools import partial
from importlib import metadata

import psutil

from samebits.compute.cpu import cores, cpu_flags, cpu_model
from samebits.tracking.environment.gpu import read, visible_gpus

# Instruction sets that decide which kernel a CPU library picks.
_NOTABLE_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip
_SHOWN_PACKAGES = {"torchvision": "torchvision", "numpy": "numpy", "dvc": "dvc", "mlflow": "mlflow-skinny"}
"""Name in the tags to the package; `mlflow` itself is an extra."""


def machine_facts(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Operating system, Python, CPU, memory, GPUs and main packages, as tags `env.*`."""
    facts = {
        "env.os": f"{platform.system()} {platform.release()}",
        "env.machine": platform.machine(),
        "env.python": f"{platform.python_implementation()} {platform.python_version()}",
        "env.cpu.model": cpu_model(),
        "env.cpu.cores": str(cores()),
        "env.cpu.flags": " ".join(notable_cpu_flags()),
        "env.ram_mib": str(psutil.virtual_memory().total >> 20),
    }
    gpus = visible_gpus(environ)
    facts["env.gpu.count"] = str(len(gpus))
    for index, gpu in enumerate(gpus):
        prefix = "env.gpu" if index == 0 else f"env.gpu{index}"
        facts |= {f"{prefix}.{key}": value for key, value in gpu.facts().items()}
    for name, package in _SHOWN_PACKAGES.items():
        facts[f"env.{name}"] = str(read(partial(metadata.version, package)) or "")
    return {key: value for key, value in facts.items() if value}


def notable_cpu_flags() -> list[str]:
    """Instruction sets of the CPU that decide on kernels, as Linux names them; none elsewhere."""
    flags = cpu_flags()
    return [flag for flag in _NOTABLE_FLAGS if flag in flags]


def packages() -> str:
    """Installed packages as `name==version` lines, sorted."""
    found = {(dist.metadata["Name"] or "").lower(): dist.version for dist in metadata.distributions()}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()) if name)


def torch_facts() -> dict[str, str]:
    """How torch is set up in this process, which must have imported it; opens no device.

    Raises:
        KeyError: if torch is not imported.
    """
    torch = sys.modules["torch"]
    version = torch.version
    accelerator = read(torch.accelerator.current_accelerator) if read(torch.accelerator.is_available) else None
    cudnn = read(torch.backends.cudnn.version) if version.cuda or version.hip else None
    facts = {
        "env.torch": torch.__version__,
        "env.torch.threads": str(torch.get_num_threads()),
        "env.torch.cpu_capability": str(read(torch.backends.cpu.get_cpu_capability) or ""),
        "env.torch.cuda": version.cuda or "",
        "env.torch.rocm": version.hip or "",
        "env.torch.cudnn": str(cudnn or ""),
        "env.torch.accelerator": accelerator.type if accelerator is not None else "none",
        "env.torch.deterministic": str(torch.are_deterministic_algorithms_enabled()).lower(),
    }
    for variable in ("CUBLAS_WORKSPACE_CONFIG", "GLIBC_TUNABLES", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"):
        if variable in os.environ:
            facts[f"env.{variable}"] = os.environ[variable]
    return {key: value for key, value in facts.items() if value}
