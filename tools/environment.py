"""Install requirements.lock and samebits into .venv with uv. `make` runs it before everything else.

samebits is this clone of it, or in a project the release that requirements.txt names.

After an installation, packages.yaml gets the releases that the lock has: it is a parameter of the stages.

    python3 tools/environment.py            create or repair .venv; well under a second if nothing is to do
    python3 tools/environment.py --fits     exit 0 if this Python can be used, else 1

Environment variables, which `make setup TORCH=cpu EXTRAS=sweep,ui` sets; without them .venv stays what it is:

    TORCH=auto      the build of torch. `auto`: `cpu` on Linux without an NVIDIA GPU where PyTorch's index answers,
                    else `locked`, the build in requirements.lock (on Linux with CUDA)
    TORCH_INDEX=    address or folder with the CPU wheels, in place of PyTorch's own index
    EXTRAS=dev      extras of samebits to install; `none` for none, `dev` for all that is locked

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
RELEASE = ROOT / "requirements.txt"
"""Of a project alone: the release of samebits that is installed. A clone of samebits installs itself."""
STAMP = VENV / "samebits-environment.json"

SOURCE_ONLY = "antlr4-python3-runtime"  # the one locked package without a wheel
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS", "proxy": "ALL_PROXY",
    "trusted-host": "UV_INSECURE_HOST", "cert": "SSL_CERT_FILE", "client-cert": "SSL_CLIENT_CERT",
    "timeout": "UV_HTTP_TIMEOUT", "default-timeout": "UV_HTTP_TIMEOUT",
}  # fmt: skip
"""uv reads none of pip's settings: these are handed on to it."""
BUILDS = ("auto", "cpu", "locked")
TORCH = ("torch", "torchvision")
CUDA = r"nvidia-(?!ml-py)\S+|cuda-\S+|triton"
"""Packages of the lock that torch's CUDA build needs, and its CPU build does not. `uv pip check` looks afterwards."""
FIRST = ("setuptools", "uv")
PROBE_S = 20
"""For PyTorch's index to answer, where the CPU build was not asked for."""
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


def wanted(stamp: dict[str, object]) -> dict[str, object]:
    """What .venv has to hold: of the lock, the build of torch and the extras asked for, else those that it has."""
    asking = RELEASE if RELEASE.is_file() else ROOT / "pyproject.toml"
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (LOCK, asking)}
    build = os.environ.get("TORCH") or "auto"
    if build not in BUILDS:
        stop(f"TORCH={build} is no build of torch", f"one of {', '.join(BUILDS)}: make setup TORCH=cpu")
    asked = set(re.split(r"[\s,]+", os.environ.get("EXTRAS", ""))) - {""}
    extras = ",".join(sorted(asked - {"none"})) if asked else stamp.get("extras", "dev")
    # A .venv of an earlier release has neither entry: it holds the lock as it is.
    build = str(stamp.get("torch", "locked" if stamp else "auto")) if build == "auto" else build
    build = build if sys.platform == "linux" else "locked"  # elsewhere that is a CPU build
    return {**files, "torch": build, "extras": extras}


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
    has = {"torch": "locked", "extras": "dev", **stamp}
    return bool(stamp) and wanted(stamp).items() <= has.items() and is_sound(stamp)


def write_stamp(content: dict[str, object]) -> None:
    """Last of all, and by a rename: the installation is whole when this file is there."""
    new = STAMP.with_suffix(".new")
    new.write_text(json.dumps({**place(), **content, "entries": sorted(entries())}, indent=1), encoding="utf-8")
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
    given = {name: value for name, value in os.environ.items() if name != "UV_TORCH_BACKEND"}  # TORCH says which
    return {**variables, **given}, ["--no-index"] if settings.get("no-index") in ("1", "true", "yes", "on") else []


def locked(*names: str) -> str:
    """The lines of some packages in the lock: `name==version`, and its hashes on the lines that follow."""
    return "".join(text for name, text in blocks() if name in names)


