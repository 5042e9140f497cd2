"""`samebits new`: a project of one's own, in a folder with git and DVC set up."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from samebits import __version__
from samebits.base.errors import UserError
from samebits.base.files import sha256_bytes, write_bytes
from samebits.base.git import git, knows_author
from samebits.base.paths import Project
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.packages import PACKAGES, write_packages
from samebits.pipeline.recipes import use, with_values
from samebits.starting.found import Asked
from samebits.starting.start import start
from samebits.template.base import Base, write_base
from samebits.template.render import LOCK, PARAMS, lock_text, release_texts, render

Say = Callable[[str], None]

RECIPE = "mnist"
_NAME = re.compile(r"\w[\w.-]*")
_RAW = "data/raw"


def new(target: Path, *, recipe: str | None = None, data: Path | None = None, say: Say = print) -> None:
    """Make a project: pipeline, parameters, cards, own code, tests, CI; git and DVC set up, and committed.

    It is put together beside the target and renamed at the end: a failure leaves nothing.

    Args:
        target: a folder that does not exist yet, or is empty; its last part is the project's name.
        recipe: that params.yaml follows; by default MNIST's, or what `data` needs.
        data: a file or folder of one's own, which is copied below data/raw and kept by DVC.

    Raises:
        UserError: if the folder, the recipe or the data will not do, or there is no git.
    """
    target = Path(os.path.normpath(target.absolute()))
    _require_free(target)
    source = _own_data(data, target) if data else None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target.parent} takes no folder: {error.strerror}", "name another place") from None
    try:
        folder.chmod(0o755)
        hints = write_project(folder, target.name, recipe or RECIPE)
        git(folder, "init", "--quiet", "--initial-branch=main")
        proposed = _take_data(folder, source) if source else ""
        committed = _commit(folder)
        if target.exists():
            target.rmdir()
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    say(f"{target} is a project of samebits {__version__}, with recipe {recipe or RECIPE}" if not source else
        f"{target} is a project of samebits {__version__}, with your data in {_RAW}/{source.name}")  # fmt: skip
    for line in (committed, *([proposed] if source else hints)):
        say(line)
    say(f"next: cd {shlex.quote(str(target))}, then dvc repro; README.md says what else there is")


def write_project(folder: Path, name: str, recipe: str) -> list[str]:
    """Write the files of a project. Returns what its recipe wants first.

    Raises:
        UserError: for an unknown recipe, or a damaged installation.
    """
    texts, lock = render(name), lock_text()
    for path, text in texts.items():
        write_bytes(folder / path, text.encode())
    params, packages = release_texts()
    write_bytes(folder / PARAMS, params.encode())
    write_bytes(folder / PACKAGES, packages.encode())
    write_bytes(folder / LOCK, lock.encode())
    values = read_yaml(folder / PARAMS)
    values["runtime"]["tracking"]["experiment"] = name
    write_bytes(folder / PARAMS, with_values(folder / PARAMS, values).encode())
    said: list[str] = []
    use(folder, recipe, say=said.append)
    write_packages(folder, lambda _: None, update=True)
    write_base(folder, Base(__version__, name, texts, sha256_bytes(lock.encode())))
    return said[1:]


def _require_free(target: Path) -> None:
    if not _NAME.fullmatch(target.name):
        raise UserError(
            f"{target.name!r} is no name for a project",
            "take letters, digits, `_`, `-` and `.`, first a letter or digit",
        )
    if not target.parent.is_dir():
        raise UserError(f"{target.parent} is no folder", "make it first, or name another place")
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UserError(f"{target} exists and is not empty", "name a folder that is not there yet")
    around = next((each for each in target.parents if (each / "dvc.yaml").is_file()), None)
    if around:
        raise UserError(f"{target} would lie in the project {around}", "name a place outside")
    if target == Path.cwd():
        raise UserError(f"{target} is the working folder", f"run it from above: cd .. && samebits new {target.name}")


def _own_data(data: Path, target: Path) -> Path:
    found = data.resolve()
    if not found.exists():
        raise UserError(f"{data} does not exist", "name your file or folder of data")
    if target.resolve().is_relative_to(found):
        raise UserError(f"{target} lies in {data}, which would be copied into it", "name another place for the project")
    return found


def _take_data(folder: Path, source: Path) -> str:
    """Copy data below data/raw, let DVC keep them, and set params.yaml for them. Returns what is left to the user."""
    copy = folder / _RAW / source.name
    if copy.exists():
        raise UserError(f"{source.name} is the name of a file that {_RAW} has already", "rename your data")
    try:
        shutil.copytree(source, copy) if source.is_dir() else shutil.copyfile(source, copy)
    except shutil.Error as error:  # of several files, each with its reason
        name, _, why = error.args[0][0]
        raise UserError(f"{name} cannot be copied: {why}", "remove it from your data, or make it readable") from None
    shown = f"{_RAW}/{source.name}"
    _keep(folder, shown)
    try:
        start(Project(folder, folder), Path(shown), Asked(), trial=False, say=lambda _: None)
    except UserError as error:
        problem = error.problem.replace(f"{folder}{os.sep}", "")
        return f"to set params.yaml for your data: samebits start {shlex.quote(shown)}   ({problem})"
    shutil.rmtree(folder / ".samebits", ignore_errors=True)  # params.yaml as it was before
    return f"params.yaml is set for them; to see why, and a timed trial: samebits start {shlex.quote(shown)}"


def _keep(folder: Path, path: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_DIR"))}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", "--quiet", path], cwd=folder, env=environ, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    if done.returncode:
        raise UserError(f"DVC cannot keep {path}: {done.stderr.strip()[-1000:]}", "correct that, and run it again")


def _commit(folder: Path) -> str:
    if not knows_author(folder):
        return "not committed: git knows no author; git config user.name and user.email, git add -A, git commit"
    git(folder, "add", "--all")
    try:
        git(folder, "commit", "--quiet", "--message", f"Begin with samebits {__version__}")
    except UserError as error:
        return f"not committed: {error.problem}; then git commit"
    return "git has the first commit, on main"
