"""Make .venv what requirements.lock says. `make` runs it before everything else; it needs only the standard library.

    python3 tools/environment.py            makes or fixes .venv, or finds that nothing is to do (well under a second)
    python3 tools/environment.py --check    exit 0 if nothing is to do, else 1; changes nothing

A stamp in .venv is written last. Without it (an interrupted install) .venv is made anew; with it, only what
differs is installed. So .venv is never half of one thing and half of another.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

OLDEST = (3, 11)
NEWEST = (3, 14)  # the newest Python for which every locked package has a wheel

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
PROJECT = ROOT / "pyproject.toml"
STAMP = VENV / "samebits-environment.json"
GUARD = ROOT / ".samebits" / "environment.lock"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

# Not the interpreter of a venv that may be removed, .venv itself among them.
BASE_PYTHON: str = getattr(sys, "_base_executable", sys.executable)

# The one package in the lock that is published as source only. It is built with the locked setuptools.
SOURCE_ONLY = "antlr4-python3-runtime"
# What a fresh environment takes on disk, measured: CUDA's libraries are most of it on Linux.
NEEDED_BYTES = 7_000_000_000 if sys.platform == "linux" else 2_500_000_000
# pip settings from the caller's environment that would send packages somewhere else than .venv.
MISLEADING = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN")


def say(text: str) -> None:
    print(f"samebits: {text}", flush=True)


def stop(problem: str, fix: str, code: int = 1) -> NoReturn:
    sys.stdout.flush()
    print(f"samebits: {problem}\n  fix: {fix}", file=sys.stderr, flush=True)
    raise SystemExit(code)


def version_name(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def check_python() -> None:
    """Refuse a Python that cannot carry the environment, before anything is made."""
    here = sys.version_info[:2]
    if not OLDEST <= here <= NEWEST:
        stop(
            f"{sys.executable} is Python {version_name(here)}; the locked packages are for "
            f"{version_name(OLDEST)} to {version_name(NEWEST)}",
            "name another one, for example: PYTHON=python3.12 make",
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop(
            f"{sys.executable} comes without the venv and ensurepip modules (Debian and Ubuntu split them off)",
            f"apt-get install python{version_name(here)}-venv, or name another Python: PYTHON=python3.12 make",
        )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wanted() -> dict[str, str]:
    """What the stamp has to say. The root is part of it, since a moved .venv still runs the old place's Python."""
    return {"root": str(ROOT), "lock": sha256(LOCK), "project": sha256(PROJECT)}


def read_stamp() -> dict[str, object]:
    """The stamp, or nothing if the last installation did not end."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def packages_folder() -> Path:
    """site-packages of .venv, found by pip, which every venv has."""
    return next(path.parent for path in VENV.glob("[Ll]ib/**/site-packages/pip"))


def listing(folder: Path) -> set[str]:
    """Names in a folder of the environment; Python's own caches come and go."""
    return {name for name in os.listdir(folder) if name != "__pycache__"} if folder.is_dir() else set()


def missing(stamp: dict[str, object]) -> set[str]:
    """What the finished installation had and is now gone: a package removed, upgraded or deleted by hand."""
    entries = stamp.get("entries")
    if not isinstance(entries, dict):
        return {"entries"}
    return {name for folder, names in entries.items() for name in set(names) - listing(VENV / folder)}


