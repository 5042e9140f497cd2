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

from samebits.errors import UserError
from samebits.sharing.git import git
from samebits.sharing.objects import open_repo
from samebits.sharing.remote import Remote, open_remote, quiet

_SHOWN = 8
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
    with open_repo(folder) as repo, ExitStack() as stack:
        place = open_remote(repo, remote, timeout=timeout) if cloud else None
        if place:
            place.check_answers()
        everything = {} if workspace_only else {"all_branches": True, "all_tags": True, "all_experiments": True}
        kept = _used(repo, **everything)
        needy = dict(_in_need(repo, folder, kept))
        if needy and not force:
            names = [f"{name} ({count} objects)" for name, count in needy.items()]
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise UserError(
                f"still needed by {', '.join(names[:_SHOWN])}{more}",
                "delete these refs first (git tag -d, git branch -D, dvc exp remove), or let go: samebits gc … --force",
            )
        before = _present(repo, place)
        stack.enter_context(quiet())
        options = {"workspace": True, **everything}
        try:
            repo.gc(cloud=cloud, remote=remote, force=True, **options)
        except OSError as error:
            assert place is not None
            from samebits.sharing.faults import explain

            raise explain(error, place.shown) from error
        gone = len(before - _present(repo, place))
    say(f"deleted: {gone} objects from the cache" + (f" and {place.shown}" if place else ""))
    return gone


def _used(repo: Any, **scope: Any) -> set[str]:
    """Names of the objects that the workspace and a scope of revisions need."""
    found = repo.used_objs(force=True, skip_failed=True, **scope)
    return {str(info.value) for infos in found.values() for info in infos}


def _in_need(repo: Any, folder: Path, kept: set[str]) -> Iterator[tuple[str, int]]:
    """(ref, number of its objects that would go) of each branch, tag, experiment and branch of a git remote."""
    listed = git(folder, "for-each-ref", "--format=%(objectname) %(*objectname) %(refname)", *_REFS)
    seen: dict[str, int] = {}
    for line in listed.splitlines():
        *objects, ref = line.split()
        if ref.startswith(_DVCS_OWN):
            continue
        commit = objects[-1]  # what an annotated tag points at
        if commit not in seen:
            seen[commit] = len(_used(repo, revs=[commit]) - kept)
        if seen[commit]:
            yield _short(ref), seen[commit]


def _short(ref: str) -> str:
    kind, _, name = ref.removeprefix("refs/").partition("/")
    if kind == "exps":
        return f"experiment {name.rsplit('/', 1)[-1]}"
    return {"heads": "branch ", "tags": "tag ", "remotes": "branch "}[kind] + name


def _present(repo: Any, place: Remote | None) -> set[str]:
    found = {f"cache {oid}" for oid in repo.cache.local.all()}
    if place:
        with place.translated():
            found |= {f"remote {oid}" for oid in place.odb.all()}
    return found
