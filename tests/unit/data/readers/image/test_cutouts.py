"""Images with a transparent background: what is opaque is of the class of the file's folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samebits.base.errors import UserError
from samebits.data.readers.image.cutouts import compose, read
from samebits.data.readers.image.masks import RawMasks
from samebits.data.readers.reader import Source
from samebits.params.data import DataParams
from tests.helpers.mask_files import SIDE, cutout, write_cutouts


def read_cutouts(folder: Path, data: dict[str, Any] | None = None) -> RawMasks:
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    wanted = {"source": folder.name, "format": "image_cutouts", "image": {"resolution": SIDE}, **(data or {})}
    return read(Source(folder.name, DataParams.model_validate(wanted), None, {}, folder, scratch, print))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    return buffer.getvalue()


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_opaque_pixels_are_of_the_folders_class(tmp_path: Path) -> None:
    write_cutouts(tmp_path / "art", 4)
    raw = read_cutouts(tmp_path / "art")
    assert raw.classes == ("background", "disc", "square")
    assert raw.ids == [f"{kind}/{k}.png" for kind in ("disc", "square") for k in range(4)]
    assert raw.targets is not None
    for row, name in enumerate(raw.ids):
        kind, _, file = name.partition("/")
        solid = np.asarray(cutout(int(file[0]), kind))[..., 3] >= 128
        assert np.array_equal(raw.targets[row], np.where(solid, ("background", "disc", "square").index(kind), 0))
    pixels = raw.read(np.arange(8))
    assert pixels.shape == (8, 3, SIDE, SIDE)
    again = read_cutouts(tmp_path / "art")
    assert np.array_equal(again.read(np.arange(8)), pixels)


def test_a_background_hangs_on_the_outline_alone() -> None:
    image = np.array(cutout(3, "disc"))
    first, mask = (opened(each) for each in compose(png(Image.fromarray(image)), 1, 99, 1))
    image[..., :3] = 255 - image[..., :3]
    second, _ = (opened(each) for each in compose(png(Image.fromarray(image)), 1, 99, 1))
    outside = image[..., 3] == 0
    assert np.array_equal(first[outside], second[outside])
    assert not np.array_equal(first[mask == 1], second[mask == 1])
    found = [opened(compose(png(cutout(k, "disc")), 1, 99, 1)[0])[0, 0].tolist() for k in range(24)]
    assert 2 <= found.count([255, 255, 255]) <= 12
    assert len({tuple(each) for each in found}) > 8


def test_half_transparent_pixels_and_large_files() -> None:
    image = np.zeros((200, 100, 4), dtype=np.uint8)
    image[:100, :, 3], image[100:, :, 3] = 127, 128
    data, mask = (opened(each) for each in compose(png(Image.fromarray(image)), 2, 50, 1))
    assert data.shape == (50, 25, 3)
    assert np.array_equal(np.unique(mask[:25]), [0])
    assert np.array_equal(np.unique(mask[25:]), [2])


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Image.new("RGB", (20, 20)), "it has no transparent background"),
        (lambda: Image.new("RGBA", (20, 20), (1, 2, 3, 255)), "100.0% of it are opaque: it shows no outline"),
        (lambda: Image.new("RGBA", (20, 20), (1, 2, 3, 0)), "0.0% of it are opaque: it shows no outline"),
    ],
)
def test_images_without_an_outline_are_no_samples(make: Any, why: str, tmp_path: Path) -> None:
    write_cutouts(tmp_path / "art", 2)
    (tmp_path / "art/disc/9.png").write_bytes(png(make()))
    raw = read_cutouts(tmp_path / "art")
    (rejected,) = raw.set_aside
    assert (rejected.id, rejected.reason, rejected.other) == ("disc/9.png", why, True)


def test_damaged_and_small_images_are_set_aside(tmp_path: Path) -> None:
    write_cutouts(tmp_path / "art", 2)
    whole = png(cutout(1, "disc"))
    (tmp_path / "art/disc/8.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "art/disc/9.png").write_bytes(png(cutout(1, "disc").resize((4, 4))))
    raw = read_cutouts(tmp_path / "art")
    assert [(each.id, each.other) for each in raw.set_aside] == [("disc/8.png", False), ("disc/9.png", False)]
    assert "shorter side has fewer than 8" in raw.set_aside[1].reason


def test_what_is_refused(tmp_path: Path) -> None:
    write_cutouts(tmp_path / "art", 2)
    for data, problem in (
        ({"target_kind": "class"}, "has masks"),
        ({"image": {"resolution": SIDE, "bits": 16}}, "images with transparency have 8"),
    ):
        with pytest.raises(UserError, match=problem):
            read_cutouts(tmp_path / "art", data)
    (tmp_path / "art/disc").rename(tmp_path / "art/background")
    with pytest.raises(UserError, match="none of them called background"):
        read_cutouts(tmp_path / "art")
    (tmp_path / "flat/a").mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(tmp_path / "flat/a/1.png")
    with pytest.raises(UserError, match=r"no image with a transparent background: a/1\.png"):
        read_cutouts(tmp_path / "flat")
