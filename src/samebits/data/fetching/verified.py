"""What all places have in common: a reason to go on to the next one, unpacking under a size limit, progress."""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from tqdm import tqdm

from samebits.base.files import sha256_file
from samebits.data.fetching.catalog import CardFile

BLOCK = 1 << 18
_LINE_SECONDS = 5.0

ProgressMode = Literal["auto", "bar", "lines", "off"]


class PlaceError(Exception):
    """A place that could not give a file; the message is the reason shown to the user."""


class Meter:
    """Shows how much of a file has arrived: a bar on a terminal, a line every few seconds elsewhere.

    Args:
        total: bytes expected in all, if known; `done`: bytes that are there already.
    """

    def __init__(
        self, mode: ProgressMode, name: str, total: int | None, say: Callable[[str], None], done: int = 0
    ) -> None:
        self._lines = mode == "lines" or (mode == "auto" and not sys.stderr.isatty())
        bar = mode == "bar" or (mode == "auto" and not self._lines)
        self._name, self._total, self._say, self._done = name, total, say, done
        self._shown = time.monotonic()
        self._bar = (
            tqdm(total=total, initial=done, desc=name, unit="B", unit_scale=True, dynamic_ncols=True, leave=False)
            if bar
            else None
        )

    def add(self, count: int) -> None:
        """So many more bytes are there."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._lines and time.monotonic() - self._shown >= _LINE_SECONDS:
            self._shown = time.monotonic()
            of = f" of {self._total / 2**20:.1f}" if self._total else ""
            self._say(f"{self._name}: {self._done / 2**20:.1f}{of} MiB")

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def blocks(source: BinaryIO) -> Iterator[bytes]:
    """A file's bytes, a block at a time."""
    while block := source.read(BLOCK):
        yield block


def gunzipped(packed: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The unpacked bytes of one gzip stream, a bounded block at a time.

    Raises:
        PlaceError: if it is no gzip data, is damaged, or ends early.
    """
    unzip = zlib.decompressobj(wbits=31)
    try:
        for block in packed:
            pending = block
            while pending and not unzip.eof:
                yield unzip.decompress(pending, BLOCK)
                pending = unzip.unconsumed_tail
    except zlib.error as error:
        raise PlaceError(f"{name}: no valid gzip data ({error})") from None
    if not unzip.eof:
        raise PlaceError(f"{name}: its gzip data ends early")


def keep_verified(content: Iterator[bytes], file: CardFile, target: Path) -> None:
    """Write a file's unpacked bytes to `target` if they are the ones that the card pins.

    `target` lies in a private temporary folder. On failure it is removed.

    Raises:
        PlaceError: too long, too short, or another SHA-256.
    """
    written = 0
    try:
        with target.open("wb") as out:
            for block in content:
                written += len(block)
                # A small archive may unpack to terabytes.
                if written > file.bytes:
                    raise PlaceError(f"{file.name}: longer than the {file.bytes:,} bytes that the card names")
                out.write(block)
        if written < file.bytes:
            raise PlaceError(f"{file.name}: {written:,} bytes, the card names {file.bytes:,}")
        found = sha256_file(target)
        if found != file.sha256:
            raise PlaceError(f"{file.name}: wrong sha256 {found}, the card names {file.sha256}; removed")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
