"""requirements.lock as a list of packages: exact versions, and the SHA-256 of every file that may be installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.files import sha256_bytes
from samebits.base.git import commit_of, file_at

LOCK = "requirements.lock"
BUILDS = "setuptools"
"""Builds source packages, and the project itself; always installed first, so that nothing unlocked runs."""

_PACKAGE = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;\\]+).*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_KEY = 16


@dataclass(frozen=True)
class Package:
    """One package of a lock.

    Attributes:
        text: its lines in the lock, hashes included.
    """

    name: str
    version: str
    text: str


@dataclass(frozen=True)
class Lock:
    """A requirements.lock.

    Attributes:
        key: first digits of its SHA-256.
    """

    key: str
    packages: tuple[Package, ...]

    def without(self, patterns: list[str]) -> tuple[list[Package], list[Package]]:
        """(Those that stay, those that are left out.)

        Args:
            patterns: names, or shell patterns as `nvidia-*`.

        Raises:
            UserError: for a pattern that fits nothing.
        """
        for pattern in patterns:
            if not any(fnmatchcase(each.name, pattern) for each in self.packages):
                raise UserError(f"--without {pattern}: {LOCK} has no such package", f"its names: grep == {LOCK}")
        left = [each for each in self.packages if any(fnmatchcase(each.name, pattern) for pattern in patterns)]
        return [each for each in self.packages if each not in left], left


def parse_lock(data: bytes, place: str) -> Lock:
    """A lock's packages.

    Args:
        place: of the file, for the message.

    Raises:
        UserError: if it has none, or one without a hash.
    """
    text = data.decode("utf-8", errors="replace")
    packages = tuple(
        Package(found["name"].lower(), found["version"], found[0].rstrip() + "\n") for found in _PACKAGE.finditer(text)
    )
    if not packages or any("--hash=sha256:" not in each.text for each in packages):
        raise UserError(f"{place} is no lock with a version and a hash of each package", "write it: make lock")
    return Lock(sha256_bytes(data)[:_KEY], packages)


def lock_of(root: Path, commit: str | None) -> Lock:
    """The lock of a commit; that of the working tree if there is no commit.

    Raises:
        UserError: if there is none.
    """
    if commit is None:
        file = root / LOCK
        if not file.is_file():
            raise UserError(f"there is no {LOCK} here", f"restore it: git checkout {LOCK}; or write it: make lock")
        return parse_lock(file.read_bytes(), str(file))
    if not commit_of(root, commit):
        raise UserError(f"{commit!r} is no commit, branch or tag here", "git fetch brings those of others")
    data = file_at(root, commit, LOCK)
    if not data:
        raise UserError(f"commit {commit} has no {LOCK}: nothing says what its environment was", "name a later commit")
    return parse_lock(data, f"{LOCK} of commit {commit}")
