"""Images and archives with a few bytes changed: each is read, set aside, or refused; none ends in another error."""

from __future__ import annotations

import contextlib
import gzip
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samebits.base.errors import UserError
from samebits.data.fetching.archives import Member, list_members
from samebits.data.readers.image.decode import Unreadable, read_chunk
from samebits.params.image import ImageParams
from tests.helpers.archives import tarred, zipped
from tests.helpers.pictures import encoded, picture

ROUNDS = 25
TEXTS = {f"{'ab'[k % 2]}/{k}.txt": b"hello world " * 20 for k in range(6)}


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    return exif


IMAGES = {
    **{kind: encoded(picture(1), kind, exif=_exif()) for kind in ("JPEG", "PNG", "TIFF", "WEBP")},
    **{kind: encoded(picture(1), kind) for kind in ("GIF", "BMP", "TGA", "PPM", "ICO")},
    "16 bits": encoded(Image.fromarray(np.arange(144, dtype=np.uint16).reshape(12, 12) * 400), "TIFF"),
}
ARCHIVES = {
    "tar": bytes(tarred(TEXTS)),
    "tgz": gzip.compress(tarred(TEXTS)),
    **{name: bytes(zipped(TEXTS, kind)) for name, kind in (
        ("zip", zipfile.ZIP_STORED), ("deflate", zipfile.ZIP_DEFLATED), ("bz2", zipfile.ZIP_BZIP2),
        ("lzma", zipfile.ZIP_LZMA))},
}  # fmt: skip


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to four bytes changed, put in or left out, most of them in the first 400."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(min(len(out), 400 if chance.random() < 0.7 else len(out)))
        what = chance.random()
        if what < 0.6:
            out[at] = chance.randrange(256)
        elif what < 0.8:
            out[at : at + 4] = b"\xff" * 4
        else:
            del out[at : at + chance.randint(1, 9)]
    return bytes(out)


@pytest.mark.parametrize("kind", list(IMAGES))
def test_a_changed_image_is_read_or_set_aside(kind: str, tmp_path: Path) -> None:
    chance = random.Random(kind)
    for _ in range(ROUNDS):
        data = mutated(IMAGES[kind], chance)
        (tmp_path / "image").write_bytes(data)
        (found,) = read_chunk([Member("image", tmp_path / "image", 0, len(data))], ImageParams(resolution=8))
        assert found.reason if isinstance(found, Unreadable) else found.pixels.shape == (3, 8, 8)


@pytest.mark.parametrize("kind", list(ARCHIVES))
def test_a_changed_archive_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    chance = random.Random(kind)
    for _ in range(ROUNDS):
        (tmp_path / "archive").write_bytes(mutated(ARCHIVES[kind], chance))
        with contextlib.suppress(UserError):
            whole = [each for each in list_members(tmp_path / "archive", tmp_path) if not each.damage]
            # A tar has no checksums of contents.
            assert kind == "tar" or all(each.read() == b"hello world " * 20 for each in whole)
