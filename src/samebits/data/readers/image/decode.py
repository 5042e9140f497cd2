"""Image files to an array of samples: on all cores, in memory bounded by the machine's disk, not by its RAM."""

from __future__ import annotations

import io
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.compute.cpu import cores
from samebits.data.fetching.archives import Member
from samebits.data.readers.image.pixels import UNREADABLE, ImageFile, NoRangeError, read_image, reason
from samebits.params.image import ImageParams

_CHUNK = 64
_FEW = 512
"""Up to this many files are decoded in this process: starting a pool takes longer."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why an image cannot be used, and its smallest and largest value where it is for want of a range."""

    reason: str
    values: tuple[float, float] | None = None


Read = ImageFile | Unreadable


@dataclass(frozen=True)
class Decoded:
    """All images.

    Attributes:
        pixels: uint8 [n, C, size, size], mapped from a file; those of unreadable images are 0.
        reasons: for each image why it cannot be used, or None.
        largest: the largest value of all images of 16 bits, or None.
        unranged: smallest and largest value of each image that has no range of its own.
    """

    pixels: npt.NDArray[np.uint8]
    reasons: list[str | None] = field(default_factory=list)
    largest: int | None = None
    unranged: list[tuple[float, float]] = field(default_factory=list)


def decode(members: Sequence[Member], settings: ImageParams, scratch: Path, workers: int | None = None) -> Decoded:
    """Read every image.

    Args:
        scratch: the pixels are written to a file in it.
        workers: processes; None: as many as the cores this process may use. The result is the same for any number.

    Raises:
        UserError: if a process dies, as it does when memory is short.
    """
    shape = (len(members), settings.channels, settings.resolution, settings.resolution)
    pixels = np.lib.format.open_memmap(scratch / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    reasons: list[str | None] = []
    largest: int | None = None
    unranged: list[tuple[float, float]] = []
    chunks = [members[start : start + _CHUNK] for start in range(0, len(members), _CHUNK)]
    if len(members) > _FEW:
        results = _pooled(chunks, settings, workers or cores())
    else:
        results = (read_chunk(chunk, settings) for chunk in chunks)
    for images in results:
        for image in images:
            if isinstance(image, Unreadable):
                reasons.append(image.reason)
                unranged += [image.values] if image.values else []
            else:
                pixels[len(reasons)] = image.pixels
                reasons.append(None)
                if image.largest is not None:
                    largest = max(image.largest, largest or 0)
    return Decoded(pixels, reasons, largest, unranged)


def read_chunk(members: Sequence[Member], settings: ImageParams) -> list[Read]:
    """A few images, in order, or the reason why one cannot be read."""
    return [_read(member, settings) for member in members]


def _read(member: Member, settings: ImageParams) -> ImageFile | Unreadable:
    if not member.size and not member.damage:
        return Unreadable("the file is empty")
    side = (settings.resolution, settings.resolution)
    try:
        data = io.BytesIO(member.read())
        return read_image(data, settings.channels, side, settings.resize, settings.smallest, settings.value_range)
    except NoRangeError as error:
        return Unreadable(str(error), error.values)
    except UNREADABLE as error:
        return Unreadable(reason(error))


def _pooled(chunks: Sequence[Sequence[Member]], settings: ImageParams, workers: int) -> Iterator[list[Read]]:
    """The chunks in order, at most two a process ahead of the consumer."""
    # Spawned: a fork of a process in which torch has threads may hang.
    context = multiprocessing.get_context("spawn")
    ahead: deque[Future[list[Read]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupt) as pool:
        try:
            for chunk in chunks:
                ahead.append(pool.submit(read_chunk, chunk, settings))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a process that read images was killed, most likely for want of memory",
                "free memory, or remove the largest images of data.source",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _ignore_interrupt() -> None:
    """Ctrl-C goes to every process of the terminal; the parent stops these."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
