"""Hashes of files and folders as dvc.lock holds them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

_SETTLED_NS = 2_000_000_000
"""A process does not read a file twice while size, inode and time of change stay the same. Time stamps are coarse: a
file changed less than this ago may change again under the same one, and is read again."""

_ROOT_MARKS = (".dvc", ".dvcignore")

_known: dict[tuple[str, int, int, int], str] = {}


def dvc_md5(path: Path) -> str:
    """MD5 of a file; of a folder the MD5 of its canonical JSON listing, with `.dir`. What .dvcignore names is left out.

    Raises:
        OSError: if a file cannot be read.
    """
    if path.is_file():
        return _md5(path)
    files = _files(path)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        digests = list(pool.map(_md5, files))
    names = [PurePosixPath(file.relative_to(path)) for file in files]
    return listing_md5(zip(names, digests, strict=True)) + ".dir"


def listing_md5(entries: Iterable[tuple[PurePosixPath, str]]) -> str:
    """MD5 of DVC's canonical listing of paths and their MD5."""
    listing = [
        {"md5": digest, "relpath": str(path)} for path, digest in sorted(entries, key=lambda entry: str(entry[0]))
    ]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def existing_md5(path: Path) -> str:
    """`dvc_md5` of what lies there; empty if nothing does."""
    return dvc_md5(path) if path.exists() else ""


def _files(folder: Path) -> list[Path]:
    """The files below a folder, as DVC walks it."""
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnoreFilter

    top = Path(os.path.normpath(folder.absolute()))  # as DVC's walk names it: without `..`
    found = DvcIgnoreFilter(localfs, str(_root_of(top))).find(localfs, str(top))
    return [folder / file.relative_to(top) for file in map(Path, found) if file.is_file()]


def _root_of(folder: Path) -> Path:
    """The project around a folder: its .dvcignore holds. Outside of one, the folder itself."""
    return next((each for each in folder.parents if any((each / mark).exists() for mark in _ROOT_MARKS)), folder)


def _md5(path: Path) -> str:
    stat = path.stat()
    key = (str(path.absolute()), stat.st_ino, stat.st_size, stat.st_mtime_ns)
    if found := _known.get(key):
        return found
    digest = read_md5(path)
    if time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
        _known[key] = digest
    return digest


def read_md5(path: Path) -> str:
    """MD5 of a file, whose bytes are read in any case."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
