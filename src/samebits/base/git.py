"""Git as a library, the only one: commands whose failure is a message for the user.

Git's output is bytes: a file or a branch may be named, and a changed line written, in another encoding than UTF-8.
As text such bytes are kept as surrogates, so that a name still opens its file; a patch stays bytes.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.redaction import without_secrets

_TIMEOUT_S = 300.0
_OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Variables that would make a command run on another repository than that of its folder."""

_MOST_CONFLICTS = 127
"""`git merge-file` ends with the number of conflicts, with this for more, and with a larger one if it failed."""


class GitError(UserError):
    """A git command failed.

    Attributes:
        said: git's own words.
    """

    def __init__(self, folder: Path, command: str, said: str) -> None:
        self.said = said.strip() or f"git {command} failed"
        super().__init__(*_explain(folder, command, self.said))

    @property
    def distrusted(self) -> bool:
        """Whether git refuses the repository because another user owns it."""
        return "dubious ownership" in self.said


def _explain(folder: Path, command: str, said: str) -> tuple[str, str]:
    """Problem and fix, by git's words."""
    if "dubious ownership" in said:
        place = re.search(r"in repository at '(.+?)'", said)
        where = place[1] if place else str(folder)
        return (
            f"git does not read {where}: it belongs to another user",
            f"if you trust it: git config --global --add safe.directory {shlex.quote(where)}",
        )
    if "not a git repository" in said:
        return f"{folder} is in no git repository", "cd into your clone, or make one: git init, git add, git commit"
    lines = said.splitlines()
    telling = next((line for line in lines if line.startswith(("fatal:", "error:", " ! "))), lines[-1])
    return f"git {command} failed: {without_secrets(telling.strip())}", "see git's own message"


def git_bytes(
    folder: Path,
    *arguments: str,
    check: bool = True,
    stdin: bytes | None = None,
    timeout_s: float = _TIMEOUT_S,
    index: Path | None = None,
) -> bytes:
    """Output of a git command that is run in `folder`, as git wrote it.

    Args:
        check: without it, a command that fails gives nothing.
        stdin: what the command reads.
        index: a file to use as git's index instead of the repository's own.

    Raises:
        GitError: if the command fails and `check` is set.
        UserError: if there is no git on this machine, or the command does not end in time.
    """
    environ = {key: value for key, value in os.environ.items() if key not in _OF_ANOTHER}
    # No prompt: a missing password must be a message, not a process that waits.
    environ |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    if index is not None:
        environ["GIT_INDEX_FILE"] = str(index)
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, input=stdin, env=environ, timeout=timeout_s
        )
    except FileNotFoundError:
        raise UserError("there is no git on this machine", "install git") from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"git {arguments[0]} did not end within {timeout_s:g} s", "look at the disk or the network, then try again"
        ) from None
    if done.returncode and check:
        raise GitError(folder, arguments[0], done.stderr.decode(errors="replace"))
    return b"" if done.returncode else done.stdout


def git(
    folder: Path,
    *arguments: str,
    check: bool = True,
    stdin: bytes | None = None,
    timeout_s: float = _TIMEOUT_S,
    index: Path | None = None,
) -> str:
    """`git_bytes` as text, without the final newline."""
    found = git_bytes(folder, *arguments, check=check, stdin=stdin, timeout_s=timeout_s, index=index)
    return os.fsdecode(found).removesuffix("\n")


def file_at(folder: Path, revision: str, path: str) -> bytes:
    """A file as a commit has it, its path as seen from `folder`; empty where the commit has none."""
    return git_bytes(folder, "show", f"{revision}:./{path}", check=False)


def names(folder: Path, *arguments: str, index: Path | None = None, check: bool = True) -> list[str]:
    """What a git command with `-z` lists."""
    return [name for name in git(folder, *arguments, index=index, check=check).split("\0") if name]


def head_commit(folder: Path) -> str:
    """The commit that is checked out, 40 hex digits.

    Raises:
        UserError: outside a git repository, or before its first commit.
    """
    git(folder, "rev-parse", "--git-dir")
    try:
        return git(folder, "rev-parse", "--verify", "HEAD")
    except GitError:
        raise UserError(f"the repository of {folder} has no commit yet", "git add -A && git commit") from None


def commit_of(folder: Path, name: str) -> str:
    """The commit that a branch, a tag or the beginning of a hash names, 40 hex digits; empty where there is none."""
    return git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False)


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


def merge_file(mine: bytes, base: bytes, theirs: bytes, labels: tuple[str, str, str]) -> tuple[bytes, int]:
    """Three-way merge of one file, as git does it; no repository is needed.

    Args:
        labels: names of the three at the marks of a conflict.

    Returns:
        the merged file, and the number of conflicts in it, with git's marks.

    Raises:
        UserError: if git cannot merge them, as binary files.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("mine", mine), ("base", base), ("theirs", theirs)):
            (Path(folder) / name).write_bytes(content)
        names_of = [part for label in labels for part in ("-L", label)]
        done = subprocess.run(
            ["git", "merge-file", "--stdout", *names_of, "mine", "base", "theirs"],
            cwd=folder, capture_output=True, timeout=_TIMEOUT_S,
        )  # fmt: skip
    if done.returncode < 0 or done.returncode > _MOST_CONFLICTS:
        raise UserError(f"git cannot merge it: {done.stderr.decode(errors='replace').strip()}", "see git's own message")
    return done.stdout, done.returncode
