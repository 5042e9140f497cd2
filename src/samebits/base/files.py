"""Files that are whole or absent, and bytes that do not depend on when they were written."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from samebits.base.errors import UserError

_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hex, read in 1 MiB blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of some bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def json_bytes(value: Any) -> bytes:
    """Canonical JSON: sorted keys, two-space indent, LF, final newline, UTF-8.

    Raises:
        ValueError: for NaN or infinity, which strict JSON readers refuse.
    """
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as CSV: LF, UTF-8; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue().encode()


_UNFINISHED = ".tmp"
"""Ending of a file that is being written; its name begins with a dot."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: see `atomic_file`."""
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write into, which gets its name at the end: temporary file beside it, fsync, rename, fsync of the
    folder.

    A reader sees the old bytes or the new ones. On failure (a full disk) the old file is untouched
    and the temporary one is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes 0600; outputs are shared files like any other.
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say which
        raise
    fsync_folder(path.parent)


def remove_unfinished(*folders: Path) -> None:
    """Remove what writers that were killed left in folders into which nobody else writes now."""
    for folder in folders:
        for path in folder.glob(f".*{_UNFINISHED}"):
            path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write canonical JSON atomically."""
    write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: if the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", "run the stage that makes it: dvc repro") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "fix its folder or its permissions") from None
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and deep nesting
        raise UserError(f"{path} is not valid JSON: {error}", "restore it: dvc checkout, or dvc repro") from None


def fsync_folder(folder: Path) -> None:
    """Make a rename inside a folder durable (a no-op where folders cannot be opened, as on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
