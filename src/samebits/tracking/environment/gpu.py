"""The GPUs that this process may use, read beside the program that computes on them.

NVIDIA through NVML, AMD through the kernel's files. No reading opens a context on a device, and each is guarded on
its own: a card that does not tell its power still tells its memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

_MIB = 1 << 20


class Gpu(Protocol):
    """One GPU."""

    def facts(self) -> dict[str, str]:
        """What does not change: name, memory, driver…"""

    def sample(self) -> dict[str, float]:
        """What does: memory used (MB), utilisation (%), power (W)."""


def visible_gpus(environ: Mapping[str, str] = os.environ, drm: Path = Path("/sys/class/drm")) -> list[Gpu]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` (NVIDIA) or `HIP_VISIBLE_DEVICES` (AMD) leaves; none is no error."""
    nvidia = _nvidia_gpus(environ.get("CUDA_VISIBLE_DEVICES"))
    if nvidia:
        return nvidia
    wanted = environ.get("HIP_VISIBLE_DEVICES", environ.get("ROCR_VISIBLE_DEVICES"))
    return _pick(_amd_gpus(drm), wanted, [])


def _pick(gpus: list[Gpu], wanted: str | None, uuids: list[str]) -> list[Gpu]:
    """CUDA's rules: indices or the beginnings of UUIDs in order; what follows an invalid entry is hidden."""
    if wanted is None:
        return gpus
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in wanted.split(",")):
        if entry.isdigit() and int(entry) < len(gpus):
            chosen.append(gpus[int(entry)])
            continue
        matching = [gpu for gpu, uuid in zip(gpus, uuids, strict=False) if entry and uuid.startswith(entry)]
        if len(matching) != 1:
            break
        chosen.append(matching[0])
    return chosen


def _nvidia_gpus(wanted: str | None) -> list[Gpu]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no NVIDIA library or no driver: there is no such GPU
        return []
    count = read(pynvml.nvmlDeviceGetCount) or 0
    found: list[tuple[Gpu, str]] = []
    for index in range(count):
        handle = read(partial(pynvml.nvmlDeviceGetHandleByIndex, index))
        if handle is not None:
            found.append((NvidiaGpu(pynvml, handle), text(read(partial(pynvml.nvmlDeviceGetUUID, handle)))))
    return _pick([gpu for gpu, _ in found], wanted, [uuid for _, uuid in found])


def read(reading: Callable[[], Any]) -> Any:
    """A reading, or None where the device or the driver has none (NVML raises its own kinds of error)."""
    try:
        return reading()
    except Exception:
        return None


def text(value: Any) -> str:
    """NVML gave bytes in old versions."""
    return value.decode() if isinstance(value, bytes) else str(value or "")


@dataclass
class NvidiaGpu:
    """A GPU of NVML; `nvml` is the module `pynvml`, `handle` a device handle of it."""

    nvml: Any
    handle: Any

    def facts(self) -> dict[str, str]:
        nvml, handle = self.nvml, self.handle
        memory = read(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total)
        cuda = read(nvml.nvmlSystemGetCudaDriverVersion_v2)
        capability = read(lambda: nvml.nvmlDeviceGetCudaComputeCapability(handle))
        found = {
            "name": text(read(lambda: nvml.nvmlDeviceGetName(handle))),
            "memory_mib": str(memory // _MIB) if memory else "",
            "driver": text(read(nvml.nvmlSystemGetDriverVersion)),
            "cuda_driver": f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else "",
            "compute_capability": f"{capability[0]}.{capability[1]}" if capability else "",
        }
        return {key: value for key, value in found.items() if value}

    def sample(self) -> dict[str, float]:
        nvml, handle = self.nvml, self.handle
        found: dict[str, float] = {}
        memory = read(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        if memory is not None:
            found["memory_usage_megabytes"] = memory.used / 1e6
            found["memory_usage_percentage"] = 100 * memory.used / memory.total
        rates = read(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        if rates is not None:
            found["utilization_percentage"] = float(rates.gpu)
        power = read(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        if power is not None:
            found["power_usage_watts"] = power / 1000
            limit = read(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
            if limit:
                found["power_usage_percentage"] = 100 * power / limit
        return found


def _amd_gpus(drm: Path) -> list[Gpu]:
    found: list[Gpu] = []
    for device in sorted(drm.glob("card[0-9]*/device"), key=lambda path: int(path.parent.name[4:].split("-")[0])):
        vendor = _file(device / "vendor")
        if "-" not in device.parent.name and vendor == "0x1002":
            found.append(AmdGpu(device))
    return found


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


@dataclass
class AmdGpu:
    """A GPU of Linux's amdgpu driver (kernel documentation, "AMDGPU sysfs"); `device` is its folder in sysfs."""

    device: Path

    def facts(self) -> dict[str, str]:
        total = _file(self.device / "mem_info_vram_total")
        found = {
            "name": _file(self.device / "product_name") or f"AMD {_file(self.device / 'device')}",
            "memory_mib": str(int(total) // _MIB) if total.isdigit() else "",
            "driver": _file(Path("/sys/module/amdgpu/version")),
        }
        return {key: value for key, value in found.items() if value}

    def sample(self) -> dict[str, float]:
        found: dict[str, float] = {}
        used, total = (_file(self.device / f"mem_info_vram_{which}") for which in ("used", "total"))
        if used.isdigit() and total.isdigit() and int(total):
            found["memory_usage_megabytes"] = int(used) / 1e6
            found["memory_usage_percentage"] = 100 * int(used) / int(total)
        busy = _file(self.device / "gpu_busy_percent")
        if busy.isdigit():
            found["utilization_percentage"] = float(busy)
        for sensor in sorted(self.device.glob("hwmon/hwmon*/power1_average")):
            microwatts = _file(sensor)
            if microwatts.isdigit():
                found["power_usage_watts"] = int(microwatts) / 1e6
        return found