def blocks() -> list[tuple[str, str]]:
    """Each package of the lock, and its lines."""
    found = re.findall(r"^([\w.-]+)(==.*?)(?=^\S|\Z)", LOCK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [(name, name + text) for name, text in found]


def has_gpu() -> bool:
    """Whether this machine shows a GPU of NVIDIA's, also through WSL."""
    signs = ("/dev/nvidia0", "/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg")
    return any(Path(sign).exists() for sign in signs) or shutil.which("nvidia-smi") is not None


def compile_with(
    uv: list[str | Path], environment: dict[str, str], *more: str | Path, limit_s: float | None = None
) -> str:
    """What `uv pip compile` resolves to, empty if it cannot. What it says is shown, unless it is only a try."""
    command = [*uv, "compile", "--quiet", "--python", PYTHON, "--no-header", "--no-annotate", *more]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if limit_s else None,
            encoding="utf-8",
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return ""
    return "" if done.returncode else done.stdout


def cpu_build(uv: list[str | Path], environment: dict[str, str], index: list[str], limit_s: float | None) -> str:
    """Lines of torch's CPU build, with the hashes that the index states; empty if it lacks the locked releases."""
    pins = VENV / "torch-cpu.in"
    releases = [f"{name}=={text.split('==')[1].split()[0]}+cpu\n" for name, text in blocks() if name in TORCH]
    pins.write_text("".join(releases), encoding="utf-8")
    if limit_s:
        environment = {"UV_HTTP_TIMEOUT": "5", **environment, "UV_HTTP_RETRIES": "0"}
    return compile_with(uv, environment, *index, "--no-deps", "--generate-hashes", pins, limit_s=limit_s)


def with_torch_index(environment: dict[str, str]) -> dict[str, str]:
    """Settings with which uv finds torch's CPU build: at PyTorch's own index, whose address uv knows, or at another."""
    index = os.environ.get("TORCH_INDEX", "")
    if not index:
        return {"UV_TORCH_BACKEND": "cpu", **environment}
    name, separator = ("UV_FIND_LINKS", ",") if Path(index).is_dir() else ("UV_INDEX", " ")
    return {**environment, name: separator.join(filter(None, (index, environment.get(name))))}


def settle_build(uv: list[str | Path], environment: dict[str, str], index: list[str], build: str) -> tuple[str, str]:
    """`cpu` with its lines for the lock, or `locked` with none."""
    if build == "locked" or (build == "auto" and has_gpu()):
        return "locked", ""
    if lines := cpu_build(uv, with_torch_index(environment), index, PROBE_S if build == "auto" else None):
        return "cpu", lines
    where = os.environ.get("TORCH_INDEX") or "PyTorch's index"
    if build == "cpu":
        stop(
            f"{where} does not have the CPU build of the locked torch, or cannot be reached",
            "name another one: TORCH_INDEX=ADDRESS-OR-FOLDER make setup; or take the build with CUDA: TORCH=locked",
        )
    say(
        f"no GPU here, but {where} does not answer: the locked build of torch, with CUDA (4 GB more; TORCH=cpu insists)"
    )
    return "locked", ""


def requirements(
    uv: list[str | Path], environment: dict[str, str], index: list[str], extras: str, cpu: str
) -> tuple[Path, list[str]]:
    """The file of what to install, cut out of the lock, and how uv is to look at its hashes."""
    kept = blocks()
    if extras != "dev":
        # Which packages the extras need; releases and hashes are the lock's.
        names = compile_with(uv, environment, *index, *asked_for(extras), "--constraint", LOCK)
        if not names:
            stop(f"the packages of EXTRAS={extras or 'none'} could not be found, for the reason above", "correct that")
        needed = {*FIRST, *re.findall(r"^([\w.-]+)==", names, re.MULTILINE)}
        kept = [(name, text) for name, text in kept if name in needed]
    if cpu:
        kept = [(name, text) for name, text in kept if name not in TORCH and not re.fullmatch(CUDA, name)]
    chosen_lock = VENV / "chosen.lock"
    chosen_lock.write_text("".join(text for _, text in kept) + cpu, encoding="utf-8")
    # A folder states no hashes. uv still checks those that there are.
    return chosen_lock, ["--require-hashes"] if not cpu or "--hash=" in cpu else []


def asked_for(extras: str) -> list[str | Path]:
    """What uv is to resolve: samebits with these extras, and in a project what its tests need."""
    if not RELEASE.is_file():
        return [ROOT / "pyproject.toml", *(part for extra in extras.split(",") if extra for part in ("--extra", extra))]
    asked = VENV / "asked.in"
    release = re.sub(r"(?m)^samebits\b", f"samebits[{extras}]", RELEASE.read_text(encoding="utf-8"))
    asked.write_text(f"{release}\npytest\n", encoding="utf-8")
    return [asked]


def install_uv() -> None:
    """uv comes by pip. The source package is built with the locked setuptools, so that nothing unlocked runs."""
    (VENV / "first.lock").write_text(locked(*FIRST), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    environment |= {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    hashed: list[str | Path] = ["--require-hashes", "--only-binary", ":all:"]
    pip: list[str | Path] = [PYTHON, "-I", "-m", "pip", "install", "-qq", "--no-deps", "-r", VENV / "first.lock"]
    run("installing uv", [*pip, *hashed], environment)


def install(content: dict[str, object]) -> str:
    """Bring .venv to what is wanted, each file checked against its hash. Returns the build of torch.

    Nothing is changed before it is known where everything comes from.
    """
    environment, index = for_uv()
    uv: list[str | Path] = [BIN / "uv", "pip"]
    build, cpu = settle_build(uv, environment, index, str(content["torch"]))
    lock, hashed = requirements(uv, environment, index, str(content["extras"]), cpu)
    stamp = read_stamp()
    before = stamp.get("torch", "locked") if stamp else build
    STAMP.unlink(missing_ok=True)
    if cpu:
        environment = with_torch_index(environment)
    if not sys.stdout.isatty():
        uv.append("--quiet")
    if before != build:  # both builds are the same version to an installer, which would leave the one that is there
        run("removing the other build of torch", [*uv, "uninstall", "--python", PYTHON, *TORCH], environment)
    into: list[str | Path] = ["--python", PYTHON, "--no-build-isolation", *index]
    built = ["--only-binary", ":all:", "--no-binary", SOURCE_ONLY, "--compile-bytecode"]
    run("installing requirements.lock", [*uv, "sync", *into, *hashed, *built, lock], environment)
    run("checking the packages against each other", [*uv, "check", "--python", PYTHON], environment)
    own: list[str | Path] = ["--requirement", RELEASE] if RELEASE.is_file() else ["--editable", ROOT]
    run("installing samebits", [*uv, "install", *into, "--no-deps", *own], environment)
    # Where it cannot (dvc.yaml is being edited), it says so, and a stage will.
    subprocess.call([BIN / "samebits", "packages", "--write"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
    return build


def bring_up_to_date() -> None:
    start = time.monotonic()
    stamp = read_stamp()
    content = wanted(stamp)
    if not is_sound(stamp):
        STAMP.unlink(missing_ok=True)
        create()
        say("installing requirements.lock: minutes, with gigabytes to download where uv's cache is empty")
    install_uv()
    content["torch"] = install(content)
    write_stamp(content)
    say(f"the environment is ready ({time.monotonic() - start:.0f} s; torch: {content['torch']})")


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
