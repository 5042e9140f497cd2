"""Where what others raise becomes a message: one's own code, the disk, the compiler. What remains is a bug of ours."""

from __future__ import annotations

import errno
import os
import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.extras import missing_extra

OWN_CODE = "custom"
"""The folder of the project that holds code of the user's."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_LITTLE = 1 << 16
"""Bytes; a file system with less is full: writers other than Python's do not say so."""

_RERUN = "then run dvc repro: it goes on from what was saved"


def as_user_error(error: BaseException, folders: Iterable[Path], retry: str = _RERUN) -> UserError | None:
    """What a user can do about an error that no code of ours foresaw; None for a bug.

    Args:
        folders: those that are written into.
        retry: what to do once the disk is in order.
    """
    if not isinstance(error, Exception):
        return _of_panic(error)
    return _of_disk(error, folders, retry) or _of_extra(error) or _of_compiler(error) or _of_own_code(error)


def _of_extra(error: Exception) -> UserError | None:
    return missing_extra(error) if isinstance(error, ModuleNotFoundError) else None


def own_place(error: BaseException) -> str | None:
    """File, line and text of the innermost line of the user's own code that an error went through."""
    root = Path.cwd()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_relative_to(root / OWN_CODE):
            return f"{file.relative_to(root)}, line {frame.lineno}: {frame.line}"
    return None


def _of_own_code(error: Exception) -> UserError | None:
    place = own_place(error)
    if place is None:
        return None
    return UserError(f"{type(error).__name__}: {error}\n  at {place}", "fix it; .samebits/logs has the traceback")


def _of_compiler(error: Exception) -> UserError | None:
    if not type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
        return None
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return UserError(
        f"torch cannot compile the model: {reason}",
        "set train.compile: false, or install what it asks for: a C++ compiler such as g++, on a GPU triton",
    )


def _of_panic(error: BaseException) -> UserError | None:
    """A panic of a library in Rust is no Exception; `tokenizers` panics on a text that its pattern gives up on."""
    if type(error).__module__ != "pyo3_runtime":
        return None
    return UserError(
        f"the library that reads the tokenizer fails: {str(error).partition(chr(10))[0]}",
        "use another tokenizer.json (data.text.tokenizer); this one has a pattern that does not get through the texts",
    )


def _of_disk(error: Exception, folders: Iterable[Path], retry: str) -> UserError | None:
    number = error.errno if isinstance(error, OSError) else None
    named = str(error.filename) if isinstance(error, OSError) and error.filename is not None else ""
    if number in _CLOSED and named:
        return UserError(
            f"{named} cannot be written or read: {os.strerror(number or 0)}",
            f"fix its permissions or remount its disk for writing, {retry}",
        )
    full = [f"{folder}" for folder in folders if _is_full(folder)]
    if number in _FULL or full:
        place = named or ", ".join(full) or f"{Path(tempfile.gettempdir())}"
        what = "" if number in _FULL else f" ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        return UserError(
            f"no space left on the disk of {place}{what}",
            f"free some space or inodes (df -h, df -i), {retry}",
        )
    return None


def _is_full(folder: Path) -> bool:
    """Whether a file system has no room for another file; of one that does not count inodes, by its bytes alone."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):  # Windows has none
        return False
    return found.f_bavail * found.f_frsize < _LITTLE or (found.f_files > 0 and found.f_favail == 0)
