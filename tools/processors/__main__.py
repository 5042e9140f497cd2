"""Run a Python script as on another processor: `python -m tools.processors OPTIONS -- SCRIPT [ARGUMENT ...]`.

Two ways, of which each shows what the other cannot:

- `--answers`: this processor computes, and CPUID answers as another would (`answers.c`). Libraries choose kernels and
  sizes of blocks by it. Fast. Approximations such as RSQRTPS stay this processor's own.
- `--emulated`: qemu-user computes, from AVX2 up to no AVX-512; its RCPPS and RSQRTPS are exact, which no silicon's
  are. 30 to 60 times slower.

`--mode portable` sets the variables of that arithmetic, and `--answers native` runs the script as it is. `{}` in an
argument becomes the processor's name.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from samebits.compute.arithmetic import ARITHMETIC

from .sites import site_list
from .table import PROCESSORS, text

EMULATED = (
    *("Haswell", "Broadwell", "Skylake-Client", "EPYC", "EPYC-Rome", "EPYC-Milan"),
    *("Haswell,l3-cache=off", "EPYC-Rome,host-cache-info=off", "EPYC-Rome,l3-cache=off"),
)
"""Models of qemu that have AVX2; qemu 7.2 emulates no AVX-512."""

NATIVE = "native"
"""In place of a processor's name: the one at hand, as it is."""

_KEPT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "samebits" / "processors"


def answering(name: str, cores: int | None, kept: Path = _KEPT) -> dict[str, str]:
    """The environment variables under which a process sees another processor; makes what they name.

    Args:
        cores: how many it sees; None: those that are there.
        kept: folder of what takes long to make.
    """
    kept.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name("answers.c")
    library = kept / "answers.so"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        partial = library.with_suffix(".partial")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(partial), str(source), "-ldl"], check=True)
        partial.replace(library)
    sites, answers = kept / "sites", kept / f"{name}.answers"
    for file, content in ((sites, site_list(kept)), (answers, text(PROCESSORS[name]))):
        if not file.exists() or file.read_text() != content:
            file.write_text(content)
    found = {
        "LD_AUDIT": str(library),
        "LD_PRELOAD": str(library),
        "CPUID_SITES": str(sites),
        "CPUID_ANSWERS": str(answers),
    }
    return found | ({"CPUID_CORES": str(cores)} if cores else {})


def emulating(model: str) -> list[str]:
    """The command before a script's name. One thread: qemu's others only wait for each other."""
    qemu = shutil.which("qemu-x86_64")
    if qemu is None:
        raise SystemExit("qemu-x86_64 is not installed (Debian: apt-get install qemu-user)")
    # qemu loads a program itself, so a link to an interpreter must not lead it away from its environment.
    return [qemu, "-cpu", model, "-0", sys.executable, str(Path(sys.executable).resolve())]


def run(name: str, script: list[str], *, emulated: bool, mode: str | None = None, cores: int | None = None) -> int:
    """Run a script on a processor; its exit code. Lines on stderr of features that qemu lacks are left out.

    Args:
        mode: a value of `reproducibility`, whose variables are set.
    """
    script = [each.replace("{}", name) for each in script]
    environ = {**os.environ, **(ARITHMETIC[mode].variables if mode else {})}
    if not emulated:
        environ |= {} if name == NATIVE else answering(name, cores)
        return subprocess.run([sys.executable, *script], env=environ).returncode
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as errors:
        code = subprocess.run([*emulating(name), *script], env={**environ, **threads}, stderr=errors).returncode
        errors.seek(0)
        sys.stderr.writelines(line for line in errors if "TCG doesn't support" not in line)
    return code


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.processors", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip # noqa: E501
    parser.add_argument("--answers", metavar="NAME,…", help=f"all, or of {NATIVE}, {', '.join(PROCESSORS)}")
    parser.add_argument("--emulated", metavar="MODEL", action="append", help=f"all, or of {'; '.join(EMULATED)}")
    parser.add_argument("--mode", choices=list(ARITHMETIC), help="set the variables of this reproducibility")
    parser.add_argument("--cores", type=int, help="how many cores a process sees under --answers")
    parser.add_argument(
        "script", nargs=argparse.REMAINDER, help="a Python script, or -m and a module, and its arguments"
    )
    given = parser.parse_args()
    named = (
        [NATIVE, *PROCESSORS] if given.answers == "all" else (given.answers or "").split(",") if given.answers else []
    )
    script = given.script[1:] if given.script[:1] == ["--"] else given.script
    unknown = [name for name in named if name not in (NATIVE, *PROCESSORS)]
    if unknown or not script or not (named or given.emulated):
        parser.error(f"no such processor: {unknown[0]}" if unknown else "name processors and a script")
    models = list(EMULATED) if given.emulated == ["all"] else given.emulated or []
    failed = False
    for name, emulated in [*((name, False) for name in named), *((name, True) for name in models)]:
        begun = time.monotonic()
        code = run(name, script, emulated=emulated, mode=given.mode, cores=given.cores)
        print(f"{name}: {'done' if code == 0 else f'exit code {code}'}, {time.monotonic() - begun:.0f} s", flush=True)
        failed = failed or code != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
