"""Files of every format with a few bytes changed: each is read, set aside, or refused; none ends in another error."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from samebits.base.errors import UserError
from samebits.data.fetching.archives import Member, list_members
from samebits.data.fetching.catalog import Card
from samebits.data.preparation.prepare import require_usable, split_and_encode
from samebits.data.readers.image.decode import Unreadable, read_chunk
from samebits.data.readers.reader import Source, read_source
from samebits.params.data import DataParams
from samebits.params.image import ImageParams
from tests.helpers.archives import tarred, zipped
from tests.helpers.hostile import bounded, mutated, rounds
from tests.helpers.pictures import encoded, picture, saved, values

TEXTS = {f"{'ab'[k % 2]}/{k}.txt": b"hello world " * 20 for k in range(6)}


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    return exif


IMAGES = {
    **{kind: encoded(picture(1), kind, exif=_exif()) for kind in ("JPEG", "PNG", "TIFF", "WEBP")},
    **{kind: encoded(picture(1), kind) for kind in ("GIF", "BMP", "TGA", "PPM", "ICO")},
    "16 bits": encoded(Image.fromarray(np.arange(144, dtype=np.uint16).reshape(12, 12) * 400), "TIFF"),
    "pages": encoded(picture(1, mode="L"), "TIFF", save_all=True, append_images=[picture(k, mode="L") for k in (2, 3)]),
    "array": saved(values(1, 3)),
}
ARCHIVES = {
    "tar": bytes(tarred(TEXTS)),
    "tgz": gzip.compress(tarred(TEXTS)),
    **{name: bytes(zipped(TEXTS, kind)) for name, kind in (
        ("zip", zipfile.ZIP_STORED), ("deflate", zipfile.ZIP_DEFLATED), ("bz2", zipfile.ZIP_BZIP2),
        ("lzma", zipfile.ZIP_LZMA))},
}  # fmt: skip


@pytest.mark.parametrize("kind", list(IMAGES))
def test_a_changed_image_is_read_or_set_aside(kind: str, tmp_path: Path) -> None:
    chance = random.Random(kind)
    for _ in range(rounds(25)):
        data = mutated(IMAGES[kind], chance)
        (tmp_path / "image").write_bytes(data)
        (found,) = read_chunk([Member("image", tmp_path / "image", 0, len(data))], ImageParams(resolution=8))
        assert found.reason if isinstance(found, Unreadable) else found.pixels.shape == (3, 8, 8)


@pytest.mark.parametrize("kind", list(ARCHIVES))
def test_a_changed_archive_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    chance = random.Random(kind)
    for _ in range(rounds(25)):
        (tmp_path / "archive").write_bytes(mutated(ARCHIVES[kind], chance))
        with contextlib.suppress(UserError):
            whole = [each for each in list_members(tmp_path / "archive", tmp_path) if not each.damage]
            # A tar has no checksums of contents.
            assert kind == "tar" or all(each.read() == b"hello world " * 20 for each in whole)


TOKENS = tuple(
    each.encode("utf-8", "surrogatepass")
    for each in (
        *(",", ";", "\t", '"', "\n", "\r", "\0", "\ufeff", "\ud800", "\u0301", "nan", "inf", "-1", "1e999", "9" * 5000),
        *("{", "}", "[", "\\ud800", "null", "[" * 2000, "=?utf-8?q?a?=", "charset=base64", "<![", "&#", "boundary=x"),
        *("--x", "\x1a", "\x85", "\u2028", "é", "train", "../x", "9999-99-99", " " * 500),
    )
)
ROWS = "".join(f"{'ab'[k % 2]},text number {k},{k}.5,2020-01-{k % 28 + 1:02}\n" for k in range(40))
CSV = f"label,text,size,day\n{ROWS}"
JSONL = "".join(json.dumps({"label": "ab"[k % 2], "text": f"text {k}", "group": f"g{k % 5}"}) + "\n" for k in range(40))
MAIL = (
    "Subject: =?utf-8?q?F=C3=BCr?= you\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
    "--x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n"
    "--x\nContent-Type: text/html\n\n<html><p>good &amp; <b>fine</b></p></html>\n--x--\n"
)
BOOK = "\n\n".join(f"Paragraph {k}: " + "words of a book " * 15 for k in range(12))


def _parquet() -> bytes:
    buffer = io.BytesIO()
    numbers = {"label": ["a", "b"] * 20, "text": [f"t{k}" for k in range(40)], "size": [k / 2 for k in range(40)]}
    pq.write_table(pa.table(numbers), buffer)
    return buffer.getvalue()


SOURCES = {
    "text_csv": ("x.csv", CSV.encode(), {}),
    "text_jsonl": ("x.jsonl", JSONL.encode(), {}),
    "text_folder": ("x/a/1.txt", BOOK.encode(), {}),
    "mail": ("x/a/1.txt", MAIL.encode(), {}),
    "paragraphs": ("x/a-1.txt", BOOK.encode(), {}),
    "running_text": ("x.txt", (BOOK * 3).encode(), {}),
    "image_csv": ("x/list.csv", ("path,label\n" + "".join(f"{k}.png,{'ab'[k % 2]}\n" for k in range(8))).encode(), {}),
    "table": ("x.csv", CSV.encode(), {"table": {"target": "size"}}),
    "table parquet": ("x.parquet", _parquet(), {"table": {"target": "size"}}),
    "table days": ("x.csv", CSV.encode(), {"table": {"target": "label"}, "split": "time", "time_column": "day"}),
}
"""Format to the name of the file that is changed, its content, and settings."""


def _write_beside(kind: str, root: Path, content: bytes) -> None:
    """What makes the changed file one of a whole source."""
    if kind in ("text_folder", "mail"):
        for k in range(10):
            path = root / "x" / "ab"[k % 2] / f"other{k}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.replace(b"hello", b"%d" % k).replace(b"fine", b"%d" % k))
    elif kind == "paragraphs":
        (root / "x" / "b-1.txt").write_bytes(content.replace(b"Paragraph", b"Chapter"))
    elif kind == "image_csv":
        for k in range(8):
            (root / "x" / f"{k}.png").write_bytes(IMAGES["PNG"])


@pytest.mark.parametrize("kind", list(SOURCES))
def test_a_changed_source_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    name, content, settings = SOURCES[kind]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    root = tmp_path / name.partition("/")[0]
    form = kind.partition(" ")[0]
    _write_beside(kind, tmp_path, content)
    data = DataParams.model_validate(
        {
            "source": "data/raw/x",
            "format": form,
            "max_rejected_fraction": 1.0,
            "test_fraction": 0.2,
            "validation_fraction": 0.2,
        }
        | {"image": {"resolution": 8}, "text": {"length": 8, "vocabulary": 300}}
        | settings
    )
    chance = random.Random(kind)
    for k in range(rounds(12)):
        path.write_bytes(mutated(content, chance, TOKENS))
        scratch = tmp_path / f"scratch{k}"
        scratch.mkdir()
        with bounded(), contextlib.suppress(UserError):
            raw = read_source(form, Source("x", data, None, {}, root, scratch, lambda line: None))
            require_usable(raw, data)
            split_and_encode(raw, data)
        shutil.rmtree(scratch)


@pytest.mark.parametrize("kind", ["idx", "cifar"])
def test_a_changed_file_of_a_card_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    labels = bytes(k % 2 for k in range(20))
    if kind == "idx":
        images = bytes([0, 0, 8, 3, *struct.pack(">3I", 20, 4, 4)]) + bytes(range(160)) * 2
        contents = {
            role: images if role.endswith("images") else bytes([0, 0, 8, 1, *struct.pack(">I", 20)]) + labels
            for role in ("train/images", "train/labels", "test/images", "test/labels")
        }
    else:
        records = b"".join(bytes([label]) + bytes([k]) * 3072 for k, label in enumerate(labels))
        contents = {"train": records, "test": records}
    card = Card.model_validate(
        {"name": "x", "title": "x", "licence": "x", "homepage": "https://example.org/", "format": kind}
        | {"classes": ["a", "b"], "places": [{"kind": "folder", "path": "/nowhere"}]}
        | {
            "files": [
                {"name": role.replace("/", "-"), "role": role, "sha256": "0" * 64, "bytes": len(data)}
                for role, data in contents.items()
            ]
        }
    )
    chance, files = random.Random(kind), {each.name: tmp_path / each.name for each in card.files}
    data = DataParams(source="x", validation_fraction=0.2)
    for _ in range(rounds(12)):
        for each in card.files:
            content = contents[each.role]
            files[each.name].write_bytes(mutated(content, chance) if chance.random() < 0.5 else content)
        with bounded(), contextlib.suppress(UserError):
            raw = read_source(kind, Source("x", data, card, files, None, tmp_path, lambda line: None))
            split_and_encode(raw, data)
