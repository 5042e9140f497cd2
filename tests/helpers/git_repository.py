"""A git repository of a test's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Output of a git command, by an author of its own."""
    environ = dict(os.environ, GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull)
    who = ["-c", "user.email=a@b.c", "-c", "user.name=a"]
    done = subprocess.run(["git", *who, "-C", str(folder), *arguments], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def start_repository(folder: Path) -> str:
    """A git repository with an empty commit, whose id is returned."""
    git(folder, "init", "-q", "-b", "work")
    git(folder, "commit", "-q", "--allow-empty", "-m", "start")
    return git(folder, "rev-parse", "HEAD")
