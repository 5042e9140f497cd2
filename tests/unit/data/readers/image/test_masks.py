"""Images with masks: indices and colours, splits, sizes, and what is refused or set aside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samebits.base.errors import UserError
from samebits.data.readers.image.mask_pixels import palette_png, to_file, to_model
from samebits.data.readers.image.masks import RawMasks, read
from samebits.data.readers.image.pixels import load_pixels
from samebits.data.readers.reader import Source
from samebits.params.data import DataParams
from samebits.signature.mask import default_colours
from tests.helpers.mask_files import CLASSES, SIDE, shapes, write_masks

COLOURS = "name,colour\nbackground,#000000\ndisc,255 0 0\nsquare,#0000ff\n"
RGB = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], dtype=np.uint8)


def read_masks(folder: Path, **image: Any) -> RawMasks:
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    settings = DataParams.model_validate(
        {"source": folder.name, "format": "image_masks", "image": {"resolution": SIDE, **image}}
    )
    return read(Source(folder.name, settings, None, {}, folder, scratch, print))


def save(folder: Path, name: str, mask: np.ndarray, image: np.ndarray | None = None) -> None:
    for kind, pixels in (("images", shapes(0)[0] if image is None else image), ("masks", mask)):
        (folder / kind / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{name}.png")


def test_indices_of_grey_files_and_of_palettes(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    write_masks(folder, 3)
    _, mask = shapes(1)
    (folder / "masks/1.png").write_bytes(palette_png(mask, default_colours(3)))
    raw = read_masks(folder)
    assert raw.classes == CLASSES
    assert raw.ids == ["images/0.png", "images/1.png", "images/2.png"]
    assert raw.targets is not None
    assert all(np.array_equal(raw.targets[k], shapes(k)[1]) for k in range(3))
    target = raw.fitted_target(np.arange(3))
    assert target.model_dump()["shape"] == [SIDE, SIDE]


def test_colours(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    _, mask = shapes(1)
    mask[0] = 0
    save(folder, "a/1", RGB[mask])
    (folder / "classes.csv").write_text(COLOURS)
    raw = read_masks(folder)
    assert raw.targets is not None
    assert np.array_equal(raw.targets[0], mask)
    assert raw.fitted_target(np.arange(1)).model_dump()["colours"] == RGB.tolist()


def test_black_and_white_by_colours(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    _, mask = shapes(1)
    save(folder, "1", np.where(mask == 1, 255, 0).astype(np.uint8))
    with pytest.raises(UserError, match=r"the masks hold 0 .* and 255, which does not count: .*\n.*#ffffff"):
        read_masks(folder)
    (folder / "classes.csv").write_text("name;r;g;b\nnothing;0;0;0\ndisc;255;255;255\n")
    raw = read_masks(folder)
    assert raw.targets is not None
    assert np.array_equal(raw.targets[0], mask == 1)


def test_listed_indices_with_gaps_and_one_that_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    _, mask = shapes(1)
    mask[0] = 0
    save(folder, "1", np.array([0, 7, 30], dtype=np.uint8)[mask])
    (folder / "classes.csv").write_text("index,name\n30,square\n7,disc\n0,background\n255,edge\n")
    raw = read_masks(folder)
    assert raw.classes == CLASSES
    assert raw.targets is not None
    assert np.array_equal(raw.targets[0], mask)


def test_classes_without_a_list_are_numbered(tmp_path: Path) -> None:
    write_masks(tmp_path / "shapes", 4, named=False)
    assert read_masks(tmp_path / "shapes").classes == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize("nested", ["{split}/{kind}/{name}", "{kind}/{split}/{name}"])
def test_splits_of_ones_own(nested: str, tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    for seed, split in enumerate(("train", "train", "val", "test")):
        image, mask = shapes(seed)
        for kind, pixels in (("images", image), ("masks", mask)):
            path = folder / nested.format(split=split, kind=kind, name=f"{seed % 2}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    raw = read_masks(folder)
    assert sorted(raw.given or ()) == ["test", "train", "train", "validation"]
    assert not raw.set_aside


@pytest.mark.parametrize("resize", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("size", [(24, 24), (40, 20), (18, 30), (64, 48)])
def test_a_mask_lies_where_its_image_does(resize: Any, size: tuple[int, int], tmp_path: Path) -> None:
    # An image that shows its own mask.
    _, mask = shapes(3, size)
    mask[mask == 255] = 0
    path = tmp_path / "image.png"
    Image.fromarray(mask * np.uint8(100) + np.uint8(20)).save(path)
    pixels = load_pixels(path, 1, (SIDE, SIDE), resize)[0]
    found = to_model(mask, (SIDE, SIDE), resize)
    inside = found != 255
    assert inside.all() == (resize != "pad" or size[0] == size[1])
    same = np.abs(pixels.astype(int) - (found.astype(int) * 100 + 20))[inside] <= 50
    assert same.mean() > 0.93  # a resized image is a mean at edges


@pytest.mark.parametrize("resize", ["pad", "stretch"])
def test_a_predicted_mask_goes_the_way_back(resize: Any) -> None:
    _, mask = shapes(3, (24, 16))
    assert np.array_equal(to_file(to_model(mask, (48, 48), resize), (24, 16), resize), mask)


def test_what_was_cut_off_is_not_said() -> None:
    _, mask = shapes(3, (24, 16))
    found = to_file(to_model(mask, (32, 32), "crop"), (24, 16), "crop")
    assert (found[:, :4] == 255).all()
    assert (found[:, 20:] == 255).all()
    assert np.array_equal(found[:, 4:20], mask[:, 4:20])


def with_index(value: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        mask = shapes(1)[1]
        mask[5, 6] = value
        Image.fromarray(mask).save(folder / "masks/1.png")

    return change


def as_jpeg(folder: Path) -> None:
    (folder / "masks/1.png").unlink()
    Image.fromarray(shapes(1)[1]).save(folder / "masks/1.jpg")


def of_colours(folder: Path) -> None:
    Image.fromarray(RGB[np.minimum(shapes(1)[1], 2)]).save(folder / "masks/1.png")


SET_ASIDE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no mask": (lambda folder: (folder / "masks/1.png").unlink(), "it has no mask"),
    "no image": (lambda folder: (folder / "images/1.png").unlink(), "the mask has no image"),
    "size": (
        lambda folder: Image.fromarray(shapes(1, (20, 30))[1]).save(folder / "masks/1.png"),
        "masks/1.png has 20x30 pixels, the image 32x32",
    ),
    "index": (with_index(9), "masks/1.png: the pixel at x 6, y 5 holds 9 that is of no class"),
    "damaged": (lambda folder: (folder / "masks/1.png").write_bytes(b"no"), "masks/1.png: it is no image"),
    "jpeg": (as_jpeg, "a mask in JPEG has other values than it was saved with: save it as PNG"),
    "colours": (of_colours, "no list says which class each stands for"),
    "two": (lambda folder: (folder / "masks/1.bmp").write_bytes(b""), "which mask is of which image?"),
    "nothing": (
        lambda folder: Image.fromarray(np.full((SIDE, SIDE), 255, dtype=np.uint8)).save(folder / "masks/1.png"),
        "no pixel counts",
    ),
}


@pytest.mark.parametrize("case", list(SET_ASIDE))
def test_a_pair_that_cannot_be_used_is_set_aside(case: str, tmp_path: Path) -> None:
    change, reason = SET_ASIDE[case]
    write_masks(tmp_path / "shapes", 3)
    change(tmp_path / "shapes")
    raw = read_masks(tmp_path / "shapes")
    assert len(raw) == 2
    assert reason in raw.set_aside[0].reason
    assert not raw.set_aside[0].other


REFUSED: dict[str, tuple[str, str]] = {
    "one class": ("name\nbackground\n", "classes.csv names 1 classes"),
    "no name": ("index\n1\n2\n", "its first line has no `name`"),
    "twice": ("name\ndisc\ndisc\n", "names the class disc twice"),
    "same index": ("name,index\na,1\nb,1\n", "has the index 1 twice"),
    "bad index": ("name,index\na,0\nb,-1\n", "line 3: index is '-1'"),
    "bad colour": ("name,colour\na,#000000\nb,#00\n", "line 3: '#00' is no colour"),
    "no colour": ("name,colour\na,#000000\nb,\n", "line 3: the class has no colour"),
    "same colour": ("name,colour\na,#000000\nb,0 0 0\n", "two classes have the colour #000000"),
    "cells": ("name,index\na,0,1\nb,1\n", "line 2 has 3 cells, its first line 2"),
    "empty": ("\n", "names no class"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_list_of_classes_that_cannot_be_used(case: str, tmp_path: Path) -> None:
    text, problem = REFUSED[case]
    write_masks(tmp_path / "shapes", 2, named=False)
    (tmp_path / "shapes/classes.csv").write_text(text)
    with pytest.raises(UserError) as error:
        read_masks(tmp_path / "shapes")
    assert problem in str(error.value)


def test_a_folder_of_another_layout(tmp_path: Path) -> None:
    write_masks(tmp_path / "shapes", 2)
    (tmp_path / "shapes/masks").rename(tmp_path / "shapes/labels")
    with pytest.raises(UserError, match="no file in a folder masks"):
        read_masks(tmp_path / "shapes")
