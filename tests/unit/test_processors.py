"""tools/processors: CPUID answered from a table, in a library that a process loads."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tools.processors import catalogue, sites, table
from tools.processors.__main__ import answering

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or not shutil.which("gcc") or not shutil.which("objdump"),
    reason="needs gcc and objdump on x86-64",
)

# The constant holds CPUID's two bytes, too, and must be left alone.
ASKS = """
#include <cpuid.h>
unsigned vendor, signature;
__attribute__((constructor)) static void ask(void) {
    unsigned a, b, c, d;
    __cpuid_count(0, 0, a, b, c, d); vendor = b;
    __cpuid_count(1, 0, a, b, c, d); signature = a;
}
unsigned constant(void) { return 0xa20f; }
"""
SHOWS = """
import ctypes, faulthandler, os, sys
faulthandler.enable()
asks = ctypes.CDLL(sys.argv[1])
values = [ctypes.c_uint.in_dll(asks, name).value for name in ("vendor", "signature")]
print(*(f"{value:x}" for value in [*values, asks.constant()]), os.cpu_count(), len(os.sched_getaffinity(0)))
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    source, built = tmp_path / "asks.c", tmp_path / "asks.so"
    source.write_text(ASKS)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", built, source], check=True)
    monkeypatch.setattr(sites, "_libraries", lambda: [built])
    return built


@pytest.mark.parametrize(
    ("name", "vendor", "signature"),
    [("haswell", b"Genu", 0x306C3), ("raptor-lake", b"Genu", 0xB0671), ("zen1", b"Auth", 0x800F11)],
)
def test_a_library_sees_another_processor(
    name: str, vendor: bytes, signature: int, library: Path, tmp_path: Path
) -> None:
    environ = {**os.environ, **answering(name, 6, tmp_path / "kept")}
    done = subprocess.run([sys.executable, "-c", SHOWS, library], env=environ, capture_output=True, text=True)
    assert done.stdout.split() == [f"{int.from_bytes(vendor, 'little'):x}", f"{signature:x}", "a20f", "6", "6"], done


def test_a_list_of_another_build_is_refused(library: Path, tmp_path: Path) -> None:
    environ = {**os.environ, **answering("zen2", None, tmp_path / "kept")}
    Path(environ["CPUID_SITES"]).write_text(f"10 {library}\n")
    done = subprocess.run([sys.executable, "-c", SHOWS, library], env=environ, capture_output=True, text=True)
    assert done.returncode == 70
    assert "make the list of sites again" in done.stderr


def test_the_table_has_fifteen_processors_and_both_vendors() -> None:
    assert len({each.title for each in table.PROCESSORS.values()}) >= 15
    assert {each.vendor for each in table.PROCESSORS.values()} == {"GenuineIntel", "AuthenticAMD"}
    assert {each.avx512 for each in table.PROCESSORS.values()} == {True, False}


@pytest.mark.parametrize("name", table.PROCESSORS)
def test_a_cache_has_the_size_that_its_row_says(name: str) -> None:
    """Ways, sets and lines multiply to it, so no size is rounded away."""
    processor = table.PROCESSORS[name]
    leaf = 0x8000001D if processor.amd else 4
    found = [
        ((words[1] >> 22) + 1) * ((words[1] & 0xFFF) + 1) * (words[2] + 1) // 1024
        for at, _, words in processor.answers()
        if at == leaf
    ]
    assert found == [size for size in (processor.l1, 32, processor.l2, processor.l3) if size]


def test_a_catalogue_hashes_each_operator_and_names_the_one_that_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = torch.nn.Conv2d(2, 3, 3)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    with catalogue.Recorder() as recorder:
        for _ in range(2):
            optimizer.zero_grad()
            layer(torch.rand(2, 2, 5, 5)).exp().log().mean().backward()
            optimizer.step()
    catalogue.save(recorder, tmp_path / "calls", "strict")
    files = [tmp_path / name for name in ("here.json", "again.json", "other.json")]
    for file in files:
        if file.stem == "other":
            monkeypatch.setattr(catalogue, "_operator", _inexact(catalogue._operator))
        file.write_text(json.dumps(catalogue.hashes(tmp_path / "calls")))
    lines, differing = catalogue.compare(files)
    rows = {cells[0]: cells[2:] for cells in (line.strip("| ").split(" | ") for line in lines[2:])}
    assert {name.split(".")[1] for name in rows if "aten" in name} > {
        "convolution", "convolution_backward", "exp", "log", "mul", "_fused_adamw_",
    }  # fmt: skip
    assert differing == 1
    assert [name for name, cells in rows.items() if "differ" in cells[1]] == ["aten.log.default"]
    assert not any("differ" in cells[0] for cells in rows.values())


def _inexact(operator: Callable[[str], Any]) -> Callable[[str], Any]:
    """One operator's results differ in their last bit."""

    def named(name: str) -> Any:
        if name != "aten.log.default":
            return operator(name)
        return lambda *args: torch.nextafter(operator(name)(*args), torch.tensor(9.0))

    return named
