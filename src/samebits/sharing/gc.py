"""`samebits gc`: `dvc gc` that looks first at who still needs what it would delete.

samebits gc                     delete from the cache what no branch, tag, experiment or workspace needs
samebits gc --workspace         keep only what the workspace needs: refused while something else is in need
samebits gc --cloud             on the remote, too
samebits gc --workspace --force delete it all the same
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.git import git
from samebits.sharing.remote.captured_logs import captured_logs
from samebits.sharing.remote.objects import open_repo
from samebits.sharing.remote.remote import open_remote

_REFS = ("refs/heads", "refs/remotes", "refs/tags", "refs/exps")
_DVCS_OWN = ("refs/exps/exec/", "refs/exps/celery/", "refs/exps/temp/")

Say = Callable[[str], None]


def collect(
    folder: Path, *, workspace_only: bool = False, cloud: bool = False, remote: str | None = None,
    force: bool = False, timeout: float = 30.0, say: Say = print,
) -> int:  # fmt: skip
    """Delete unneeded objects from the cache and, with `cloud`, from the remote.

    Args:
        folder: root of the project.
        workspace_only: keep what the workspace needs, and nothing else.
        force: delete although a branch, a tag or an experiment needs some of it.

    Returns:
        the number of objects that were deleted.

    Raises:
        UserError: naming the refs that are still in need, unless `force`; or if the remote fails.
    """
    from dvc_data.hashfile.db import get_index
    from dvc_data.hashfile.gc import gc as remove_unused

    with open_repo(folder) as repo, ExitStack() as stack:
        storage = open_remote(repo, remote, timeout=timeout) if cloud else None
        if storage:
            storage.check_answers()
        stack.enter_context(captured_logs())
        stack.enter_context(repo.lock)
        kept = _used(repo)
        if not workspace_only:
            for commit in set(_refs(folder).values()):
                kept |= _used(repo, revs=[commit])
        needy = dict(_in_need(repo, folder, kept)) if workspace_only and not force else {}
        if needy:
            names = [f"{name} ({count} objects)" for name, count in needy.items()]
            raise UserError(
                f"still needed by {listed(names)}",
                "keep it (samebits gc), delete these refs (git tag -d, git branch -D, dvc exp remove), or let it go "
                "(--force)",
            )
        gone = int(remove_unused(repo.cache.local, kept))
        if storage:
            with storage.translated():
                gone += int(remove_unused(storage.odb, kept))
                get_index(storage.odb).clear()
    say(f"deleted: {gone} objects from the cache" + (f" and {storage.shown}" if storage else ""))
    return gone


def _used(repo: Any, **scope: Any) -> set[Any]:
    """What the workspace and a scope of revisions need, as dvc-data's hashes.

    Raises:
        UserError: if a revision cannot be read: what it needs is not known then, and nothing may go.
    """
    found = repo.used_objs(force=False, **scope)
    return {info for infos in found.values() for info in infos}


def _refs(folder: Path) -> dict[str, str]:
    """Each branch, tag, experiment and branch of a git remote -> its commit."""
    listed = git(folder, "for-each-ref", "--format=%(objectname) %(*objectname) %(refname)", *_REFS)
    refs = {}
    for line in listed.splitlines():
        *objects, ref = line.split()
        if not ref.startswith(_DVCS_OWN):
            refs[ref] = objects[-1]  # what an annotated tag points at
    return refs


def _in_need(repo: Any, folder: Path, kept: set[Any]) -> Iterator[tuple[str, int]]:
    """(ref, number of its objects that would go)."""
    seen: dict[str, int] = {}
    for ref, commit in _refs(folder).items():
        if commit not in seen:
            seen[commit] = len(_used(repo, revs=[commit]) - kept)
        if seen[commit]:
            yield _short(ref), seen[commit]


def _short(ref: str) -> str:
    kind, _, name = ref.removeprefix("refs/").partition("/")
    if kind == "exps":
        return f"experiment {name.rsplit('/', 1)[-1]}"
    return {"heads": "branch ", "tags": "tag ", "remotes": "branch "}[kind] + name
