from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from samebits.compute import cpu
from samebits.tracking.environment import environment
from samebits.tracking.environment.environment import machine_facts, packages, torch_facts
from samebits.tracking.environment.gpu import AmdGpu, visible_gpus

CPUINFO = """processor : 0
model name : AMD EPYC 9575F 64-Core Processor
flags : fpu sse4_2 avx avx2 fma avx512f avx512_bf16

processor : 1
"""


class NotSupported(Exception):
    pass


class FakeNvml(SimpleNamespace):
    """NVML with two cards, of which none tells its power, as laptops and MIG slices do."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def refuse(*arguments: Any) -> Any:
            raise NotSupported(name)

        return refuse


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda handle: f"GPU-{'ab'[handle]}bcd",
        nvmlDeviceGetName=lambda handle: f"Card {handle}".encode(),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=80 << 30, used=8 << 30),
        nvmlSystemGetDriverVersion=lambda: "580.1",
        nvmlSystemGetCudaDriverVersion_v2=lambda: 13010,
        nvmlDeviceGetCudaComputeCapability=lambda handle: (9, 0),
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=37),
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    monkeypatch.setattr(cpu, "CPUINFO", path)


def test_the_facts_of_a_gpu(nvml: FakeNvml, cpuinfo: None) -> None:
    facts = machine_facts({})
    assert facts["env.gpu.count"] == "2"
    assert {key: facts[f"env.gpu.{key}"] for key in ("name", "memory_mib", "driver", "cuda_driver")} == {
        "name": "Card 0",
        "memory_mib": "81920",
        "driver": "580.1",
        "cuda_driver": "13.1",
    }
    assert facts["env.gpu.compute_capability"] == "9.0"
    assert facts["env.gpu1.name"] == "Card 1"


def test_one_reading_that_is_refused_costs_no_other(nvml: FakeNvml) -> None:
    sample = visible_gpus({})[0].sample()
    assert sample == {
        "memory_usage_megabytes": pytest.approx(8589.9, abs=0.1),
        "memory_usage_percentage": 10.0,
        "utilization_percentage": 37.0,
    }
    nvml.nvmlDeviceGetPowerUsage = lambda handle: 350_000
    assert visible_gpus({})[0].sample()["power_usage_watts"] == 350.0


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", ["Card 1"]),
        ("1,0", ["Card 1", "Card 0"]),
        ("GPU-b", ["Card 1"]),
        ("", []),
        ("-1", []),
        ("0,9,1", ["Card 0"]),
    ],
)
def test_hidden_gpus_are_not_read(nvml: FakeNvml, visible: str, names: list[str]) -> None:
    gpus = visible_gpus({"CUDA_VISIBLE_DEVICES": visible}, Path("/nowhere"))
    assert [gpu.facts()["name"] for gpu in gpus] == names


def test_without_a_gpu_the_count_is_zero(monkeypatch: pytest.MonkeyPatch, cpuinfo: None, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert visible_gpus({}, tmp_path) == []
    monkeypatch.setattr(environment, "visible_gpus", lambda environ: [])
    facts = machine_facts({})
    assert facts["env.gpu.count"] == "0"
    assert not any(key.startswith("env.gpu.") and key != "env.gpu.count" for key in facts)


def test_an_amd_card_is_read_from_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    device = tmp_path / "card0" / "device"
    (device / "hwmon" / "hwmon3").mkdir(parents=True)
    for name, text in (
        ("vendor", "0x1002"),
        ("device", "0x74a1"),
        ("mem_info_vram_total", str(64 << 30)),
        ("mem_info_vram_used", str(16 << 30)),
        ("gpu_busy_percent", "42"),
        ("hwmon/hwmon3/power1_average", "250000000"),
    ):
        (device / name).write_text(f"{text}\n")
    other = tmp_path / "card1" / "device"
    other.mkdir(parents=True)
    (other / "vendor").write_text("0x8086")
    (gpu,) = visible_gpus({}, tmp_path)
    assert isinstance(gpu, AmdGpu)
    assert gpu.facts()["name"] == "AMD 0x74a1"
    assert gpu.facts()["memory_mib"] == "65536"
    assert gpu.sample()["memory_usage_percentage"] == 25.0
    assert gpu.sample()["utilization_percentage"] == 42.0
    assert gpu.sample()["power_usage_watts"] == 250.0
    (device / "gpu_busy_percent").unlink()
    assert "utilization_percentage" not in gpu.sample()
    assert visible_gpus({"HIP_VISIBLE_DEVICES": ""}, tmp_path) == []


def test_the_facts_of_a_cpu(cpuinfo: None) -> None:
    facts = machine_facts({})
    assert facts["env.cpu.model"] == "AMD EPYC 9575F 64-Core Processor"
    assert facts["env.cpu.flags"] == "sse4_2 avx avx2 fma avx512f avx512_bf16"
    assert int(facts["env.ram_mib"]) > 0
    assert facts["env.python"].endswith(".".join(map(str, sys.version_info[:3])))


def test_torch_tells_how_it_is_set_up() -> None:
    facts = torch_facts()
    assert facts["env.torch"] == torch.__version__
    assert facts["env.torch.threads"] == str(torch.get_num_threads())
    assert facts["env.torch.accelerator"] in ("none", "cuda", "mps", "xpu")
    assert facts["env.torch.cpu_capability"]


def test_packages_are_lines_of_name_and_version() -> None:
    lines = packages().splitlines()
    assert f"psutil=={psutil.__version__}" in lines
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(names)


@pytest.mark.parametrize(
    "variable", ["CUBLAS_WORKSPACE_CONFIG", "GLIBC_TUNABLES", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"]
)
def test_variables_that_choose_kernels_or_memory_are_facts_where_they_are_set(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "as:it=is")
    assert torch_facts()[f"env.{variable}"] == "as:it=is"
    monkeypatch.delenv(variable)
    assert f"env.{variable}" not in torch_facts()
