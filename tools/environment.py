"""Install requirements.lock and this project into .venv with uv. `make` runs it before everything else.

After an installation, packages.yaml gets the releases that the lock has: it is a parameter of the stages.

    python3 tools/environment.py            create or repair .venv; well under a second if nothing is to do
    python3 tools/environment.py --fits     exit 0 if this Python can be used, else 1

It needs the standard library alone. A stamp in .venv is written last; without it (an interrupted installation) .venv
is created anew.
"""

from __future__ import annotations

import ast
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
from typing import NoReturn

OLDEST, NEWEST = (3, 11), (3, 14)  # the newest for which every locked package has a wheel

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "samebits-environment.json"

SOURCE_ONLY = "antlr4-python3-runtime"  # the one locked package without a wheel
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS", "proxy": "ALL_PROXY",
    "trusted-host": "UV_INSECURE_HOST", "cert": "SSL_CERT_FILE", "client-cert": "SSL_CLIENT_CERT",
    "timeout": "UV_HTTP_TIMEOUT", "default-timeout": "UV_HTTP_TIMEOUT",
}  # fmt: skip
"""uv reads none of pip's settings: these are handed on to it."""
MISLEADING = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN")  # would have pip install elsewhere than in .venv


def say(text: str) -> None:
    print(f"samebits: {text}", flush=True)


def stop(problem: str, fix: str, code: int = 1) -> NoReturn:
    print(f"samebits: {problem}\n  fix: {fix}", file=sys.stderr, flush=True)
    raise SystemExit(code)


def fits() -> bool:
    return OLDEST <= sys.version_info[:2] <= NEWEST


def read_stamp() -> dict[str, object]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def place() -> dict[str, object]:
    """What .venv was created for: a moved one would still run the old place's Python."""
    return {"root": str(ROOT), "python": sys.implementation.cache_tag}


