"""Images whose keywords stand in drawings of the same name."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.data.fetching.catalog import Card
from samebits.data.readers.image.keywords import keywords, read
from samebits.data.readers.reader import Raw, Source
from samebits.params.data import DataParams
from tests.helpers.pictures import encoded, picture

SVG = """<svg><metadata><rdf:RDF><cc:Work><dc:title>x</dc:title><dc:subject><rdf:Bag>{}</rdf:Bag></dc:subject>
<dc:creator><rdf:li>nobody</rdf:li></dc:creator></cc:Work></rdf:RDF></metadata></svg>"""
WORDS = {"food/a": ["Food", "red_fruit"], "food/b": ["food"], "toys/c": ["red fruit", "own"], "toys/d": ["own"],
         "food/e.1": ["red fruit", "food", ""]}  # fmt: skip


def drawing(words: list[str]) -> bytes:
    return SVG.format("".join(f'<rdf:li rdf:type="x"> {word}\n</rdf:li>' for word in words)).encode()


def tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as out:
        for name, data in files.items():
            info = tarfile.TarInfo(f"./usr/share/art/{name}")
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def read_keywords(folder: Path, classes: tuple[str, ...] = ("food", "red fruit"), **data: Any) -> Raw:
    files = {
        "png.tar": tar(
            folder / "png.tar",
            {f"png/{name}.png": encoded(picture(k)) for k, name in enumerate([*WORDS, "toys/z"])},
        ),
        "svg.tar": tar(folder / "svg.tar", {f"svg/{name}.svg": drawing(words) for name, words in WORDS.items()}),
    }
    (folder / "scratch").mkdir(exist_ok=True)
    roles = {"png.tar": "images", "svg.tar": "drawings"}
    card = Card.model_validate(
        {
            "name": "art",
            "title": "Art",
            "licence": "none",
            "homepage": "https://example.org",
            "format": "image_keywords",
            "classes": list(classes),
            "root": "usr/share/art",
            "files": [{"name": name, "role": role, "sha256": "0" * 64, "bytes": 1} for name, role in roles.items()],
            "places": [
                {"kind": "debian", "package": "art-png", "files": ["png.tar"]},
                {"kind": "debian", "package": "art-svg", "files": ["svg.tar"]},
            ],
        }
    )
    settings = DataParams.model_validate({"source": "data/catalog/art.yaml", "image": {"resolution": 16}, **data})
    return read(Source("art", settings, card, files, None, folder / "scratch", print))


def test_keywords_of_a_drawing() -> None:
    assert list(keywords(drawing(["Red_Fruit", "b"]))) == ["red fruit", "b"]
    assert list(keywords(b"<svg/>")) == []


def test_the_cards_keywords_are_the_labels(tmp_path: Path) -> None:
    raw = read_keywords(tmp_path)
    assert raw.classes == ("food", "red fruit")
    assert raw.target_kind == "labels"
    found = dict(zip(raw.ids, (raw.targets if raw.targets is not None else raw.hashes).tolist(), strict=True))
    assert found == {
        "usr/share/art/png/food/a.png": [1, 1],
        "usr/share/art/png/food/b.png": [1, 0],
        "usr/share/art/png/food/e.1.png": [1, 1],
        "usr/share/art/png/toys/c.png": [0, 1],
    }
    assert {(each.id.rpartition("/")[2], each.reason, each.other) for each in raw.set_aside} == {
        ("d.png", "it has none of the card's keywords", True),
        ("z.png", "it has no drawing", True),
    }


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has several keywords"):
        read_keywords(tmp_path, target_kind="number")
    with pytest.raises(UserError, match="art has no image of cat"):
        read_keywords(tmp_path, ("food", "red fruit", "cat"))
