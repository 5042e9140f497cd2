"""Image folders and CSVs of paths: every kind of image, and everything that can be wrong with them."""

from __future__ import annotations

import csv
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.data.fetching.archives import list_members
from samebits.data.loading.prepared import open_split, read_info
from samebits.data.readers.image.decode import decode
from samebits.data.readers.image.pixels import load_pixels
from samebits.params.image import ImageParams
from tests.helpers.pictures import SIDE, encoded, picture, rejected, run

PNG = encoded(picture(0))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with 60 images of two classes in data/raw/pets."""
    for k in range(60):
        path = tmp_path / "data/raw/pets" / ("cat", "dog")[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(k)))
    (tmp_path / "data/catalog").mkdir()
    return tmp_path


def test_a_folder_a_class(home: Path) -> None:
    info = read_info(run(home))
    assert info.classes == ("cat", "dog")
    assert sum(info.counts.values()) == 60
    assert info.signature.images.shape == [3, SIDE, SIDE]
    train = open_split(home / "data/prepared", "train", in_memory=True)
    # Serving prepares a file as training did.
    stored = {bytes(each.tobytes()) for each in train.rows(np.arange(len(train)))}
    served = {load_pixels(path, 3, (SIDE, SIDE)).tobytes() for path in sorted((home / "data/raw/pets").rglob("*.png"))}
    assert stored < served


def test_two_runs_give_the_same_bytes(home: Path) -> None:
    folder = run(home)
    first = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.name: path.read_bytes() for path in run(home).rglob("*") if path.is_file()} == first


def test_an_archive_is_read_as_its_folder(home: Path) -> None:
    digest = read_json(run(home) / "dataset.json")["digest"]
    with zipfile.ZipFile(home / "data/raw/pets.zip", "w") as archive:
        for path in sorted((home / "data/raw/pets").rglob("*.png")):
            archive.write(path, path.relative_to(home / "data/raw/pets"))
    assert read_json(run(home, source="data/raw/pets.zip") / "dataset.json")["digest"] == digest


@pytest.mark.parametrize("extra", ["bird/", "bird/.DS_Store"])
def test_a_class_of_an_archive_without_a_file_is_named(extra: str, home: Path) -> None:
    with zipfile.ZipFile(home / "data/raw/pets.zip", "w") as archive:
        for path in sorted((home / "data/raw/pets").rglob("*.png")):
            archive.write(path, path.relative_to(home / "data/raw/pets"))
        archive.writestr(extra, b"")
    with pytest.raises(UserError, match="no file in the class folder bird"):
        run(home, source="data/raw/pets.zip")


def test_splits_of_ones_own(home: Path) -> None:
    for name, seeds in {"train": range(20), "val": range(20, 26), "test": range(26, 34)}.items():
        for k in seeds:
            path = home / "data/raw/cut" / name / ("cat", "dog")[k % 2] / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(k)))
    assert read_info(run(home, source="data/raw/cut")).counts == {"train": 20, "validation": 6, "test": 8}


KINDS: dict[str, bytes] = {
    "grey.png": encoded(picture(1, mode="L")),
    "palette.png": encoded(picture(1, mode="P")),
    "alpha.png": encoded(picture(1, mode="RGBA")),
    "bits.png": encoded(picture(1, mode="1")),
    "sixteen.png": encoded(Image.fromarray(np.arange(144, dtype=np.uint16).reshape(12, 12) * 400)),
    "photo.jpg": encoded(picture(1), "JPEG"),
    "print.jpg": encoded(picture(1, mode="CMYK"), "JPEG"),
    "web.webp": encoded(picture(1), "WEBP"),
    "moving.gif": encoded(picture(1, mode="P"), "GIF", save_all=True, append_images=[picture(2, mode="P")]),
    "scan.tiff": encoded(picture(1), "TIFF"),
    "wide.png": encoded(picture(1, (40, 10))),
    "no_ending": PNG,
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", ["pad", "crop", "stretch"])
def test_every_kind_of_image(channels: int, resize: str, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for name, data in KINDS.items():
        (tmp_path / "files" / name).write_bytes(data)
    settings = ImageParams.model_validate({"resolution": SIDE, "channels": channels, "resize": resize})
    members = list_members(tmp_path / "files", tmp_path)
    found = decode(members, settings, tmp_path)
    assert found.reasons == [None] * len(KINDS)
    assert found.largest == 143 * 400
    assert found.pixels.shape == (len(KINDS), channels, SIDE, SIDE)
    assert all(image.std() > 0 for image in found.pixels)


def test_the_first_frame_and_the_rotation_count(tmp_path: Path) -> None:
    assert (load_pixels(io.BytesIO(KINDS["moving.gif"]), 3, (12, 12)) == load_pixels(
        io.BytesIO(encoded(picture(1, mode="P"), "GIF")), 3, (12, 12))).all()  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned = load_pixels(io.BytesIO(encoded(picture(1), exif=exif)), 3, (12, 12))
    assert (turned == np.rot90(load_pixels(io.BytesIO(encoded(picture(1))), 3, (12, 12)), -1, axes=(1, 2))).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000"])
def test_of_a_file_that_is_cut_no_other_image_is_read(kind: str) -> None:
    file = io.BytesIO()
    shades = np.add.outer(np.arange(24), 3 * np.arange(24)).astype(np.uint8)
    Image.fromarray(shades).save(file, kind)
    whole = file.getvalue()
    wanted = load_pixels(io.BytesIO(whole), 1, (24, 24))
    refused = 0
    for length in range(1, len(whole)):
        try:
            found = load_pixels(io.BytesIO(whole[:length]), 1, (24, 24))
        except Exception:
            refused += 1
        else:
            # What is missing holds no pixel, as a checksum at the end.
            assert np.array_equal(found, wanted), length
    assert refused > len(whole) / 2


def test_how_another_shape_is_met() -> None:
    wide = Image.new("RGB", (30, 10), (10, 10, 10))
    wide.paste((200, 200, 200), (10, 0, 20, 10))
    shaped = {
        how: load_pixels(io.BytesIO(encoded(wide)), 1, (6, 6), how)[0]  # type: ignore[arg-type]
        for how in ("pad", "crop", "stretch")
    }
    assert (shaped["crop"] == 200).all()
    assert (shaped["stretch"][:, 2:4] == 200).all()
    assert (shaped["stretch"][:, 0] == 10).all()
    assert (shaped["pad"][0] == 10).all()
    assert shaped["pad"][2:4, 2:4].min() == 200


def test_any_number_of_processes_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.data.readers.image.decode._FEW", 10)
    (tmp_path / "files").mkdir()
    for k in range(80):
        (tmp_path / "files" / f"{k}.png").write_bytes(encoded(picture(k)) if k % 9 else b"broken")
    members = list_members(tmp_path / "files", tmp_path)
    settings = ImageParams(resolution=SIDE)
    found = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        made = decode(members, settings, folder, workers)
        found.append((made.pixels.tobytes(), made.reasons))
    assert found[0] == found[1]
    assert sum(why is not None for why in found[0][1]) == 9


# What one file can be.


def _bomb() -> bytes:
    """The header of a PNG of 200,000 x 200,000 pixels."""
    data = bytearray(PNG)
    data[16:24] = (200_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "text": (b"not an image", "no image"),
    "half a png": (encoded(picture(1, (64, 64)))[:120], ""),
    "half a jpeg": (encoded(picture(1, (64, 64)), "JPEG")[:300], ""),
    "head of a png": (PNG[:20], ""),
    "changed bytes": (PNG[:45] + b"\xff\xff\xff\xff" + PNG[49:], ""),
    "bomb": (_bomb(), "pixels"),
    "three by two": (encoded(picture(1, (3, 2))), "3x2 pixels, its shorter side has fewer than 4"),
    "a line": (encoded(picture(1, (500, 1))), "fewer than 4"),
    "a program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n", "no image"),
    "a script": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image"),
    "zeros": (bytes(1000), "no image"),
    "a zip": (b"PK\x03\x04" + bytes(100), "no image"),
    "nan": (encoded(Image.fromarray(np.full((12, 12), np.nan, dtype=np.float32)), "TIFF"), "NaN"),
}


@pytest.mark.parametrize("case", list(BAD_FILES))
def test_a_bad_file_is_set_aside_with_its_reason(case: str, home: Path) -> None:
    data, reason = BAD_FILES[case]
    (home / "data/raw/pets/cat/bad.png").write_bytes(data)
    folder = run(home, max_rejected_fraction=0.1)
    found = rejected(folder)
    assert list(found) == ["cat/bad.png"]
    assert reason in found["cat/bad.png"]
    assert found["cat/bad.png"]
    assert read_json(folder / "dataset.json")["audit"]["set_aside"] == 1


def test_whatever_pillow_raises_on_one_file_sets_it_aside(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Image.open

    def failing(file: io.BytesIO, **options: Any) -> Image.Image:
        if file.getvalue() == b"odd":
            raise struct.error("unpack requires a buffer of 4 bytes")
        return opened(file, **options)

    monkeypatch.setattr(Image, "open", failing)
    (home / "data/raw/pets/cat/odd.png").write_bytes(b"odd")
    assert rejected(run(home, max_rejected_fraction=0.1)) == {
        "cat/odd.png": "it is damaged (error: unpack requires a buffer of 4 bytes)"
    }


def test_stratified_is_pointed_to_where_a_class_has_no_test_image(home: Path) -> None:
    for path in sorted((home / "data/raw/pets/dog").iterdir())[3:]:
        path.unlink()
    said: list[str] = []
    run(home, said, test_fraction=0.1)
    lacking = any("no validation sample of dog" in line or "no test sample of dog" in line for line in said)
    assert lacking == any("data.split: stratified" in line for line in said)
    assert lacking
    said.clear()
    run(home, said, test_fraction=0.1, split="stratified")
    assert not any("data.split" in line for line in said)


def test_other_files_beside_images_are_counted_apart(home: Path) -> None:
    pets = home / "data/raw/pets"
    for name in ("cat/meow.wav", "cat/cat.svg", "cat/cat.txt", "dog/dog.TXT", "README.md", "LICENSE", "sounds/1.mp3"):
        (pets / name).parent.mkdir(exist_ok=True)
        (pets / name).write_bytes(b"<svg> no image")
    said: list[str] = []
    folder = run(home, said, max_rejected_fraction=0.0)
    assert read_info(folder).classes == ("cat", "dog")
    assert sum(read_info(folder).counts.values()) == 60
    assert len(rejected(folder)) == 7
    assert any("7 other files are no samples: 2 .txt, 1 .md, 1 .mp3" in line for line in said)


@pytest.mark.parametrize("name", ["cat/bad.png", "cat/bad.JPG", "cat/bad"])
def test_a_damaged_image_still_counts_towards_the_limit(name: str, home: Path) -> None:
    (home / "data/raw/pets" / name).write_bytes(b"no image")
    with pytest.raises(UserError, match=rf"1 of 61 samples (.|\n)*{name}"):
        run(home)


def test_an_image_of_another_ending_is_read(home: Path) -> None:
    (home / "data/raw/pets/cat/photo.2024").write_bytes(encoded(picture(77)))
    assert sum(read_info(run(home)).counts.values()) == 61


def deepen(home: Path, top: int, dtype: Any, kind: str) -> None:
    """The images of the project as grey ones of other numbers, from 0 to `top`."""
    for path in (home / "data/raw/pets").rglob("*.png"):
        values = np.asarray(Image.open(path).convert("L"), dtype=np.float64) / 255 * top
        path.write_bytes(encoded(Image.fromarray(values.astype(dtype)), kind))


def test_12_bits_in_16_are_not_read_as_black(home: Path) -> None:
    deepen(home, 4095, np.uint16, "PNG")
    with pytest.raises(UserError, match=r"16-bit images end at 4,\d+ of 65,535|end at 3,") as caught:
        run(home, image={"channels": 1})
    assert "data.image.value_range: [0, 4095]" in caught.value.fix
    bright = read_info(run(home, image={"channels": 1, "value_range": [0, 4095]}))
    assert bright.signature.images.mean[0] > 0.3
    assert bright.signature.images.value_range == [0, 4095]
    dark = read_info(run(home, image={"channels": 1, "value_range": [0, 65535]}))
    assert dark.signature.images.mean[0] < 0.05


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_values_without_a_range_of_their_own_are_refused(home: Path, dtype: Any) -> None:
    deepen(home, 255, dtype, "TIFF")
    with pytest.raises(UserError, match=r"60 images have .* values, from \d+ to 2\d\d") as caught:
        run(home, image={"channels": 1})
    assert "set data.image.value_range" in caught.value.fix
    assert read_info(run(home, image={"channels": 1, "value_range": [0, 255]})).signature.images.mean[0] > 0.3


def test_a_range_is_in_the_signature_only_where_it_is_set(home: Path) -> None:
    assert "value_range" not in read_json(run(home) / "dataset.json")["signature"]["inputs"]


# What a folder can be.


def _only(name: str) -> Callable[[Path], None]:
    def change(pets: Path) -> None:
        for path in [each for each in pets.rglob("*.png") if each.parent.name != name]:
            path.unlink()
        for folder in [each for each in pets.iterdir() if each.name != name]:
            folder.rmdir()

    return change


def _flat(pets: Path) -> None:
    for path in list(pets.rglob("*.png")):
        path.rename(pets / path.name)
    for folder in [each for each in pets.iterdir() if each.is_dir()]:
        folder.rmdir()


def _nothing(pets: Path) -> None:
    _flat(pets)
    for path in pets.iterdir():
        path.unlink()


def _spoil(share: int) -> Callable[[Path], None]:
    def change(pets: Path) -> None:
        for k, path in enumerate(sorted(pets.rglob("*.png"))):
            if k % share == 0:
                path.write_bytes(b"")

    return change


def _spoil_class(pets: Path) -> None:
    for path in (pets / "dog").iterdir():
        path.write_bytes(b"")


def _once(pets: Path) -> None:
    (pets / "bird").mkdir()
    (pets / "bird" / "only.png").write_bytes(encoded(picture(3)))


def _one_dog(pets: Path) -> None:
    for path in sorted((pets / "dog").iterdir())[1:]:
        path.unlink()


def _hidden(pets: Path) -> None:
    (pets / "bird").mkdir()
    (pets / "bird" / ".DS_Store").write_bytes(b"x")
    (pets / "bird" / "Thumbs.db").write_bytes(b"x")


def _cut(pets: Path) -> None:
    (pets / "train").mkdir()
    for name in ("cat", "dog"):
        (pets / name).rename(pets / "train" / name)
    (pets / "train/bird").mkdir()


def _same(pets: Path) -> None:
    for path in pets.rglob("*.png"):
        path.write_bytes(encoded(Image.new("RGB", (12, 12), "red")))


def _two_lists(pets: Path) -> None:
    for name in ("a.csv", "b.TSV"):
        (pets / name).write_text(table())


BAD_FOLDERS: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "nothing in it": (_nothing, {}, "holds no file"),
    "an empty class": (lambda pets: (pets / "bird").mkdir(), {}, "no file in the class folder bird"),
    "a class of folders": (lambda pets: (pets / "bird/a").mkdir(parents=True), {}, "no file in the class folder bird"),
    "a class of hidden files": (_hidden, {}, "no file in the class folder bird"),
    "a link to a class": (
        lambda pets: (pets / "bird").symlink_to(pets / "cat"),
        {},
        "data/raw/pets/bird is a link to the folder",
    ),
    "a class of train without a file": (_cut, {}, "no file in the class folder train/bird"),
    "one class": (_only("cat"), {}, "has one class, 'cat'"),
    "no class": (_flat, {}, "has no class"),
    "too many bad files": (_spoil(5), {}, "12 of 60 samples of data/raw/pets cannot be used"),
    "a mistyped class": (
        lambda pets: (pets / "dogs").mkdir() or (pets / "dog/01.png").rename(pets / "dogs/01.png"),
        {},
        "dogs/01.png: the only image of its class 'dogs'; was 'dog' meant?",
    ),
    "only bad files": (_spoil(1), {}, "holds no usable sample"),
    "a class of bad files": (
        _spoil_class,
        {"max_rejected_fraction": 1.0},
        "class 'dog' has no sample in the training split",
    ),
    "a class of one image": (_once, {}, "bird/only.png: the only image of its class 'bird'"),
    "two classes, one of one image": (
        _one_dog,
        {"max_rejected_fraction": 0.1},
        "one class of more than one image, 'cat'",
    ),
    "all alike": (_same, {}, "are equal|split is empty|no sample in the training"),
    "all copies dropped": (_same, {"duplicates": "drop"}, "split is empty"),
    "not below data/raw": (lambda _: None, {"source": "pets/x"}, "is not below data/raw"),
    "above data/raw": (lambda _: None, {"source": "data/raw/../../x"}, "is not below data/raw"),
    "missing": (lambda _: None, {"source": "data/raw/pest"}, "does not exist"),
    "a file": (lambda _: None, {"source": "data/raw/pets/cat/00.png"}, "no folder, tar or zip archive"),
    "another reader": (lambda _: None, {"format": "image_csv"}, "data/raw/pets has no CSV file"),
    "two lists": (_two_lists, {"format": "image_csv"}, "has 2 CSV files: a.csv, b.TSV"),
    "a list alone": (
        _two_lists,
        {"source": "data/raw/pets/a.csv", "format": "image_csv"},
        "DVC would not see its images change",
    ),
    "unknown reader": (lambda _: None, {"format": "imagefolder"}, "did you mean image_folder"),
    "no reader": (lambda _: None, {"format": None}, "data.format does not say"),
    "a reader of cards": (lambda _: None, {"format": "cifar"}, "is for catalogued data"),
}


@pytest.mark.parametrize("case", list(BAD_FOLDERS))
def test_a_bad_folder_is_named(case: str, home: Path) -> None:
    change, settings, message = BAD_FOLDERS[case]
    change(home / "data/raw/pets")
    with pytest.raises(UserError) as caught:
        run(home, **settings)
    text = str(caught.value)
    assert any(part in text for part in message.split("|")), text
    assert caught.value.fix
    assert not (home / "data/prepared/dataset.json").exists()


# CSV.


def write_csv(home: Path, text: str | bytes, name: str = "data/raw/pets/list.csv") -> None:
    data = text.encode() if isinstance(text, str) else text
    (home / name).write_bytes(data)


def table(*extra: str, header: str = "path,label", cut: int = 60) -> str:
    rows = [f"{('cat', 'dog')[k % 2]}/{k:02d}.png,{('cat', 'dog')[k % 2]}" for k in range(cut)]
    return "\n".join([header, *rows, *extra]) + "\n"


CSV = {"source": "data/raw/pets", "format": "image_csv"}


def test_a_class_of_one_image_is_set_aside_and_no_class(home: Path) -> None:
    _once(home / "data/raw/pets")
    folder = run(home, max_rejected_fraction=0.1)
    assert rejected(folder) == {"bird/only.png": "the only image of its class 'bird'"}
    assert read_info(folder).classes == ("cat", "dog")


def test_a_csv_of_paths(home: Path) -> None:
    write_csv(home, "\ufeff" + table().replace("\n", "\r\n"))
    info = read_info(run(home, **CSV))
    digest = info.digest
    assert info.classes == ("cat", "dog")
    assert sum(info.counts.values()) == 60
    write_csv(home, table(header='"path","label"'))
    assert read_info(run(home, **CSV)).digest == digest


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_csv_as_any_spreadsheet_writes_it(separator: str, encoding: str, home: Path) -> None:
    text = table().replace(",cat\n", ",Kätzchen\n")
    write_csv(home, text)
    digest = read_info(run(home, **CSV)).digest
    write_csv(home, text.replace(",", separator).encode(encoding))
    assert read_info(run(home, **CSV)).digest == digest


def test_a_csv_with_splits(home: Path) -> None:
    rows = [f"{('cat', 'dog')[k % 2]}/{k:02d}.png,{k % 2},{('train', 'validation', 'test')[k % 3]}" for k in range(60)]
    write_csv(home, "\n".join(["path,label,split", *rows]))
    assert read_info(run(home, **CSV)).counts == {"train": 20, "validation": 20, "test": 20}


BAD_ROWS: dict[str, tuple[str, str]] = {
    "no file": ("cat/99.png,cat", "it does not exist"),
    "a folder": ("cat,cat", "it is a folder"),
    "no label": ("cat/00.png,", "it has no label"),
    "no path": (",cat", "it has no path"),
    "outside": ("../../../etc/passwd,cat", "leaves the folder"),
    "absolute": ("/etc/passwd,cat", "leaves the folder"),
    "nul": ("cat/0\0.png,cat", "holds NUL bytes"),
    "no image": ("list.csv,cat", "it is no image"),
}


@pytest.mark.parametrize("case", list(BAD_ROWS))
def test_a_bad_row_is_set_aside_with_its_reason(case: str, home: Path) -> None:
    row, reason = BAD_ROWS[case]
    write_csv(home, table(row))
    found = rejected(run(home, max_rejected_fraction=0.1, **CSV))
    assert len(found) == 1
    assert reason in next(iter(found.values()))


BAD_CSVS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "list.csv is empty"),
    "blank": ("\n\n\n", "list.csv is empty"),
    "header alone": ("path,label\n", "lists no usable image"),
    "no column path": (table(header="file,label"), "has no column path; it has file, label"),
    "no column label": (table(header="path,class"), "has no column label"),
    "no header": (table().partition("\n")[2], "has no column path, label"),
    "column twice": (table(header="path,label,path"), "two columns are called path"),
    "a cell too many": (table("cat/00.png,cat,x"), "list.csv#62: 3 fields, the header has 2"),
    "a cell too few": (table("cat/00.png"), "list.csv#62: 1 fields, the header has 2"),
    "unknown split": ("path,label,split\ncat/00.png,cat,trained\n", "line 2: split is 'trained'"),
    "open quote": (table('"cat/00.png,cat'), "list.csv#62: a quote is opened here"),
    "one endless line": ("path,label" * 20_000, "lists no usable image"),
    "one label": (table().replace(",dog", ",cat"), "has one class, 'cat'"),
    "a label that occurs once": (table("cat/00.png,cta"), "the only image of its class 'cta'; was 'cat' meant?"),
    "no image exists": (table().replace(".png", ".gif"), "lists no usable image; the first: list.csv#2 cat/00.gif"),
    "binary": (PNG, "is no CSV: it is an image"),
}


@pytest.mark.parametrize("case", list(BAD_CSVS))
def test_a_bad_csv_is_named(case: str, home: Path) -> None:
    text, message = BAD_CSVS[case]
    write_csv(home, text)
    with pytest.raises(UserError) as caught:
        run(home, **CSV)
    assert message in str(caught.value)
    assert caught.value.fix
    assert not (home / "data/prepared/dataset.json").exists()


# The audit.


def test_copies_are_dropped_and_contradictions_set_aside(home: Path) -> None:
    pets = home / "data/raw/pets"
    (pets / "cat/copy.png").write_bytes((pets / "cat/00.png").read_bytes())
    (pets / "cat/false.png").write_bytes((pets / "dog/01.png").read_bytes())
    assert read_json(run(home) / "dataset.json")["audit"]["label_conflicts"] == 1
    folder = run(home, duplicates="drop")
    assert rejected(folder) == {
        "cat/copy.png": "duplicate of cat/00.png",
        "cat/false.png": "the same content is of the classes cat, dog",
        "dog/01.png": "the same content is of the classes cat, dog",
    }
    facts = read_json(folder / "dataset.json")["audit"]
    assert facts["label_conflicts"] == 0
    assert not any(facts["duplicates"].values())


def test_lookalikes_are_counted_listed_and_dropped(home: Path) -> None:
    # The same picture, three times as large and a little brighter.
    again = picture(4, (36, 36)).point(lambda value: min(255, value + 3))
    (home / "data/raw/pets/cat/again.jpg").write_bytes(encoded(again))
    said: list[str] = []
    folder = run(home, said)
    found = read_json(folder / "dataset.json")["audit"]["near_duplicates"]
    assert sum(found["within"].values()) + sum(found["across"].values()) == 1
    assert any("1 pairs of images look the same" in line for line in said)
    rows = list(csv.DictReader(io.StringIO((folder / "near_duplicates.csv").read_text())))
    assert [(row["first"], row["second"]) for row in rows] == [("cat/04.png", "cat/again.jpg")]
    dropped = rejected(run(home, image={"near_duplicates": "drop"}))
    assert dropped["cat/again.jpg"].startswith("looks like cat/04.png")
    ignored = run(home, image={"near_duplicates": "ignore"})
    assert not any(read_json(ignored / "dataset.json")["audit"]["near_duplicates"]["within"].values())
    assert not rejected(ignored)


def test_of_given_splits_the_tests_copy_stays(home: Path) -> None:
    for name, k in (
        [("train", k) for k in range(20)] + [("val", k) for k in range(20, 26)] + [("test", 4), ("test", 31)]
    ):
        path = home / "data/raw/cut" / name / ("cat", "dog")[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(k)))
    folder = run(home, source="data/raw/cut", duplicates="drop")
    assert rejected(folder) == {"train/cat/4.png": "duplicate of test/cat/4.png"}
    assert read_info(folder).counts["test"] == 2


def test_classes_are_counted(home: Path) -> None:
    for k in range(100, 700):
        (home / f"data/raw/pets/cat/{k}.png").write_bytes(encoded(picture(k)))
    said: list[str] = []
    facts = read_json(run(home, said, image={"near_duplicates": "ignore"}) / "dataset.json")["audit"]
    assert facts["imbalance"] > 10
    assert any("task.class_weights: balanced" in line for line in said)


def test_at_most_so_many_of_a_class(home: Path) -> None:
    said: list[str] = []
    whole = read_info(run(home))
    folder = run(home, said, limit_per_class=5)
    info = read_info(folder)
    assert info.class_counts["train"] == (5, 5)
    assert (info.counts["validation"], info.counts["test"]) == (whole.counts["validation"], whole.counts["test"])
    assert read_json(folder / "dataset.json")["audit"]["left_out"] == whole.counts["train"] - 10
    assert any("are left out (data.limit_per_class)" in line for line in said)
