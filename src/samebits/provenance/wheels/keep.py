"""`samebits wheels keep`: the files that requirements.lock names, for this system and Python, on DVC's remote.

They are the one output of a commit of their own, held by a tag `wheels/<lock>/<system>` and by no branch. So `dvc pull`
and `samebits receive` do not bring gigabytes to people who did not ask, and `samebits gc` and `dvc gc --all-tags` keep
what the tag needs. A file of several locks is stored once. The lock of any commit will do, so the environment of an old
one can be kept today.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.files import json_bytes
from samebits.base.git import file_at, git, head_commit
from samebits.base.paths import Project
from samebits.provenance.verify.copies import scratch
from samebits.provenance.wheels.kept import ABOUT, FOLDER, kept_for, system_and_python, tag_of
from samebits.provenance.wheels.lock import Lock, Package, lock_of
from samebits.sharing.git import Tree, commit_alone, pick_remote
from samebits.sharing.remote.objects import open_repo, required_objects_at
from samebits.sharing.remote.remote import open_remote
from samebits.sharing.share import mib, send

Say = Callable[[str], None]
_LARGEST = 5
_CONFIG = ".dvc/config"


def keep(
    project: Project, commit: str | None, *, without: list[str], dry_run: bool = False, remote: str | None = None,
    git_remote: str | None = None, quick: bool = False, timeout: float = 30.0, say: Say = print,
) -> str:  # fmt: skip
    """Download the files of a lock, each checked against its hash, and send them to the remote.

    Args:
        commit: whose lock; None for the working tree's.
        without: names or patterns of packages that are left out.
        dry_run: say how much it is, and stop.

    Returns:
        the tag; empty for a dry run.

    Raises:
        UserError: if there is no such lock or no remote, a file cannot be had, or the remote fails. Nothing is tagged
            then.
    """
    root = project.home
    head_commit(root)
    lock = lock_of(root, commit)
    chosen, left = lock.without(without)
    say(_amount(chosen, left))
    if dry_run:
        return ""
    _require_no_fuller(root, lock, left)
    with open_repo(root) as repo:
        storage = open_remote(repo, remote, timeout=timeout)
        storage.check_answers()
        with scratch(project, "wheels") as folder:
            _download(chosen, folder)
            made = _commit(root, folder, repo, lock, left)
        objects, _ = required_objects_at(repo, made)
        send(
            repo, storage, objects, quick=quick, say=say,
            push=lambda: repo.push(remote=storage.name, revs=[made], workspace=False),
        )  # fmt: skip
    tag = tag_of(lock)
    name = tag.removeprefix("refs/tags/")
    if git(root, "remote").split():
        origin = pick_remote(root, git_remote)
        git(root, "push", "--quiet", origin, f"+{made}:{tag}")
    git(root, "update-ref", tag, made)
    if git(root, "remote").split():
        say(f"kept: tag {name}, here and on {origin}; samebits restore COMMIT --environment DIR installs it")
    else:
        say(f"kept: tag {name}; there is no git remote that others could fetch it from")
    return name


def _require_no_fuller(root: Path, lock: Lock, left: Iterable[Package]) -> None:
    known = kept_for(root, lock).get(tag_of(lock))
    lost = {each.name for each in left} - set(known.left_out) if known else set()
    if lost:
        raise UserError(
            f"kept for this lock already, with {listed(sorted(lost))}, which would be lost",
            "nothing needs to be kept; or leave fewer packages out",
        )


def _amount(chosen: list[Package], left: list[Package]) -> str:
    """How much it is at most, from what is installed here: an index does not say before it sends."""
    sizes = {each.name: size for each in chosen if (size := _installed_bytes(each.name))}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:_LARGEST]
    shown = ", ".join(f"{name} {mib(sizes[name])}" for name in largest)
    text = f"{len(chosen)} packages, at most {mib(sum(sizes.values()))}: that much is installed here (largest: {shown})"
    return text + (f"; left out: {listed([each.name for each in left])}" if left else "")


def _installed_bytes(name: str) -> int:
    try:
        files = metadata.distribution(name).files or ()
    except metadata.PackageNotFoundError:
        return 0
    total = 0
    for each in files:
        with contextlib.suppress(OSError):
            total += Path(str(each.locate())).stat().st_size
    return total


def _download(packages: list[Package], folder: Path) -> None:
    """Let pip fetch the files from where the user's pip takes them; it refuses one with another hash."""
    wanted = folder / "wanted.txt"
    wanted.write_text("".join(each.text for each in packages), encoding="utf-8")
    (folder / FOLDER).mkdir()
    command: list[str | Path] = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--prefer-binary",
        "--no-build-isolation", "--disable-pip-version-check", "--no-input", "--requirement", wanted, "--dest",
        folder / FOLDER,
    ]  # fmt: skip
    if not sys.stdout.isatty():
        command.append("-qq")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), done.stderr.strip())
        raise UserError(
            f"pip cannot download the files: {said[-1000:]}",
            "correct that (network, index, disk, python -m ensurepip), or leave the package out: --without NAME; then "
            "run it again: pip keeps what it downloaded",
        )


def _commit(root: Path, folder: Path, repo: Any, lock: Lock, left: Iterable[Package]) -> str:
    """Put the files into DVC's cache, and a `.dvc` file of them into a commit without parents; returns it."""
    from dvc.repo import Repo

    Repo.init(str(folder), no_scm=True).close()
    # Links, where the disk has them: else everything would lie there twice for a while.
    cache = {"dir": str(Path(repo.cache.local.path).parents[1]), "type": "reflink,hardlink,copy"}
    with Repo(str(folder), config={"cache": cache}) as aside, contextlib.chdir(folder):
        aside.add([FOLDER])
    about = {"lock": lock.key, "for": system_and_python(), "left_out": [each.name for each in left]}
    files: dict[str, Tree | bytes] = {
        f"{FOLDER}.dvc": (folder / f"{FOLDER}.dvc").read_bytes(),
        ABOUT: json_bytes(about),
    }
    # DVC reads the names of remotes from each revision: a clone without the files asks one when it collects garbage.
    if config := file_at(root, "HEAD", _CONFIG):
        inside, _, name = _CONFIG.partition("/")
        files[inside] = {name: config}
    for part in reversed(Path(git(root, "rev-parse", "--show-prefix").strip()).parts):
        files = {part: files}
    return commit_alone(root, files, f"Files of requirements.lock {lock.key}")
