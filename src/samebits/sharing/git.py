"""The few questions that sharing asks git."""

from __future__ import annotations

from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.git import git, head_commit, names


def uncommitted(folder: Path) -> list[str]:
    """Paths that differ from the last commit, new files that git does not ignore among them.

    Raises:
        UserError: if this is no git repository, or it has no commit.
    """
    head_commit(folder)
    # -z: names as they are; a rename is two names, the second after a NUL of its own.
    return sorted(e[3:] for e in names(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"))


def is_published(folder: Path, commit: str) -> bool | None:
    """Whether a branch or tag of a git remote, as last seen from here, has the commit; None without a git remote."""
    if not git(folder, "remote").split():
        return None
    found = git(folder, "for-each-ref", "--contains", commit, "--count=1", "--format=%(refname)", "refs/remotes")
    return bool(found.strip())


def pick_remote(folder: Path, name: str | None) -> str:
    """The named git remote, or `origin`, or the only one.

    Raises:
        UserError: if there is none, or several and none is `origin`.
    """
    known = git(folder, "remote").split()
    if name and name in known:
        return name
    if name or not known:
        wanted = f"there is no git remote {name!r}" if name else "this repository has no git remote"
        raise UserError(wanted, f"known: {', '.join(known) or 'none'}; add it: git remote add origin ADDRESS")
    if "origin" in known or len(known) == 1:
        return "origin" if "origin" in known else known[0]
    raise UserError(f"there are several git remotes ({', '.join(known)})", "name one: --git-remote NAME")
