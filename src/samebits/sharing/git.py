"""The few questions that sharing asks git; a command that fails is a message for the user."""

from __future__ import annotations

from pathlib import Path

from samebits.base import git as library
from samebits.base.errors import UserError
from samebits.base.redaction import without_secrets

_TIMEOUT_S = 300.0


def git(folder: Path, *arguments: str, stdin: bytes | None = None) -> str:
    """Output of a git command, without the final newline.

    Raises:
        UserError: with the line of git's that says why, if it fails.
    """
    try:
        return library.git(folder, *arguments, stdin=stdin, timeout_s=_TIMEOUT_S)
    except library.GitError as error:
        lines = str(error).splitlines()
        said = next((line for line in lines if line.startswith(("fatal:", "error:", " ! "))), lines[-1])
        raise UserError(
            f"git {arguments[0]} failed: {without_secrets(said.strip())}", "see git's own message"
        ) from None


def uncommitted(folder: Path) -> list[str]:
    """Paths that differ from the last commit, new files that git does not ignore among them.

    Raises:
        UserError: if this is no git repository, or it has no commit.
    """
    library.head_commit(folder)
    # -z: names as they are; a rename is two names, the second after a NUL of its own.
    entries = git(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all").split("\0")
    return sorted(entry[3:] for entry in entries if entry)


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