def runs(python: Path, tag: str) -> bool:
    """Whether the environment's interpreter still starts and is the one that the packages were installed for."""
    if Path(sys.executable) == python:
        return tag == sys.implementation.cache_tag
    command = [str(python), "-I", "-S", "-c", "import sys; print(sys.implementation.cache_tag)"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.stdout.strip() == tag


def up_to_date() -> bool:
    stamp = read_stamp()
    same = all(stamp.get(key) == value for key, value in wanted().items())
    return same and not missing(stamp) and runs(PYTHON, str(stamp.get("python")))


def run(command: list[str], keep: tuple[int, ...]) -> int:
    """Run a command to its end; when we are stopped, it is stopped first. It holds the lock as long as it lives."""
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    # PIP_USER=0 also overrides `user = true` in a configuration file.
    environment.update(PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    # Windows knows no pass_fds, and this file takes no lock there.
    inherited = () if os.name == "nt" else keep
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, pass_fds=inherited)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def pip(arguments: list[str], purpose: str, keep: tuple[int, ...]) -> None:
    # Twice: its warnings are about the machine's own settings. Errors still show.
    quiet = [] if sys.stdout.isatty() else ["--quiet", "--quiet"]
    code = run([str(PYTHON), "-m", "pip", *arguments[:1], *quiet, *arguments[1:]], keep)
    if code:
        stop(
            f"{purpose} failed: pip's reason stands above (exit code {code})",
            "fix that (network, disk) and run the same command again; pip's cache keeps finished downloads",
        )


def block_of(lock: str, name: str) -> str:
    """The lines of one package in the lock: `name==version`, and its hashes on the lines that follow."""
    found = re.search(rf"^{re.escape(name)}==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    if found is None:
        stop(f"{LOCK.name} has no {name}", "make it again: make lock")
    return found.group()


def names_of(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][a-z0-9.-]*)==", lock, re.MULTILINE))


def install_lock(old_lock: str, keep: tuple[int, ...]) -> None:
    """Install what the lock holds, and remove what an older lock (empty: a new .venv) held and this one does not.

    Everything is checked against its hash, and nothing is built in an environment whose contents are not locked:
    setuptools comes first, the only source package is built with it.
    """
    lock = LOCK.read_text(encoding="utf-8")
    first = VENV / "setuptools.lock"
    first.write_text(block_of(lock, "setuptools"), encoding="utf-8")
    hashed = ["install", "--require-hashes", "--no-deps", "--no-build-isolation"]
    if not old_lock:
        # pip compiles one file after the other, a minute of 18,000 files; compile_all uses every core.
        hashed += ["--no-compile"]
    pip([*hashed, "--only-binary", ":all:", "-r", str(first)], "installing setuptools", keep)
    binary = ["--only-binary", ":all:", "--no-binary", SOURCE_ONLY]
    # With --use-pep517 the source package becomes a wheel by the same way as all others, also with an old pip.
    pip([*hashed, *binary, "--use-pep517", "-r", str(LOCK)], "installing requirements.lock", keep)
    if not old_lock:
        compile_all(keep)
    if dropped := sorted(names_of(old_lock) - names_of(lock)):
        pip(["uninstall", "--yes", *dropped], "removing what left the lock", keep)


def compile_all(keep: tuple[int, ...]) -> None:
    """Write the byte code of all packages. The exit code is not looked at: some packages carry templates that are
    no valid Python, and what could not be compiled here is compiled when it is imported."""
    run([str(PYTHON), "-m", "compileall", "-q", "-q", "-j", "0", str(packages_folder())], keep)


def install_project(keep: tuple[int, ...]) -> None:
    """Install samebits itself as a link to src, so that the `samebits` command exists and edits count at once."""
    pip(["install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], "installing samebits", keep)


def make_venv(keep: tuple[int, ...]) -> None:
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)
    say(f"making .venv with Python {sys.version.split()[0]} ({BASE_PYTHON})")
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        say(f"warning: {free / 1e9:.1f} GB are free here, and the environment takes up to {NEEDED_BYTES / 1e9:.1f} GB")
    if run([BASE_PYTHON, "-m", "venv", str(VENV)], keep):
        stop(f"{BASE_PYTHON} could not make .venv: its reason stands above", "name another Python: PYTHON=… make")


def write_stamp() -> None:
    """Last of all, and by a rename: the installation is whole when this file is there."""
    entries = {str(folder.relative_to(VENV)): sorted(listing(folder)) for folder in (packages_folder(), BIN)}
    stamp = {**wanted(), "python": sys.implementation.cache_tag, "entries": entries}
    shutil.copyfile(LOCK, VENV / LOCK.name)
    new = STAMP.with_suffix(".new")
    new.write_text(json.dumps(stamp, indent=1, sort_keys=True), encoding="utf-8")
    new.replace(STAMP)


def bring_up_to_date(keep: tuple[int, ...]) -> None:
    start = time.monotonic()
    stamp, want = read_stamp(), wanted()
    gone = missing(stamp) if stamp else set()
    # pip puts back what has no .dist-info any more. A package's folder deleted beside its .dist-info it does not see.
    mendable = not gone or any(name.endswith(".dist-info") for name in gone)
    usable = stamp.get("root") == want["root"] and mendable and runs(PYTHON, str(sys.implementation.cache_tag))
    STAMP.unlink(missing_ok=True)
    if not usable:
        make_venv(keep)
        stamp = {}
    old = VENV / LOCK.name
    if stamp.get("lock") != want["lock"] or gone:
        count = len(names_of(LOCK.read_text(encoding="utf-8")))
        size = "some 3 GB to download on Linux (torch with CUDA) where pip's cache is empty; " if not stamp else ""
        say(f"installing requirements.lock ({count} packages; {size}takes minutes)" if not stamp else "repairing .venv")
        install_lock(old.read_text(encoding="utf-8") if old.exists() else "", keep)
        pip(["check"], "checking the installed packages against each other", keep)
    install_project(keep)
    write_stamp()
    say(f"the environment is ready ({time.monotonic() - start:.0f} s)")


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        raise SystemExit(not up_to_date())
    check_python()
    signal.signal(signal.SIGTERM, interrupt)
    GUARD.parent.mkdir(exist_ok=True)
    with GUARD.open("w") as guard:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another set-up is at work here; waiting for it")
                fcntl.flock(guard, fcntl.LOCK_EX)
        if read_stamp().get("python") == sys.implementation.cache_tag and up_to_date():
            return
        try:
            bring_up_to_date((guard.fileno(),))
        except KeyboardInterrupt:
            stop("interrupted; .venv is not ready", "run the same command again, it starts afresh", 130)


if __name__ == "__main__":
    main()
