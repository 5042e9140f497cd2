"""Which device and which precision come out of what was asked for and what the machine has."""

from __future__ import annotations

import pytest
import torch

from samebits.base.errors import UserError
from samebits.compute import hardware
from samebits.compute.hardware import (
    Precision,
    hardware_kind,
    pick_device,
    resolve_precision,
)

FP32 = Precision("fp32", None, scaled=False)
BF16 = Precision("bf16", torch.bfloat16, scaled=False)
FP16 = Precision("fp16", torch.float16, scaled=True)

# requested, device, does it compute in bf16, what comes out
TABLE = [
    ("auto", "cuda", True, BF16),
    ("auto", "cuda", False, FP32),
    ("auto", "xpu", True, BF16),
    ("auto", "mps", True, FP32),
    ("auto", "cpu", True, BF16),
    ("auto", "cpu", False, FP32),
    *(("fp32", device, True, FP32) for device in ("cuda", "xpu", "mps", "cpu")),
    *(("bf16", device, False, BF16) for device in ("cuda", "xpu", "mps", "cpu")),
    *(("fp16", device, native, FP16) for device in ("cuda", "xpu") for native in (True, False)),
]


def set_bf16(
    monkeypatch: pytest.MonkeyPatch, native: bool, flag: str = "avx512_bf16", vendor: str = "AuthenticAMD"
) -> None:
    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"avx512f", flag} if native else {"avx512f"}))
    monkeypatch.setattr(hardware, "cpu_design", lambda: f"{vendor} 25 17")


@pytest.mark.parametrize(("requested", "device", "native", "expected"), TABLE)
def test_precision(
    requested: str, device: str, native: bool, expected: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_bf16(monkeypatch, native)
    assert resolve_precision(requested, torch.device(device)) == expected


@pytest.mark.parametrize(
    ("flag", "vendor", "expected"),
    [
        ("avx512_bf16", "AuthenticAMD", BF16),
        ("amx_bf16", "GenuineIntel", BF16),
        ("avx512_bf16", "GenuineIntel", FP32),  # measured: fp32 is 1.4 times as fast there
    ],
)
def test_a_cpu_computes_in_what_is_faster_on_it(
    flag: str, vendor: str, expected: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_bf16(monkeypatch, True, flag, vendor)
    assert resolve_precision("auto", torch.device("cpu")) == expected


@pytest.mark.parametrize(("requested", "refused"), [("auto", False), ("fp32", False), ("bf16", True), ("fp16", True)])
def test_portable_arithmetic_is_fp32_on_a_cpu(requested: str, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    set_bf16(monkeypatch, True)
    monkeypatch.setattr(hardware, "portable_level", lambda: "x86-64-v3")
    if not refused:
        assert resolve_precision(requested, torch.device("cpu")) == FP32
        return
    with pytest.raises(UserError, match="x86-64-v3") as error:
        resolve_precision(requested, torch.device("cpu"))
    assert "reproducibility: strict" in error.value.fix


def test_the_kind_of_portable_arithmetic_names_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "portable_level", lambda: "x86-64-v3")
    for name in hardware.KERNEL_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    kind = hardware_kind(torch.device("cpu"))
    assert kind.keys() == {"torch", "numpy", "platform", "threads", "device", "arithmetic"}
    assert kind["arithmetic"] == "x86-64-v3"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A GPU")
    assert "arithmetic" not in hardware_kind(torch.device("cuda"))


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_fp16_is_refused_where_gradients_cannot_be_scaled(device: str) -> None:
    with pytest.raises(UserError, match=f"'fp16' cannot be used on {device}") as error:
        resolve_precision("fp16", torch.device(device))
    assert "train.precision: auto" in error.value.fix


def set_accelerator(monkeypatch: pytest.MonkeyPatch, kind: str | None, count: int = 0) -> None:
    device = torch.device(kind, 0) if kind else None
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: device is not None)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: device)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("kind", "requested", "expected"),
    [
        (None, "auto", "cpu"),
        (None, "cpu", "cpu"),
        ("cuda", "auto", "cuda:0"),
        ("xpu", "auto", "xpu:0"),
        ("mps", "auto", "mps:0"),
        ("cuda", "cpu", "cpu"),
        ("cuda", "cuda", "cuda"),
        ("cuda", "cuda:1", "cuda:1"),
    ],
)
def test_device(kind: str | None, requested: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_accelerator(monkeypatch, kind, 2 if kind else 0)
    assert pick_device(requested) == torch.device(expected)


@pytest.mark.parametrize(
    ("kind", "requested", "found"),
    [
        (None, "cuda", "no accelerator"),
        (None, "mps", "no accelerator"),
        ("cuda", "cuda:2", r"2 cuda device\(s\)"),
        ("cuda", "xpu", "cuda"),
    ],
)
def test_a_device_that_is_not_there(
    kind: str | None, requested: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_accelerator(monkeypatch, kind, 2 if kind else 0)
    with pytest.raises(UserError, match=rf"runtime\.device = '{requested}'.*{found}") as error:
        pick_device(requested)
    assert "runtime.device: auto" in error.value.fix


def test_what_bits_depend_on_is_in_the_kind_of_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    cpu = torch.device("cpu")
    kind = hardware_kind(cpu)
    assert kind["device"] == "cpu"
    assert kind["torch"] == torch.__version__
    assert kind["threads"] == str(torch.get_num_threads())
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert hardware_kind(cpu) == kind | {"threads": "99", "ATEN_CPU_CAPABILITY": "default"}
    monkeypatch.setattr(hardware, "cpu_model", lambda: "another")
    assert hardware_kind(cpu)["cpu"] == "another"


def test_each_variable_that_picks_kernels_is_in_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN reads DNNL_MAX_CPU_ISA, too, and it changes bits."""
    assert {"ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA"} <= {*hardware.KERNEL_VARIABLES}
    for name in hardware.KERNEL_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    plain = hardware_kind(torch.device("cpu"))
    for name in hardware.KERNEL_VARIABLES:
        monkeypatch.setenv(name, "x")
        assert hardware_kind(torch.device("cpu")) == plain | {name: "x"}
        monkeypatch.delenv(name)


def test_a_gpu_is_told_by_name_and_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A GPU")
    kind = hardware_kind(torch.device("cuda", 1))
    assert (kind["gpu"], kind["compute_capability"], kind["device"]) == ("A GPU", "9.0", "cuda")