def wanted() -> dict[str, object]:
    """What .venv has to hold."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (LOCK, ROOT / "pyproject.toml")}


def entries() -> set[str]:
    """Names in site-packages and beside the interpreter."""
    patterns = ("lib/python*/site-packages/*", "Lib/site-packages/*", f"{BIN.name}/*")
    return {f"{path.parent.name}/{path.name}" for pattern in patterns for path in VENV.glob(pattern)}


def is_sound(stamp: dict[str, object]) -> bool:
    """Whether .venv belongs here, its interpreter starts, and nothing that was installed is gone."""
    installed = stamp.get("entries")
    if not isinstance(installed, list) or not place().items() <= stamp.items():
        return False
    command = [str(PYTHON), "-I", "-S", "-c", "import sys; print(sys.implementation.cache_tag)"]
    try:
        started = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return started.stdout.strip() == stamp["python"] and set(installed) <= entries()


def up_to_date() -> bool:
    stamp = read_stamp()
    return wanted().items() <= stamp.items() and is_sound(stamp)


def write_stamp() -> None:
    """Last of all, and by a rename: the installation is whole when this file is there."""
    new = STAMP.with_suffix(".new")
    new.write_text(json.dumps({**place(), **wanted(), "entries": sorted(entries())}, indent=1), encoding="utf-8")
    new.replace(STAMP)


def run(purpose: str, command: list[str | Path], environment: dict[str, str]) -> None:
    # The command inherits the lock that main() holds (close_fds), and keeps it as long as it lives.
    if code := subprocess.call(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, close_fds=False):
        stop(
            f"{purpose} failed, for the reason above (exit code {code})",
            "correct that (network, disk, Python), and run the same command again: finished downloads are kept",
        )


def create() -> None:
    """An empty .venv, by the Python that runs this file or the one behind its own venv."""
    base: str = getattr(sys, "_base_executable", sys.executable)
    say(f"creating .venv with Python {sys.version.split()[0]} ({base})")
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)
    run("creating .venv (Debian: apt-get install python3-venv)", [base, "-I", "-m", "venv", VENV], {**os.environ})


def for_uv() -> tuple[dict[str, str], list[str]]:
    """Environment and options with which uv uses the indexes and settings of pip, unless its own variables are set."""
    listed = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    settings = {}
    for section in ("global", "install", ":env:"):  # the last one wins, as in pip
        for name, value in re.findall(rf"^{section}\.([\w-]+)=(.+)$", listed, re.MULTILINE):
            settings[name] = ("," if name == "find-links" else " ").join(str(ast.literal_eval(value)).split())
    variables = {UV_VARIABLES[name]: value for name, value in settings.items() if name in UV_VARIABLES}
    # As pip does it; the hashes hold whichever index serves a package.
    variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    # A hard link to uv's cache would carry an edit in .venv into the cache, and from there into every new .venv.
    variables["UV_LINK_MODE"] = "clone" if sys.platform == "darwin" else "copy"
    return {**variables, **os.environ}, ["--no-index"] if settings.get("no-index") in ("1", "true", "yes", "on") else []


def locked(*names: str) -> str:
    """The lines of some packages in the lock: `name==version`, and its hashes on the lines that follow."""
    of_names = rf"^(?:{'|'.join(names)})==.*?(?=^\S|\Z)"
    return "".join(re.findall(of_names, LOCK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))


def install() -> None:
    """Bring .venv to what is locked, each file checked against its hash."""
    # uv comes by pip. The source package is built with the locked setuptools, so that nothing unlocked runs.
    (VENV / "first.lock").write_text(locked("setuptools", "uv"), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    environment |= {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    hashed: list[str | Path] = ["--require-hashes", "--only-binary", ":all:"]
    pip: list[str | Path] = [PYTHON, "-I", "-m", "pip", "install", "-qq", "--no-deps", "-r", VENV / "first.lock"]
    run("installing uv", [*pip, *hashed], environment)

    environment, index = for_uv()
    uv: list[str | Path] = [BIN / "uv", "pip", *([] if sys.stdout.isatty() else ["--quiet"])]
    into: list[str | Path] = ["--python", PYTHON, "--no-build-isolation", *index]
    built = ["--no-binary", SOURCE_ONLY, "--compile-bytecode"]
    run("installing requirements.lock", [*uv, "sync", *into, *hashed, *built, LOCK], environment)
    run("checking the packages against each other", [*uv, "check", "--python", PYTHON], environment)
    run("installing samebits", [*uv, "install", *into, "--no-deps", "--editable", ROOT], environment)
    # Where it cannot (dvc.yaml is being edited), it says so, and a stage will.
    subprocess.call([BIN / "samebits", "packages", "--write"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)


def bring_up_to_date() -> None:
    start = time.monotonic()
    sound = is_sound(read_stamp())
    STAMP.unlink(missing_ok=True)
    if not sound:
        create()
        say("installing requirements.lock: minutes, with some 3 GB to download where uv's cache is empty")
    install()
    write_stamp()
    say(f"the environment is ready ({time.monotonic() - start:.0f} s)")


def main() -> None:
    if sys.argv[1:] == ["--fits"]:
        raise SystemExit(not fits())
    if not fits():
        stop(f"{sys.executable} is not Python 3.{OLDEST[1]} to 3.{NEWEST[1]}", "PYTHON=/path/to/python3.12 make")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not up_to_date():
            (ROOT / ".samebits").mkdir(exist_ok=True)
            with (ROOT / ".samebits" / "environment.lock").open("w") as lock:
                if os.name == "posix":
                    import fcntl

                    os.set_inheritable(lock.fileno(), True)
                    fcntl.flock(lock, fcntl.LOCK_EX)
                if not up_to_date():  # another set-up may have done it meanwhile
                    bring_up_to_date()
    except KeyboardInterrupt:
        stop("interrupted; .venv is not ready", "run the same command again", 130)


if __name__ == "__main__":
    main()
