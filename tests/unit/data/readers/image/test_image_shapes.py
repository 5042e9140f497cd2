"""`prepare` on images that are oblong, of many channels or of 16 bits; and settings that do not fit them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from ruamel.yaml import YAML

from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.data.loading.prepared import open_split, read_info
from samebits.data.loading.sequential import sequential
from samebits.data.readers.image.images import channel_statistics
from samebits.data.readers.image.pixels import load_pixels
from tests.helpers.pictures import encoded, picture, rejected, run, saved, values
from tests.helpers.workspace import ROOT

Content = Callable[[int], bytes]


def folder(home: Path, content: Content, ending: str) -> Path:
    """A project with 40 files of two classes in data/raw/pets."""
    for k in range(40):
        path = home / "data/raw/pets" / ("cat", "dog")[k % 2] / f"{k:02d}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(k))
    (home / "data/catalog").mkdir()
    return home


def stored(home: Path) -> set[bytes]:
    train = open_split(home / "data/prepared", "train", in_memory=False)
    return {each.tobytes() for each in train.rows(np.arange(len(train)))}


def wide(k: int) -> bytes:
    return encoded(picture(k, (32, 16)))


def five(k: int) -> bytes:
    """Arrays of 5 channels, the channels first in every other one."""
    array = values(k, 5, (12, 16))
    return saved(array if k % 2 else np.ascontiguousarray(array.transpose(2, 0, 1)))


def deep(k: int) -> bytes:
    return encoded(Image.fromarray(values(k, 1, (12, 24), 4095)[:, :, 0]), ("PNG", "TIFF")[k % 2])


@pytest.mark.parametrize(
    ("content", "ending", "image", "inputs"),
    [
        (wide, ".png", {"resolution": [8, 16]}, {"shape": [3, 8, 16]}),
        (wide, ".png", {"resolution": [16, 8], "resize": "crop"}, {"shape": [3, 16, 8]}),
        (five, ".npy", {"resolution": [12, 16], "channels": 5}, {"shape": [5, 12, 16]}),
        (deep, "", {"resolution": [12, 24], "channels": 1, "bits": 16}, {"shape": [1, 12, 24], "bits": 16}),
    ],
)
def test_what_is_stored_is_what_is_served(
    content: Content, ending: str, image: dict[str, Any], inputs: dict[str, Any], tmp_path: Path
) -> None:
    home = folder(tmp_path, content, ending)
    info = read_info(run(home, image=image))
    described = read_json(home / "data/prepared/dataset.json")["signature"]["inputs"]
    assert {key: described[key] for key in inputs} == inputs
    assert ("bits" in described) == ("bits" in inputs)
    assert sum(info.counts.values()) == 40
    channels, height, width = inputs["shape"]
    files = sorted((home / "data/raw/pets").rglob("*.*" if ending else "*"))
    served = {
        load_pixels(file, channels, (width, height), image.get("resize", "pad"), bits=image.get("bits", 8)).tobytes()
        for file in files
        if file.is_file()
    }
    assert stored(home) < served
    first = next(sequential(open_split(home / "data/prepared", "test", in_memory=True), 4)).inputs
    assert list(first.shape[1:]) == inputs["shape"]
    assert str(first.dtype) == ("torch.int32" if "bits" in inputs else "torch.uint8")


@pytest.mark.parametrize("name", ["scans", "bands"])
def test_the_examples_of_the_docs(name: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/data-images.md").read_text(), re.DOTALL)
    (data,) = (YAML(typ="safe").load(each)["data"] for each in blocks if f"data/raw/{name}\n" in each)
    folder(tmp_path, *{"scans": (deep, ".png"), "bands": (five, ".npy")}[name])
    (tmp_path / "data/raw/pets").rename(tmp_path / "data/raw" / name)
    shape = read_info(run(tmp_path, **data)).signature.images.shape
    assert shape == [data["image"]["channels"], *data["image"]["resolution"]]


def test_a_csv_lists_arrays(tmp_path: Path) -> None:
    home = folder(tmp_path, five, ".npy")
    rows = [f"{('cat', 'dog')[k % 2]}/{k:02d}.npy,{k % 2}" for k in range(40)]
    (home / "data/raw/pets/list.csv").write_text("\n".join(["path,label", *rows]))
    image = {"resolution": [12, 16], "channels": 5}
    assert sum(read_info(run(home, format="image_csv", image=image)).counts.values()) == 40


def test_height_and_width_in_the_wrong_order_are_named(tmp_path: Path) -> None:
    home = folder(tmp_path, wide, ".png")
    for resize in ("pad", "stretch"):
        with pytest.raises(UserError, match=r"\[16, 8\], which is \[height, width\], .*wider than high") as caught:
            run(home, image={"resolution": [16, 8], "resize": resize})
        assert "data.image.resolution: [8, 16]" in caught.value.fix
    (home / "data/raw/pets/cat/square.png").write_bytes(encoded(picture(99, (16, 16))))
    run(home, image={"resolution": [16, 8]})  # of several shapes, none is the right one


@pytest.mark.parametrize("share", [1, 2])
def test_8_bits_among_16_are_refused(share: int, tmp_path: Path) -> None:
    home = folder(tmp_path, lambda k: deep(k) if k % share else encoded(picture(k, (24, 12), "L")), "")
    message = rf"data/raw/pets: {40 // share} of 40 images have 8 bits, and data.image.bits is 16"
    with pytest.raises(UserError, match=message) as caught:
        run(home, image={"resolution": [12, 24], "channels": 1, "bits": 16})
    assert caught.value.fix.startswith("set data.image.bits: 8")
    assert not (home / "data/prepared/dataset.json").exists()


def test_a_single_one_of_8_bits_is_set_aside(tmp_path: Path) -> None:
    home = folder(tmp_path, deep, "")
    (home / "data/raw/pets/cat/shallow.png").write_bytes(encoded(picture(1, (24, 12), "L")))
    image = {"resolution": [12, 24], "channels": 1, "bits": 16}
    found = rejected(run(home, image=image, max_rejected_fraction=0.1))
    assert found == {"cat/shallow.png": "it has 8 bits, not 16 (data.image.bits)"}


def test_shapes_that_fit_no_array_stop_the_stage(tmp_path: Path) -> None:
    home = folder(tmp_path, five, ".npy")
    with pytest.raises(UserError, match=r"40 of 40|no usable"):
        run(home, image={"channels": 4})


def test_statistics_of_16_bits_are_exact() -> None:
    images = np.stack([values(k, 5, (7, 9), 65535).transpose(2, 0, 1) for k in range(20)])

    def read(rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return images[rows]

    mean, std = channel_statistics(read, np.arange(20))
    scaled = images.transpose(1, 0, 2, 3).reshape(5, -1) / 65535
    assert mean == pytest.approx(scaled.mean(axis=1).tolist(), rel=1e-12)
    assert std == pytest.approx(scaled.std(axis=1).tolist(), rel=1e-12)
    assert channel_statistics(read, np.arange(20)[::-1]) == (mean, std)


def test_files_of_one_picture_are_found_at_any_depth(tmp_path: Path) -> None:
    """Near-duplicates."""
    home = folder(tmp_path, deep, "")
    array = np.asarray(Image.open(io.BytesIO(deep(4)))).astype(int)
    again = np.clip(array + 20, 0, 4095).astype(np.uint16)
    (home / "data/raw/pets/cat/again.png").write_bytes(encoded(Image.fromarray(again)))
    image = {"resolution": [12, 24], "channels": 1, "bits": 16, "near_duplicates": "drop"}
    assert list(rejected(run(home, image=image))) == ["cat/again.png"]
