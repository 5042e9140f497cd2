"""A virtual environment of exactly the files that were kept for a lock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from samebits.base.errors import UserError, listed
from samebits.provenance.wheels.kept import Kept, bring, find_kept
from samebits.provenance.wheels.lock import BUILDS, LOCK, Lock, lock_of

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """A lock with the files of it that were kept, which are all here.

    Attributes:
        files: name of each to where it lies.
        online: let pip take what was left out from its index, by the hashes of the lock.
    """

    lock: Lock
    kept: Kept
    files: Mapping[str, Path]
    online: bool


def fetch_environment(root: Path, commit: str, *, online: bool, say: Say) -> Fetched:
    """Bring here what the environment of a commit is installed from.

    Args:
        root: the project that has DVC's cache and remote.

    Raises:
        UserError: if nothing fitting was kept, or a file is missing or damaged.
    """
    lock = lock_of(root, commit)
    kept = find_kept(root, lock, commit[:12])
    if kept.left_out and not online:
        raise UserError(
            f"of requirements.lock {len(kept.left_out)} packages were left out when it was kept: "
            f"{listed(kept.left_out)}",
            "let pip take them from its index, by the same hashes: --online",
        )
    return Fetched(lock, kept, bring(root, kept, say), online)


def install_environment(fetched: Fetched, workspace: Path, target: Path, say: Say) -> Path:
    """Make an environment of what was fetched, with the restored project in it.

    Args:
        target: a folder that does not exist yet, or is empty; on failure it is removed again.

    Returns:
        its interpreter.

    Raises:
        UserError: if it cannot be made, or the workspace has another lock than its commit.
    """
    if lock_of(workspace, None).key != fetched.lock.key:
        raise UserError(
            f"uncommitted changes of the run are in its {LOCK}, for which nothing was kept",
            "make the environment there: make setup",
        )
    try:
        with tempfile.TemporaryDirectory(prefix="samebits-") as aside:
            for name, path in fetched.files.items():
                _link(path, Path(aside) / name)
            python = _create(target)
            _install(python, Path(aside), fetched, workspace)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    say(f"the environment is in {target}: {len(fetched.files)} files, each by its hash in {LOCK}")
    named = workspace / "requirements.txt"  # where a project that installs samebits names its release
    if named.is_file() and not (workspace / "pyproject.toml").is_file():
        say(f"samebits itself is not among them: {python} -m pip install --no-deps -r {named}")
    return python


def require_free(target: Path, code: Path) -> None:
    """Refuse a folder for the environment in which something lies already, or the code would; it may lie in the code's.

    Raises:
        UserError: naming it.
    """
    if code.is_relative_to(target):
        raise UserError(f"{target} would hold the code as well", f"name another folder: --environment {code / '.venv'}")
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UserError(f"{target} exists and is not empty", "name another folder: --environment DIR")


def _link(source: Path, name: Path) -> None:
    try:
        name.symlink_to(source)
    except OSError:  # Windows without the right to
        shutil.copy2(source, name)


def _create(target: Path) -> Path:
    """An empty environment of the Python that runs now, or of the one behind its own environment."""
    base: str = getattr(sys, "_base_executable", sys.executable)
    _run([base, "-I", "-m", "venv", target], "create it (Debian: apt-get install python3-venv)", settings=False)
    return target / ("Scripts" if os.name == "nt" else "bin") / ("python.exe" if os.name == "nt" else "python")


def _install(python: Path, folder: Path, fetched: Fetched, workspace: Path) -> None:
    """By the pip of the new environment, without its settings and caches: the files in `folder`, and no others."""
    packages = fetched.lock.packages
    builds = [each for each in packages if each.name == BUILDS]
    pip: list[str | Path] = [python, "-I", "-m", "pip", "install", "-qq", "--no-deps", "--no-build-isolation"]
    hashed: list[str | Path] = [*pip, "--no-cache-dir", "--require-hashes", "--find-links", folder]
    if not fetched.online:
        hashed.append("--no-index")
    for some in (builds, packages):
        if some:
            requirements = folder / "wanted.txt"
            requirements.write_text("".join(each.text for each in some), encoding="utf-8")
            _run([*hashed, "-r", requirements], f"install {LOCK}", settings=fetched.online)
    if builds and (workspace / "pyproject.toml").is_file():
        _run([*pip, "--no-index", "--editable", workspace], "install samebits", settings=False)


def _run(command: list[str | Path], what: str, *, settings: bool) -> None:
    """Args: settings: whether the user's settings of pip hold, which name other sources of packages."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and (settings or not name.startswith("PIP_"))
    }
    environ = kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    environ |= {} if settings else {"PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no reason was given")
        raise UserError(
            f"cannot {what}: {said[:1000]}",
            "correct that (disk, permissions), and restore into another folder: what was installed was removed again",
        )
