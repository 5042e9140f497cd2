"""The files of a folder or of an archive (.tar, .tgz, .zip, .whl), each as a range of bytes that any process can read.

Nothing is extracted by its own name: of an uncompressed tar the bytes are read where they lie, any other archive is
unpacked into one file of the scratch folder. Links, devices and names that would escape are no members.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from samebits.errors import UserError

_BLOCK = 1 << 20
_IGNORED = {"thumbs.db", "desktop.ini"}
"""What desktops leave beside one's files; so are names that begin with a dot."""
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # a zip with a password
)


@dataclass(frozen=True, slots=True)
class Member:
    """One file.

    Attributes:
        name: its path in the folder or archive, with forward slashes.
        path, offset, size: where its bytes lie.
    """

    name: str
    path: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """All its bytes.

        Raises:
            OSError: if it can no longer be read.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def list_members(source: Path, scratch: Path, root: str = "") -> list[Member]:
    """The files below a folder, or in an archive, sorted by name.

    Args:
        source: the folder or archive; its content, not its name, tells which.
        scratch: an empty folder for what has to be unpacked.
        root: the folder in it to list; names are relative to it.

    Raises:
        UserError: if it is neither, is damaged, or holds no file below `root`.
    """
    if source.is_dir():
        found = list(_folder_members(source / root))
    else:
        prefix = f"{root.strip('/')}/" if root else ""
        try:
            opened = list(_archive_members(source, scratch))
        except _DAMAGED as error:
            raise UserError(f"{source.name} cannot be unpacked: {error}", "replace it; is it complete?") from None
        found = [
            Member(each.name.removeprefix(prefix), each.path, each.offset, each.size)
            for each in opened
            if each.name.startswith(prefix)
        ]
    found = [each for each in found if not _ignored(each.name)]
    if not found:
        raise UserError(f"{source / root} holds no file", "look at data.source")
    return sorted(found, key=lambda each: each.name)


def _ignored(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return parts[-1].lower() in _IGNORED or any(part.startswith((".", "__MACOSX")) for part in parts)


def _folder_members(folder: Path) -> Iterator[Member]:
    """By scandir, which knows a file's kind without asking again: of a million files that is minutes."""
    waiting = [(str(folder), "")]
    while waiting:
        at, prefix = waiting.pop()
        with os.scandir(at) as entries:
            for entry in entries:
                # A name that is no UTF-8 must still be listable.
                shown = prefix + entry.name.encode("utf-8", "backslashreplace").decode()
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{shown}/"))
                elif entry.is_file():  # no link to nothing, no socket
                    yield Member(shown, Path(entry.path), 0, entry.stat().st_size)


def _archive_members(source: Path, scratch: Path) -> Iterator[Member]:
    with source.open("rb") as file:
        head = file.read(4)
    if head[:2] == b"PK":
        yield from _zip_members(source, scratch / "members")
    elif head[:2] == b"\x1f\x8b":
        # Unpacked first: tarfile takes the end of a cut stream for the end of the archive.
        with gzip.open(source, "rb") as packed, (scratch / "members").open("wb") as out:
            shutil.copyfileobj(packed, out, _BLOCK)
        yield from _tar_members(scratch / "members")
    elif tarfile.is_tarfile(source):
        yield from _tar_members(source)
    else:
        raise UserError(f"{source.name} is no folder, tar or zip archive", "look at data.source")


def _tar_members(path: Path) -> Iterator[Member]:
    end = path.stat().st_size
    with tarfile.open(path, "r:") as tar:
        for entry in tar:
            if entry.offset_data + entry.size > end:
                raise tarfile.ReadError(f"it ends inside {entry.name}")
            if entry.isreg() and (name := _safe_name(entry.name)):
                yield Member(name, path, entry.offset_data, entry.size)


def _zip_members(source: Path, blob: Path) -> Iterator[Member]:
    with zipfile.ZipFile(source) as archive, blob.open("wb") as out:
        for entry in archive.infolist():
            if entry.is_dir() or not (name := _safe_name(entry.filename)):
                continue
            offset = out.tell()
            with archive.open(entry) as stream:
                shutil.copyfileobj(stream, out, _BLOCK)
            yield Member(name, blob, offset, out.tell() - offset)


def _safe_name(name: str) -> str | None:
    parts = [part for part in name.encode("utf-8", "backslashreplace").decode().split("/") if part not in ("", ".")]
    return None if ".." in parts or not parts else "/".join(parts)
