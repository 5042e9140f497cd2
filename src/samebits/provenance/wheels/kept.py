"""Which files were kept for a lock, and bringing them here."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from samebits.base.errors import UserError, listed
from samebits.base.git import git
from samebits.provenance.wheels.lock import Lock
from samebits.sharing.receive import fetch_checked
from samebits.sharing.remote.objects import cache_path, damaged_in_cache, open_repo, required_objects_at
from samebits.sharing.remote.remote import open_remote

FOLDER = "wheels"
ABOUT = "wheels.json"
_TAGS = "refs/tags/wheels"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Kept:
    """What was kept for a lock, this system and this Python.

    Attributes:
        commit: of its tag.
        left_out: names of packages that were not kept.
    """

    commit: str
    left_out: tuple[str, ...]


def system_and_python() -> str:
    """What a compiled wheel fits: `cpython-311-linux-x86_64`."""
    return f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}".replace("/", "-")


def tag_of(lock: Lock) -> str:
    """The ref under which a lock's files for this system and Python are kept."""
    return f"{_TAGS}/{lock.key}/{system_and_python()}"


def find_kept(root: Path, lock: Lock, whose: str) -> Kept:
    """What was kept for a lock, looked for here and then on the git remotes.

    Args:
        whose: the lock, for the message.

    Raises:
        UserError: if nothing was, or only for another system or Python.
    """
    known = kept_for(root, lock)
    if (found := known.get(tag_of(lock))) is None:
        others = [ref.rsplit("/", 1)[-1] for ref in known]
        fix = f"where such an environment can be had: samebits wheels keep {whose}"
        if others:
            raise UserError(
                f"the files of this lock were kept for {listed(others)}, and this is {system_and_python()}",
                f"use such a machine and Python; or {fix}, on this kind",
            )
        raise UserError(f"no files were kept for {whose}'s requirements.lock ({lock.key})", fix)
    return found


def kept_for(root: Path, lock: Lock) -> dict[str, Kept]:
    """What was kept for a lock, by tag: one for each system and Python. Those of the git remotes win."""
    for remote in git(root, "remote").split():
        # A tag of no branch comes with a clone, and not with every fetch. Whoever is offline has no other.
        refs = f"+{_TAGS}/{lock.key}/*:{_TAGS}/{lock.key}/*"
        git(root, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, refs, check=False)
    known = {}
    for line in git(root, "for-each-ref", "--format=%(refname) %(objectname)", f"{_TAGS}/{lock.key}").splitlines():
        ref, _, commit = line.partition(" ")
        about = json.loads(git(root, "show", f"{commit}:./{ABOUT}"))
        known[ref] = Kept(commit, tuple(about["left_out"]))
    return known


def bring(root: Path, kept: Kept, say: Say, *, remote: str | None = None, timeout: float = 30.0) -> dict[str, Path]:
    """Fetch the files into DVC's cache where they are not there, every hash checked.

    Returns:
        name of each file to where it lies.

    Raises:
        UserError: naming what is missing or damaged.
    """
    with open_repo(root) as repo:
        objects, unlisted = required_objects_at(repo, kept.commit)
        absent, damaged = damaged_in_cache(repo, objects)
        if unlisted or absent or damaged:
            storage = open_remote(repo, remote, timeout=timeout)
            storage.check_answers()
            objects, fetched = fetch_checked(
                repo, storage, say=say, at=kept.commit,
                fetch=lambda: repo.fetch(remote=storage.name, revs=[kept.commit], workspace=False),
            )  # fmt: skip
            say(f"fetched: {fetched} objects of the environment, every hash checked")
        return {Path(each.path).name: cache_path(repo, each.oid) for each in objects if not each.oid.endswith(".dir")}
