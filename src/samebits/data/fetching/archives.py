"""The files of a folder or of an archive (.tar, .tgz, .zip, .whl), each as a range of bytes that any process can read.

Nothing is extracted by its own name: of an uncompressed tar the bytes are read where they lie, any other archive is
unpacked into one file of the scratch folder. Links, devices and names that would escape are no members.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from samebits.base.errors import UserError, listed
from samebits.data.fetching.leftovers import is_leftover

UNPACKED_LEAST = 1 << 30
UNPACKED_TIMES = 100
"""An archive may unpack to so many bytes, or to so many times its own size where that is more. Texts pack to a tenth of
their size, images hardly at all; a small file that was made for it unpacks to terabytes."""

_BLOCK = 1 << 20
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
        prefix = f"{root.strip('/')}/" if root else ""
        try:
            opened = list(_archive_members(source, scratch, folders))
        except _DAMAGED as error:
            raise UserError(f"{source.name} cannot be unpacked: {error}", "replace it; is it complete?") from None
        found = [
            Member(each.name.removeprefix(prefix), each.path, each.offset, each.size)
            for each in opened
            if each.name.startswith(prefix)
        ]
        folders = {each.removeprefix(prefix) for each in folders if each.startswith(prefix)}
    found = [each for each in found if not is_leftover(each.name)]
    if not found:
        raise UserError(f"{source / root} holds no file", "look at data.source")
    return sorted(found, key=lambda each: each.name), {each for each in folders if not is_leftover(each)}


def first_folders(members: Iterable[Member]) -> set[str]:
    """The first folder of each member that lies in one."""
    return {first for each in members for first, slash, _ in [each.name.partition("/")] if slash}


def require_filled(shown: str, members: Sequence[Member], folders: Iterable[str], *, splits: bool) -> None:
    """Refuse class folders without a file: a class that was meant, and that the model would not know.

    Args:
        shown: what the source is called.
        members, folders: of `list_tree`.
        splits: whether the first folders are splits, so that the classes lie below them.

    Raises:
        UserError: with the folders.
    """
    wanted = {each for each in folders if "/" not in each}
    if splits:
        wanted |= {each for each in folders if each.count("/") == 1}
    filled: set[str] = set()
    for member in members:
        first, _, rest = member.name.partition("/")
        second, below, _ = rest.partition("/")
        filled.update([first, f"{first}/{second}"] if below else [first])
    empty = sorted(wanted - filled)
    empty = [each for each in empty if each.partition("/")[0] not in empty or "/" not in each]
    if empty:
        raise UserError(
            f"{shown}: no file in the class folder {listed(empty)}",
            "put samples there, or remove the folder (links, hidden files and what desktops leave are no samples)",
        )


def _folder_members(folder: Path, folders: set[str]) -> Iterator[Member]:
    """By scandir, which knows a file's kind without asking again: of a million files that is minutes."""
    waiting = [(str(folder), "")]
    while waiting:
        at, prefix = waiting.pop()
        with os.scandir(at) as entries:
            for entry in entries:
                # A name that is no UTF-8 must still be listable.
                shown = prefix + entry.name.encode("utf-8", "backslashreplace").decode()
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
    with tarfile.open(path, "r:") as tar:
        for entry in tar:
            if entry.offset_data + entry.size > end:
                raise tarfile.ReadError(f"it ends inside {entry.name}")
            name = _safe_name(entry.name)
            if name is None:
                continue
            _add_folders(name, folders, itself=entry.isdir())
            if entry.isreg():
                yield Member(name, path, entry.offset_data, entry.size)


def _zip_members(source: Path, blob: Path, folders: set[str]) -> Iterator[Member]:
    limit = _most_bytes(source)
    with zipfile.ZipFile(source) as archive, blob.open("wb") as out:
        for entry in archive.infolist():
            name = _safe_name(entry.filename)
            if name is None:
                continue
            _add_folders(name, folders, itself=entry.is_dir())
            if entry.is_dir():
                continue
            offset = out.tell()
            # zipfile reads no more of a member than its entry says.
            if offset + entry.file_size > limit:
                raise _too_much(source, name, limit)
            with archive.open(entry) as stream:
                shutil.copyfileobj(stream, out, _BLOCK)
            yield Member(name, blob, offset, out.tell() - offset)


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
    parts = [part for part in name.encode("utf-8", "backslashreplace").decode().split("/") if part not in ("", ".")]
    return None if ".." in parts or not parts else "/".join(parts)
