"""What must be set before torch is imported, and the one restart that it takes.

glibc reads `GLIBC_TUNABLES` when a process starts, and cuBLAS reads its workspace setting when it is loaded. So a
stage replaces itself once (`execve`: same process id, same parent) with both in its environment. Only the entry
scripts in `stages/` do this; importing samebits into a notebook or a server changes nothing.

A variable that the user has set stays as it is, without a word. A `GLIBC_TUNABLES` of theirs takes the place of ours
whole: who wants both joins them with a colon. The run says which one held (tag `env.GLIBC_TUNABLES`).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Mapping

_MARK = "SAMEBITS_LAUNCHED"

_PACKAGES = ("numpy", "pydantic", "ruamel", "torch")
"""Of the requirements, those without which no stage begins. A Python that has them all is taken for ours."""

# Freshly mapped blocks are page-faulted in anew at each step; malloc is told to keep large ones. It does not touch
# what is computed.
_MALLOC = "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296:glibc.malloc.hugetlb=1"

# numpy's kernels and its BLAS follow the processor, and outputs of every stage are computed with them: AVX-512 and AVX2
# have other logarithms and products. These are the kernels of every processor with AVX2; training in portable
# arithmetic names its own (compute/arithmetic.py).
NUMPY = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
}

# Threads that wait for each other spin for some 30 microseconds, not for milliseconds: beside other work on the machine
# these are lost, and made a step take over ten times as long. Not spinning at all costs an idle machine half its speed.
_OPENMP = {"GOMP_SPINCOUNT": "10000"}

# One of the two workspace sizes with which cuBLAS is deterministic (CUDA documentation, cuBLAS, "Results
# reproducibility"); torch refuses deterministic matrix products without it.
_CUBLAS = ":4096:8"


def environment(also: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables a stage needs, `also` among them, without those that the user has set."""
    wanted = {"CUBLAS_WORKSPACE_CONFIG": _CUBLAS}
    if "OMP_WAIT_POLICY" not in os.environ:
        wanted |= _OPENMP
    if platform.machine().lower() in ("x86_64", "amd64"):
        wanted |= NUMPY
    wanted |= also or {}
    if platform.libc_ver()[0] == "glibc":
        wanted["GLIBC_TUNABLES"] = _MALLOC
    return {key: value for key, value in wanted.items() if key not in os.environ}


def require_environment() -> None:
    """Stop a stage that was started by a Python without the project's packages, as `.venv/bin/dvc repro` does where the
    environment is not active: stages are run by the first `python` on the path.

    Raises:
        SystemExit: 2, with the fix.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"error: {sys.executable} does not have the project's requirements (no {', '.join(missing)})\n"
            "  fix: run make repro, or activate the environment: source .venv/bin/activate",
            file=sys.stderr,
        )
        raise SystemExit(2)


def relaunch_once(also: Mapping[str, str] | None = None) -> None:
    """Restart this process with `environment(also)`, unless that was done or there is nothing to set.

    Where there is no `execve` that keeps the process (Windows), only the variables are set.

    Raises:
        SystemExit: 2, with the fix, if this Python has none of our requirements.
    """
    require_environment()
    missing = environment(also)
    if not missing or _MARK in os.environ:
        return
    os.environ.update(missing)
    if os.name == "posix" and "GLIBC_TUNABLES" in missing:
        os.environ[_MARK] = "1"
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ)
