"""Image files to an array of samples: on all cores, in memory bounded by the machine's disk, not by its RAM."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from samebits.base.errors import UserError
from samebits.compute.cpu import cores
from samebits.data.fetching.archives import Member
from samebits.data.readers.image.pixels import (
    UNREADABLE,
    DepthError,
    ImageFile,
    NoRangeError,
    Pixels,
    read_image,
    reason,
)
from samebits.params.image import ImageParams

_CHUNK = 64
_SAME_RATIO = 0.02
"""Relative difference of two aspect ratios that are taken for one."""
_FEW = 512
"""Up to this many files are decoded in this process: starting a pool takes longer."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why an image cannot be used.

    Attributes:
        values: its smallest and largest value, where it is for want of a range.
        shallow: whether it has 8 bits where 16 are stored.
    """

    reason: str
    values: tuple[float, float] | None = None
    shallow: bool = False


Read = ImageFile | Unreadable


@dataclass(frozen=True)
class Decoded:
    """All images.

    Attributes:
        pixels: uint8 or uint16 [n, C, H, W], mapped from a file; those of unreadable images are 0.
        reasons: for each image why it cannot be used, or None.
        sizes: (width, height) of each file; (0, 0) of those that cannot be used.
        largest: the largest value of all images of 16 bits, or None.
        unranged: smallest and largest value of each image that has no range of its own.
        shallow: images of 8 bits where 16 are stored.
        transposed: (width, height) of one image, where all have the aspect ratio of `data.image.resolution` with height
            and width exchanged.
    """

    pixels: Pixels
    reasons: list[str | None] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    largest: int | None = None
    unranged: list[tuple[float, float]] = field(default_factory=list)
    shallow: int = 0
    transposed: tuple[int, int] | None = None


Images = Callable[[Sequence[Member], ImageParams, int | None], Iterator[Read]]
"""How images are got: as `read_images` does it."""


def decode(
    members: Sequence[Member],
    settings: ImageParams,
    scratch: Path,
    workers: int | None = None,
    images: Images | None = None,
) -> Decoded:
    """Read every image.

    Args:
        scratch: the pixels are written to a file in it.
        workers: processes; None: as many as the cores this process may use. The result is the same for any number.
        images: where they come from; None: from `read_images`.

    Raises:
        UserError: if a process dies, as it does when memory is short.
    """
    shape = (len(members), settings.channels, settings.height, settings.width)
    kind = np.uint8 if settings.bits == 8 else np.uint16
    pixels = np.lib.format.open_memmap(scratch / "pixels.npy", mode="w+", dtype=kind, shape=shape)
    reasons: list[str | None] = []
    largest: int | None = None
    unranged: list[tuple[float, float]] = []
    shallow, sizes = 0, list[tuple[int, int]]()
    for image in (images or read_images)(members, settings, workers):
        if isinstance(image, Unreadable):
            reasons.append(image.reason)
            sizes.append((0, 0))
            unranged += [image.values] if image.values else []
            shallow += image.shallow
        else:
            pixels[len(reasons)] = image.pixels
            reasons.append(None)
            sizes.append(image.size)
            if image.largest is not None:
                largest = max(image.largest, largest or 0)
    known = set(sizes) - {(0, 0)}
    transposed = min(known) if known and all(_is_transposed(size, settings) for size in known) else None
    return Decoded(pixels, reasons, sizes, largest, unranged, shallow, transposed)


def read_images(members: Sequence[Member], settings: ImageParams, workers: int | None = None) -> Iterator[Read]:
    """Every image, in order, decoded by `workers` processes."""
    chunks = [members[start : start + _CHUNK] for start in range(0, len(members), _CHUNK)]
    if len(members) > _FEW:
        results = _pooled(chunks, settings, workers or cores())
    else:
        results = (read_chunk(chunk, settings) for chunk in chunks)
    return itertools.chain.from_iterable(results)


def _is_transposed(size: tuple[int, int], settings: ImageParams) -> bool:
    """Whether a file of this (width, height) has the aspect ratio of the resolution read as [width, height]."""
    across, down = size[0] * settings.width, size[1] * settings.height
    return settings.height != settings.width and abs(across - down) <= _SAME_RATIO * down


def read_chunk(members: Sequence[Member], settings: ImageParams) -> list[Read]:
    """A few images, in order, or the reason why one cannot be read."""
    return [_read(member, settings) for member in members]


def _read(member: Member, settings: ImageParams) -> ImageFile | Unreadable:
    if not member.size and not member.damage:
        return Unreadable("the file is empty")
    try:
        return read_image(
            io.BytesIO(member.read()),
            settings.channels,
            (settings.width, settings.height),
            settings.resize,
            settings.smallest,
            settings.value_range,
            settings.bits,
        )
    except DepthError as error:
        return Unreadable(str(error), shallow=True)
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
