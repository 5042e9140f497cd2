"""Facts of the environment that bits depend on, noted beside the outputs that were made under them.

`reports/facts.json` is committed together with dvc.lock and is no output: dvc.lock stays the same on machines that
differ and still make the same bits. Each stage's facts carry the hashes of the outputs they belong to, so that outputs
that came from elsewhere (`dvc pull`, the run cache) are not explained with the facts of another machine.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
import sys
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from samebits.base.errors import UserError
from samebits.base.files import read_json, write_json
from samebits.base.paths import Project
from samebits.compute.cpu import cpu_design, cpu_model
from samebits.compute.hardware import hardware_kind, pick_device
from samebits.pipeline.context import FACTS
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.pipeline.dvc_yaml import stage_files
from samebits.tracking.environment.environment import notable_cpu_flags

FORMAT = 1

_PACKAGES = (
    "numpy", "pyarrow", "pandas", "safetensors", "onnx", "onnxscript", "onnxruntime", "pillow", "matplotlib",
)  # fmt: skip
"""They write outputs, or compute what is in them."""

_VARIABLES = ("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")
_FAMILIES = ("DNNL_", "MKL_", "ONEDNN_")
"""Beside those in `hardware_kind`: variables, and beginnings of variables, of libraries that compute."""


def environment_facts(device: torch.device) -> dict[str, str]:
    """Hardware, libraries and switches of this process, as far as bits may depend on them. No times, no paths."""
    built = torch.__config__.show()
    facts = hardware_kind(device) | {
        "cpu": cpu_model(),
        "cpu_design": cpu_design(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_flags": " ".join(notable_cpu_flags()),
        "mkl": _first(r"Math Kernel Library Version (\S+)", built),
        "onednn": _first(r"(?:MKL-DNN|oneDNN) v(\S+)", built),
        "onednn_isa": onednn_isa(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "deterministic": _deterministic(),
        "float32_matmul": torch.get_float32_matmul_precision(),
    }
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            facts[f"package.{package}"] = metadata.version(package)
    facts |= {name: value for name, value in os.environ.items() if name in _VARIABLES or name.startswith(_FAMILIES)}
    return {name: value for name, value in sorted(facts.items()) if value}


def _deterministic() -> str:
    if not torch.are_deterministic_algorithms_enabled():
        return "off"
    return "warn" if torch.is_deterministic_algorithms_warn_only_enabled() else "strict"


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


@functools.cache
def onednn_isa() -> str:
    """The instruction set that oneDNN chose, from the head of its verbose output; empty where it has none.

    It has no other way to tell: the function for it is not exported by torch's library. The head is printed once a
    process, to file descriptor 1, which is turned away meanwhile.
    """
    if not torch.backends.mkldnn.is_available() or os.name != "posix":
        return ""
    sys.stdout.flush()
    library = ctypes.CDLL(None)
    with tempfile.TemporaryFile() as caught:
        kept = os.dup(1)
        os.dup2(caught.fileno(), 1)
        try:
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
                torch.relu(torch.ones(2, 2).to_mkldnn())
        finally:
            library.fflush(None)
            os.dup2(kept, 1)
            os.close(kept)
        caught.seek(0)
        return _first(r"cpu,isa:([^\n]+)", caught.read().decode(errors="replace"))


def note_facts(project: Project, stage: str, device: str) -> None:
    """Write a stage's entry of `reports/facts.json`: hashes of its outputs as they lie there now, and the facts.

    Args:
        device: `runtime.device`.

    Raises:
        OSError, UserError: if it cannot be written.
    """
    outputs = {
        path.relative_to(project.workspace).as_posix(): dvc_md5(path)
        for path in stage_files(project.workspace, stage)[1]
        if path.exists()
    }
    file = project.workspace / FACTS
    stages = _read(file)
    stages[stage] = {"outs": outputs, "facts": environment_facts(pick_device(device))}
    write_json(file, {"format": FORMAT, "stages": stages})


def recorded_facts(workspace: Path, stage: str, outputs: dict[str, str]) -> dict[str, str]:
    """The facts under which a stage made these outputs (path to hash); empty if they are not on record."""
    entry = _read(workspace / FACTS).get(stage, {})
    known = entry.get("outs", {})
    if not known or any(known.get(path) != digest for path, digest in outputs.items()):
        return {}
    return dict(entry.get("facts", {}))


def _read(file: Path) -> dict[str, Any]:
    """The stages of the file; none if it is missing, damaged or of another format: it is written anew then."""
    try:
        value = read_json(file)
    except UserError:
        return {}
    if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("stages"), dict):
        return {}
    return dict(value["stages"])
