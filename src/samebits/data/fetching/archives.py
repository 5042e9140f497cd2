"""The files of a folder or of an archive (.tar, .tgz, .zip, .whl), each as a range of bytes that any process can read.

Nothing is extracted by its own name: of an uncompressed tar the bytes are read where they lie, any other archive is
unpacked into one file of the scratch folder. Links, devices and names that would escape are no members.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from samebits.base.errors import Interrupted, UserError
from samebits.data.fetching.leftovers import is_leftover

UNPACKED_LEAST = 1 << 30
UNPACKED_TIMES = 100
"""Zip-bomb limit: the larger of this many bytes and this multiple of the archive's size. Texts compress to a tenth of
their size, images hardly at all; a small file that was made for it unpacks to terabytes."""

_BLOCK = 1 << 20
_ENDINGS = re.compile(r"\.(zip|whl|tar|tgz|tar\.gz)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Member:
    """One file.

    Attributes:
        name: its path in the folder or archive, with forward slashes.
        path, offset, size: where its bytes lie.
        damage: why it could not be unpacked, of a member of an archive; empty for others.
    """

    name: str
    path: Path
    offset: int
    size: int
    damage: str = ""

    def read(self) -> bytes:
        """All its bytes.

        Raises:
            OSError: if it is damaged, or can no longer be read.
        """
        if self.damage:
            raise OSError(errno.EIO, self.damage)
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
        UserError: if it is neither, is damaged, unpacks to too much, or holds no file below `root`.
    """
    return list_tree(source, scratch, root)[0]


def list_folder(folder: Path) -> list[Member]:
    """The files below a folder, sorted by name; there may be none."""
    found = (each for each in _folder_members(folder, set()) if not is_leftover(each.name))
    return sorted(found, key=lambda each: each.name)


def list_tree(source: Path, scratch: Path, root: str = "") -> tuple[list[Member], set[str]]:
    """As `list_members`, and the folders, among them those that hold no member: empty ones, links to folders, and those
    of nothing but links and of what desktops leave.

    Raises:
        UserError: as `list_members`.
    """
    folders: set[str] = set()
    if source.is_dir():
        found = list(_folder_members(source / root, folders))
    else:
        # Of two members of one name the later one counts, as when they are unpacked.
        found = list({each.name: each for each in _unpacked(source, scratch, folders)}.values())
    found, folders = [each for each in found if not is_leftover(each.name)], {f for f in folders if not is_leftover(f)}
    if not source.is_dir():
        prefix = root.strip("/") or _wrapper(source, found)
        found, folders = _below(prefix, found, folders) if prefix else (found, folders)
    if not found:
        raise UserError(f"{source / root} holds no file", "look at data.source")
    if all(each.damage for each in found):
        raise _damaged(source, f"{found[0].name}: {found[0].damage}")
    return sorted(found, key=lambda each: each.name), folders


def _below(prefix: str, found: list[Member], folders: set[str]) -> tuple[list[Member], set[str]]:
    """Members and folders below a folder of an archive, named from there."""
    start = f"{prefix}/"
    return (
        [replace(each, name=each.name.removeprefix(start)) for each in found if each.name.startswith(start)],
        {each.removeprefix(start) for each in folders if each.startswith(start)},
    )


def _wrapper(source: Path, found: Sequence[Member]) -> str:
    """The one folder in which all files of an archive lie, if the archive is called like it, as file managers pack a
    folder: it is no class. Empty if there is none."""
    tops = {each.name.partition("/")[0] for each in found}
    stem = _ENDINGS.sub("", source.name).lower()
    below = {parts[1] for each in found if len(parts := each.name.split("/")) > 2}
    return tops.pop() if len(tops) == 1 and len(below) > 1 and stem in {each.lower() for each in tops} else ""


def _unpacked(source: Path, scratch: Path, folders: set[str]) -> list[Member]:
    """The members of an archive.

    Raises:
        UserError: for whatever a library finds wrong with it, in the library's words.
    """
    try:
        return list(_archive_members(source, scratch, folders))
    except (UserError, Interrupted):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk is full, or cannot be read
        raise _damaged(source, str(error) or type(error).__name__) from None


def _damaged(source: Path, why: str) -> UserError:
    return UserError(f"{source.name} cannot be unpacked: {why}", "replace it; is it complete?")


def _folder_members(folder: Path, folders: set[str]) -> Iterator[Member]:
    """By scandir, which knows a file's kind without asking again: of a million files that is minutes."""
    waiting = [(str(folder), "")]
    while waiting:
        at, prefix = waiting.pop()
        with os.scandir(at) as entries:
            for entry in entries:
                # By the bytes, which are UTF-8 in any locale; a name that is none must still be listable.
                shown = prefix + os.fsencode(entry.name).decode("utf-8", "backslashreplace")
                if entry.is_dir(follow_symlinks=False):
                    folders.add(shown)
                    waiting.append((entry.path, f"{shown}/"))
                elif entry.is_file():  # no link to nothing, no socket
                    yield Member(shown, Path(entry.path), 0, entry.stat().st_size)
                elif entry.is_dir():  # a link to a folder: not followed, it may lead in a circle
                    folders.add(shown)


