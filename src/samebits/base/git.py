"""Git as a library: commands whose failure is an exception with git's own words."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from samebits.base.errors import UserError


class GitError(Exception):
    """A git command failed; the message is what git said."""


def git(
    folder: Path, *arguments: str, check: bool = True, stdin: bytes | None = None, timeout_s: float | None = None
) -> str:
    """Output of a git command that is run in `folder`, without the final newline.

    Args:
        check: without it, a command that fails gives an empty text.
        stdin: what the command reads.
        timeout_s: for commands that talk to a server.

    Raises:
        GitError: if the command fails and `check` is set.
        UserError: if there is no git on this machine, or the command does not end in time.
    """
    environ = {key: value for key, value in os.environ.items() if key not in ("GIT_DIR", "GIT_INDEX_FILE")}
    # No prompt: a missing password must be a message, not a process that waits.
    environ |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, input=stdin, env=environ, timeout=timeout_s
        )
    except FileNotFoundError:
        raise UserError("there is no git on this machine", "install git") from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"git {arguments[0]} did not end within {timeout_s:g} s", "look at the network, then try again"
        ) from None
    if done.returncode and check:
        raise GitError(done.stderr.decode(errors="replace").strip() or f"git {arguments[0]} failed")
    return "" if done.returncode else done.stdout.decode(errors="surrogateescape").removesuffix("\n")


def head_commit(folder: Path) -> str:
    """The commit that is checked out, 40 hex digits.

    Raises:
        UserError: outside a git repository, or before its first commit.
    """
    try:
        return git(folder, "rev-parse", "--verify", "HEAD")
    except GitError as error:
        if "not a git repository" in str(error) or "dubious ownership" in str(error):
            raise UserError(f"{folder} is in no git repository that git reads: {error}", "cd into your clone") from None
        raise UserError(f"the repository of {folder} has no commit yet", "git add -A && git commit") from None


def has_commit(folder: Path, commit: str) -> bool:
    """Whether the commit is among the objects here, on a branch or not."""
    try:
        git(folder, "cat-file", "-e", f"{commit}^{{commit}}")
    except GitError:
        return False
    return True


def knows_author(folder: Path) -> bool:
    """Whether a name and an e-mail for commits are set, by a configuration or the environment."""
    # Else git may make an address up from the host's name; DVC does not.
    return bool(git(folder, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT", check=False))
