"""The few questions that sharing asks git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from samebits.errors import UserError
from samebits.secrets import without_secrets

_TIMEOUT_S = 300.0


def git(folder: Path, *arguments: str, stdin: bytes | None = None) -> str:
    """Output of a git command.

    Raises:
        UserError: with git's last line, if it fails.
    """
    # No prompt: a missing password must be a message, not a process that waits.
    environ = dict(os.environ, GIT_TERMINAL_PROMPT="0", LC_ALL="C")
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, input=stdin, env=environ, timeout=_TIMEOUT_S
        )
    except FileNotFoundError:
        raise UserError("there is no git here", "install git") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"git {arguments[0]} did not end within {_TIMEOUT_S:g} s", "look at the network") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = next(
            (line for line in lines if line.startswith(("fatal:", "error:", " ! "))), lines[-1] if lines else ""
        )
        raise UserError(f"git {arguments[0]} failed: {without_secrets(said.strip())}", "see git's own message")
    return done.stdout.decode(errors="surrogateescape")


def uncommitted(folder: Path) -> list[str]:
    """Paths that differ from the last commit, new files that git does not ignore among them.

    Raises:
        UserError: if this is no git repository, or it has no commit.
    """
    try:
        git(folder, "rev-parse", "--verify", "HEAD")
    except UserError:
        raise UserError(f"{folder} is no git repository with a commit", "git init, git add, git commit") from None
    # -z: names as they are; a rename is two names, the second after a NUL of its own.
    entries = git(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all").split("\0")
    return sorted(entry[3:] for entry in entries if entry)


def head(folder: Path) -> str:
    """The commit that is checked out, 40 hex digits."""
    return git(folder, "rev-parse", "HEAD").strip()


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
