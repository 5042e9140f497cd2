"""Where the libraries of an environment ask CPUID: offsets found by disassembly (binutils' objdump).

The two bytes of CPUID also occur in data and inside other instructions, so only what objdump decodes counts. A list is
kept per library and build, as disassembling torch takes a minute.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import subprocess
from pathlib import Path

PACKAGES = ("torch", "numpy", "onnxruntime", "PIL", "pyarrow", "tokenizers", "sklearn", "scipy")
"""Packages that compute, decode or parse what becomes an output."""

_GPU = re.compile(r"cuda|nvrtc|nvshmem|tensorrt")
_CPUID = b"\x0f\xa2"


@functools.cache
def site_list(kept: Path) -> str:
    """Lines "offset path" of every CPUID instruction.

    Args:
        kept: folder of the lists per library; made when it is not there.
    """
    kept.mkdir(parents=True, exist_ok=True)
    return "".join(_of_library(library, kept) for library in _libraries())


def _libraries() -> list[Path]:
    found = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin).parent
        for each in (folder, folder.parent / f"{package}.libs", folder.parent / "pillow.libs"):
            found += [path.resolve() for path in each.rglob("*.so*") if not _GPU.search(path.name)]
    return sorted(set(found))


def _of_library(library: Path, kept: Path) -> str:
    content = library.read_bytes()
    if _CPUID not in content:
        return ""
    file = kept / f"{hashlib.blake2b(content, digest_size=16).hexdigest()}.offsets"
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text("\n".join(_offsets(library)))
        partial.replace(file)
    return "".join(f"{offset} {library}\n" for offset in file.read_text().split())


def _offsets(library: Path) -> list[str]:
    command = ["objdump", "--disassemble", "--no-show-raw-insn", "--wide", str(library)]
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.rstrip().endswith("\tcpuid"):
                found.append(line.split(":", 1)[0].strip())
    if process.returncode:
        raise SystemExit(f"objdump could not read {library}")
    return found
