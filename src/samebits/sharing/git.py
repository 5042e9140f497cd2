"""The few questions that sharing asks git."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.files import json_bytes
from samebits.base.git import git, head_commit, names
from samebits.pipeline.context import FACTS
from samebits.pipeline.dvc_lock import LOCK
from samebits.tracking.journal.lineage import stage_outputs


def uncommitted(folder: Path) -> list[str]:
    """Paths that differ from the last commit, new files that git does not ignore among them.

    Raises:
        UserError: if this is no git repository, or it has no commit.
    """
    head_commit(folder)
    # -z: names as they are; a rename is two names, the second after a NUL of its own.
    return sorted(e[3:] for e in names(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"))


def uncommitted_sources(folder: Path) -> list[str]:
    """Those of `uncommitted` that no stage writes: DVC removes outputs before it runs a stage, so that one which was
    interrupted or refused leaves their deletion.
    """
    outputs = {PurePosixPath(path) for path in (*stage_outputs(folder), LOCK, FACTS)}
    changed = map(PurePosixPath, uncommitted(folder))
    return [name.as_posix() for name in changed if outputs.isdisjoint([name, *name.parents])]


def not_committed(folder: Path, changed: list[str]) -> UserError:
    """The message for a tree that differs from its commit, with what to do about it.

    DVC removes a stage's outputs before it runs the stage: after one that failed, files of the commit are gone.
    """
    outputs = {PurePosixPath(path) for path in stage_outputs(folder)}
    gone = [name for name in changed if not (folder / name).exists()]
    lost = [name for name in gone if not outputs.isdisjoint([PurePosixPath(name), *PurePosixPath(name).parents])]
    if lost:
        return UserError(
            f"missing: {listed(lost)}, which a stage that did not finish was to write",
            f"make them: dvc repro; or take the committed results back: git restore {shlex.join(lost)} && dvc checkout",
        )
    if gone:
        return UserError(
            f"deleted, but in the last commit: {listed(gone)}",
            f"get them back: git restore {shlex.join(gone)}; or commit that they are gone: git add -A, git commit",
        )
    return UserError(
        f"not committed: {listed(changed)}",
        "commit them (git add, git commit) or let git ignore them: a clone would not have them",
    )


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


def keep_json(folder: Path, ref: str, file: str, value: Any, message: str) -> None:
    """Point a ref at a commit with one file, whose content is JSON."""
    git(folder, "update-ref", ref, commit_alone(folder, {file: json_bytes(value)}, message))


Tree = Mapping[str, "bytes | Tree"]
"""Names to a file's content, or to a folder."""


def commit_alone(folder: Path, files: Tree, message: str) -> str:
    """A commit of these files, without parents, that no branch has; returns its hash."""
    identity = ("-c", "user.name=samebits", "-c", "user.email=samebits@localhost")
    return git(folder, *identity, "commit-tree", _tree(folder, files), "-m", message).strip()


def _tree(folder: Path, files: Tree) -> str:
    lines = []
    for name, content in files.items():
        if isinstance(content, bytes):
            lines.append(f"100644 blob {git(folder, 'hash-object', '-w', '--stdin', stdin=content).strip()}\t{name}\n")
        else:
            lines.append(f"040000 tree {_tree(folder, content)}\t{name}\n")
    return git(folder, "mktree", stdin=os.fsencode("".join(lines))).strip()