def _archive_members(source: Path, scratch: Path, folders: set[str]) -> Iterator[Member]:
    with source.open("rb") as file:
        head = file.read(4)
    if head[:2] == b"PK":
        yield from _zip_members(source, scratch / "members", folders)
    elif head[:2] == b"\x1f\x8b":
        # Unpacked first: tarfile takes the end of a cut stream for the end of the archive.
        _gunzip(source, scratch / "members")
        yield from _tar_members(scratch / "members", folders)
    elif tarfile.is_tarfile(source):
        yield from _tar_members(source, folders)
    else:
        raise UserError(f"{source.name} is no folder, tar or zip archive", "look at data.source")


def _tar_members(path: Path, folders: set[str]) -> Iterator[Member]:
    end = path.stat().st_size
    last = ""
    with tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape") as tar:
        for entry in tar:
            # `sparse` is None for a file that is not stored in parts.
            stored = entry.isreg() and entry.sparse is None
            if stored and entry.offset_data + entry.size > end:
                raise tarfile.ReadError(f"it ends inside {entry.name}")
            last = entry.name
            name = _safe_name(entry.name)
            if name is None:
                continue
            _add_folders(name, folders, itself=entry.isdir())
            if entry.isreg():
                damage = "" if stored else "it is stored in parts: pack the archive again without --sparse"
                yield Member(name, path, entry.offset_data, entry.size, damage)
        _require_end(path, tar.offset, last)


def _require_end(path: Path, at: int, last: str) -> None:
    """Refuse a tar that goes on where tarfile saw its end: it takes a damaged header for that.

    Raises:
        tarfile.ReadError: with the place.
    """
    with path.open("rb") as file:
        file.seek(at)
        while block := file.read(_BLOCK):
            if block.strip(b"\0"):
                raise tarfile.ReadError(f"it is damaged, or another tar is joined to it, after its member {last}")


def _zip_members(source: Path, blob: Path, folders: set[str]) -> Iterator[Member]:
    limit = _most_bytes(source)
    with zipfile.ZipFile(source) as archive, blob.open("wb") as out:
        for entry in archive.infolist():
            # Some packers of Windows write backslashes, against the format's specification.
            path = entry.filename.replace("\\", "/")
            name = _safe_name(path)
            if name is None:
                continue
            _add_folders(name, folders, itself=path.endswith("/"))
            if path.endswith("/"):
                continue
            offset = out.tell()
            # zipfile reads no more of a member than its entry says.
            if offset + entry.file_size > limit:
                raise _too_much(source, name, limit)
            damage = _copy_member(archive, entry, out)
            yield Member(name, blob, offset, out.tell() - offset, damage)


def _copy_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, out: BinaryIO) -> str:
    """Unpack a member of a zip; returns what is wrong with it, in the library's words, or nothing.

    Raises:
        RuntimeError: for a password; NotImplementedError: for a compression that zipfile does not know.
        OSError: if the disk is full.
    """
    try:
        with archive.open(entry) as stream:
            shutil.copyfileobj(stream, out, _BLOCK)
    except (RuntimeError, MemoryError):  # NotImplementedError is a RuntimeError; both are of the whole archive
        raise
    except Exception as error:  # BadZipFile, zlib.error, LZMAError, EOFError, OSError (bz2), struct.error ...
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        return f"it is damaged: {str(error) or type(error).__name__}"
    return ""


def _gunzip(source: Path, blob: Path) -> None:
    limit = _most_bytes(source)
    with gzip.open(source, "rb") as packed, blob.open("wb") as out:
        while block := packed.read(_BLOCK):
            out.write(block)
            if out.tell() > limit:
                break
        else:
            return
    raise _too_much(source, _last_name(blob), limit)


def _last_name(cut: Path) -> str:
    """The member at which a tar was cut off, empty if it is no tar."""
    name = ""
    with contextlib.suppress(tarfile.TarError), tarfile.open(cut, "r:") as tar:
        for entry in tar:
            name = entry.name
    return name


def _most_bytes(archive: Path) -> int:
    return max(UNPACKED_LEAST, UNPACKED_TIMES * archive.stat().st_size)


def _too_much(source: Path, member: str, limit: int) -> UserError:
    at = f"at its member {member[:200]}" if member else "and is no tar"
    return UserError(
        f"{source.name} unpacks to more than {limit:,} bytes, the most for an archive of its size, {at}",
        "if its files are meant to be so large, unpack it and name the folder in data.source",
    )


def _add_folders(name: str, folders: set[str], *, itself: bool) -> None:
    """The folders above a member, and a folder itself: archives need not name them."""
    if itself:
        folders.add(name)
    while (name := name.rpartition("/")[0]) and name not in folders:
        folders.add(name)


def _safe_name(name: str) -> str | None:
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    parts = [part for part in readable.split("/") if part not in ("", ".")]
    return None if ".." in parts or not parts else "/".join(parts)
