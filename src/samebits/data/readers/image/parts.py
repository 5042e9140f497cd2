"""Images that were decoded before `prepare` runs, by other processes or other machines: a Parquet file a part.

    .samebits/parts/KEY/3-of-8-HASH.parquet     sha256 of each image file, its pixels or why it cannot be used

An image is found by the bytes of its file, whatever part it lies in: so any number of parts, of which some are missing
or were made of other files, gives what `prepare` alone gives. KEY is a hash of what the pixels depend on beside the
file; HASH is that of the part's own bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from samebits.base.files import atomic_file, fsync_folder, sha256_file
from samebits.compute.cpu import cores
from samebits.data.fetching.archives import Member
from samebits.data.readers.image import decode, pixels
from samebits.data.readers.image.decode import Read, Unreadable
from samebits.data.readers.image.pixels import ImageFile
from samebits.params.image import ImageParams

_GROUP_BYTES = 1 << 18
"""Pixels of a group of rows, which is read at once and held, one of each part: images come in the parts' order."""

_SCHEMA = pa.schema(
    [
        ("sha256", pa.binary(32)),
        ("pixels", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("largest", pa.int32()),
        ("reason", pa.string()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("shallow", pa.bool_()),
    ]
)


def conditions(settings: ImageParams) -> dict[str, str]:
    """What the pixels of an image depend on beside the bytes of its file."""
    image = settings.model_dump(exclude={"near_duplicates"})
    return {
        "data.image": json.dumps(image, sort_keys=True),
        "pillow": metadata.version("pillow"),
        "numpy": metadata.version("numpy"),
        "machine": platform.machine(),
        "code": hashlib.sha256(b"".join(Path(str(m.__file__)).read_bytes() for m in (pixels, decode))).hexdigest()[:12],
    }


def folder_of(parts: Path, settings: ImageParams) -> Path:
    """Where parts that fit these settings lie."""
    text = json.dumps(conditions(settings), sort_keys=True)
    return parts / hashlib.sha256(text.encode()).hexdigest()[:16]


def members_of(part: int, parts: int, members: Sequence[Member]) -> list[Member]:
    """Those of a part, by the hash of their names; part is 1 .. parts."""

    def number(name: str) -> int:
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")

    return [each for each in members if number(each.name) % parts == part - 1]


def write_part(folder: Path, part: int, parts: int, members: Sequence[Member], settings: ImageParams) -> Path:
    """Decode a part; one that is there already, whole and of these files, stays.

    Returns:
        its file, which gets its name when all is in it.
    """
    names = f"{part}-of-{parts}-"
    hashes = list(_hashes(members))
    for path in sorted(folder.glob(f"{names}*.parquet")):
        if _is_whole(path) and pq.read_table(path, columns=["sha256"])["sha256"].to_pylist() == hashes:
            return path
        path.unlink()
    rows = max(1, _GROUP_BYTES // (settings.channels * settings.height * settings.width * settings.bits // 8))
    unnamed = folder / f"{names}{os.getpid()}.unnamed"
    images = iter(decode.read_images(members, settings))
    try:
        with (
            atomic_file(unnamed) as file,
            pq.ParquetWriter(file, _SCHEMA, compression="none", use_dictionary=False) as writer,
        ):
            for start in range(0, len(hashes), rows):
                group = [_row(digest, next(images)) for digest in hashes[start : start + rows]]
                writer.write_table(pa.Table.from_pylist(group, schema=_SCHEMA))
        named = folder / f"{names}{sha256_file(unnamed)}.parquet"
        os.replace(unnamed, named)
        fsync_folder(folder)
    finally:
        unnamed.unlink(missing_ok=True)
    return named


def _row(digest: bytes, image: Read) -> dict[str, Any]:
    if isinstance(image, ImageFile):
        width, height = image.size
        return {
            "sha256": digest, "pixels": image.pixels.tobytes(), "width": width, "height": height,
            "largest": image.largest, "shallow": False,
        }  # fmt: skip
    low, high = image.values or (None, None)
    return {"sha256": digest, "reason": image.reason, "low": low, "high": high, "shallow": image.shallow}


def _hashes(members: Sequence[Member]) -> Iterator[bytes]:
    """SHA-256 of each file. One that cannot be read has a hash that is no file's, and is tried again by `prepare`."""

    def of(member: Member) -> bytes:
        with suppress(OSError):
            return hashlib.sha256(member.read()).digest()
        return bytes(32)

    # Threads: hashing and reading let go of the interpreter. Some at a time: `map` would hold a future of each.
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(members), 4096):
            yield from pool.map(of, members[start : start + 4096])


def _is_whole(path: Path) -> bool:
    return path.stem.rpartition("-")[2] == sha256_file(path)


class Parts:
    """All parts that lie in a folder.

    Attributes:
        used: images that were found in them.
        decoded: images that were not.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.used = self.decoded = 0
        self._files: list[pq.ParquetFile] = []
        self._at: dict[bytes, tuple[int, int]] = {}
        self._last: dict[int, tuple[int, list[dict[str, Any]]]] = {}
        """Of each file, the group of rows that was read last."""
        for path in sorted(folder.glob("*.parquet")):
            if not _is_whole(path):
                say(f"the part {path} is damaged, and not used: its bytes are not those of its name")
                continue
            hashes = pq.read_table(path, columns=["sha256"])["sha256"].to_pylist()
            self._at |= {digest: (len(self._files), row) for row, digest in enumerate(hashes) if any(digest)}
            self._files.append(pq.ParquetFile(path))

    def images(self, members: Sequence[Member], settings: ImageParams, workers: int | None) -> Iterator[Read]:
        """Every image, in order: from a part, or decoded here."""
        places = [self._at.get(digest) for digest in _hashes(members)] if self._files else [None] * len(members)
        missing = [member for member, place in zip(members, places, strict=True) if place is None]
        self.used, self.decoded = len(members) - len(missing), len(missing)
        here = iter(decode.read_images(missing, settings, workers))
        for place in places:
            yield next(here) if place is None else self._read(*place, settings)

    def _read(self, file: int, row: int, settings: ImageParams) -> Read:
        group, within = divmod(row, self._files[file].metadata.row_group(0).num_rows)
        number, rows = self._last.get(file, (-1, []))
        if number != group:
            rows = self._files[file].read_row_group(group).to_pylist()
            self._last[file] = group, rows
        found = rows[within]
        if found["reason"] is not None:
            values = None if found["low"] is None else (found["low"], found["high"])
            return Unreadable(found["reason"], values, found["shallow"])
        kind = np.uint8 if settings.bits == 8 else np.uint16
        shape = (settings.channels, settings.height, settings.width)
        image = np.frombuffer(found["pixels"], dtype=kind).reshape(shape)
        return ImageFile(image, found["largest"], (found["width"], found["height"]))

    def remove(self) -> None:
        """Remove the folder's files: what they hold lies in `data/prepared` now."""
        self._files.clear()
        for path in self.folder.glob("*"):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


class Chosen(Exception):
    """The images that a reader would decode: raised in its place, as nothing of what comes after is wanted."""

    def __init__(self, members: Iterable[Member], settings: ImageParams) -> None:
        super().__init__("a part was asked for")
        self.members, self.settings = list(members), settings
