"""Two versions of a data set, compared: by content, class names and splits; and the page of it."""

from __future__ import annotations

import hashlib
import io
import re
from base64 import b64decode
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer, decoders, models

from samebits.sharing.data_diff.command import lines
from samebits.sharing.data_diff.compare import class_counts, compare, split_counts, statistics
from samebits.sharing.data_diff.page import SHOWN, render, thumbnail
from samebits.sharing.data_diff.version import Version

Row = tuple[str, str, float]
"""(content, split, target)"""


class Shards:
    """A DVC file system with the shards of one version, a shard a split."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def read_bytes(self, path: str) -> bytes:
        if path not in self._files:
            raise FileNotFoundError(path)
        return self._files[path]


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def tokenizer() -> str:
    made = Tokenizer(models.WordLevel({"pad": 0, "the": 1, "\u0120cat": 2}, unk_token="pad"))
    made.decoder = decoders.ByteLevel()
    return str(made.to_str())


def version(
    name: str, rows: list[Row], classes: list[str] | None = None, kind: str = "image", **inputs: Any
) -> Version:
    frame = pd.DataFrame(rows, columns=["content", "split", "target"]).astype({"target": "float64"})
    frame["sha256"] = [hashlib.sha256(content.encode()).hexdigest() for content in frame["content"]]
    frame["id"] = [f"{name}/{k:04d}" for k in range(len(frame))]
    frame["source"] = "file"
    frame["shard"] = 0
    frame["row"] = frame.groupby("split").cumcount()
    files = {}
    for split, part in frame.groupby("split"):
        stack = [np.full((1, 4, 4), len(content) % 250, np.uint8) for content in part["content"]]
        arrays = {"image": np.stack(stack), "table": np.array([[1.5, 2.0]] * len(part), np.float32),
                  "tokens": np.array([[1, 2, 0]] * len(part), np.uint16)}  # fmt: skip
        files[f"data/prepared/shards/{split}.npy"] = npy(arrays[kind])
    files["data/prepared/tokenizer.json"] = tokenizer().encode()
    target = {"kind": "class", "classes": classes} if classes else {"kind": "number", "mean": 0.0, "std": 1.0}
    described = {"image": {"shape": [1, 4, 4], "mean": [0.5], "std": [0.1]}, "tokens": {"length": 3, "pad": 0}}.get(
        kind, {}
    )
    info = {
        "title": f"Data <{name}>",
        "digest": hashlib.sha256(repr(rows).encode()).hexdigest(),
        "signature": {"inputs": {"kind": kind, **described, **inputs}, "target": target},
        "shards": {split: [{"inputs": f"shards/{split}.npy"}] for split in frame["split"].unique()},
    }
    return Version(name, info, frame.drop(columns="content"), Shards(files))


OLD: list[Row] = [("a", "train", 0), ("b", "train", 1), ("cc", "train", 1), ("d", "test", 0), ("e", "test", 1)]


def test_each_kind_of_change_is_told_from_the_others() -> None:
    new: list[Row] = [("new", "train", 0), ("a", "train", 0), ("b", "train", 0), ("d", "train", 0), ("e", "test", 1)]
    found = compare(version("v1", OLD, ["cat", "dog"]), version("v2", new, ["cat", "dog"]))
    assert [len(each) for each in (found.added, found.removed, found.relabelled, found.moved)] == [1, 1, 1, 1]
    assert found.unchanged == 2
    assert found.relabelled.loc[0, ["old_label", "label"]].tolist() == ["dog", "cat"]
    assert found.moved.loc[0, ["old_split", "split"]].tolist() == ["test", "train"]
    assert found.added["id"].tolist() == ["v2/0000"]
    assert found.removed["id"].tolist() == ["v1/0002"]
    assert split_counts(found) == [("train", 3, 4), ("test", 2, 1)]
    assert class_counts(found) == [("cat", 2, 4), ("dog", 3, 1)]
    assert lines(found)[0] == (
        "v1 -> v2: 1 added, 1 removed, 1 relabelled, 1 moved to another split, 2 unchanged"
    )  # fmt: skip
    assert any("class dog" in line and "-2" in line for line in lines(found))


def test_a_class_put_in_before_the_others_relabels_nothing() -> None:
    shifted = [(content, split, target + 1) for content, split, target in OLD]
    found = compare(
        version("v1", OLD, ["cat", "dog"]), version("v2", [*shifted, ("ant", "train", 0)], ["ant", "cat", "dog"])
    )
    assert len(found.added) == 1
    assert len(found.relabelled) == 0
    assert class_counts(found) == [("cat", 2, 2), ("dog", 3, 3), ("ant", 0, 1)]


def test_the_same_is_the_same() -> None:
    found = compare(version("v1", OLD, ["cat", "dog"]), version("v2", OLD[::-1], ["cat", "dog"]))
    assert found.empty
    assert "the same samples, targets and splits" in lines(found)[1]


def test_copies_are_counted() -> None:
    old: list[Row] = [("a", "train", 0), ("a", "train", 1), ("a", "test", 0)]
    new: list[Row] = [("a", "train", 1), ("a", "train", 1)]
    found = compare(version("v1", old, ["x", "y"]), version("v2", new, ["x", "y"]))
    assert (len(found.added), len(found.removed), len(found.relabelled), len(found.moved)) == (0, 1, 1, 0)
    assert found.removed["split"].tolist() == ["test"]


_rows = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["train", "test"]), st.sampled_from([0.0, 1.0])))


@settings(max_examples=25, deadline=None)
@given(_rows.filter(len), _rows.filter(len))
def test_nothing_is_lost_and_the_way_back_is_the_mirror(old: list[Row], new: list[Row]) -> None:
    there = compare(version("v1", old, ["x", "y"]), version("v2", new, ["x", "y"]))
    back = compare(version("v2", new, ["x", "y"]), version("v1", old, ["x", "y"]))
    both = there.unchanged + len(there.relabelled) + len(there.moved)
    assert both + len(there.added) == len(new)
    assert both + len(there.removed) == len(old)
    assert (len(there.added), len(there.removed)) == (len(back.removed), len(back.added))
    assert len(there.relabelled) == len(back.relabelled)
    assert set(there.added["sha256"]).isdisjoint(there.removed["sha256"])


def test_the_page_has_pictures_and_no_address_of_the_network() -> None:
    new: list[Row] = [*OLD[1:], ("<b>", "train", 0), *((f"n{k}" * k, "train", 1) for k in range(100))]
    page = render(compare(version("v1", OLD, ["cat", "dog"]), version("v2", new, ["cat", "dog"])))
    assert "v1 to v2: 101 added, 1 removed, 0 relabelled, 0 moved to another split, 4 unchanged" in page
    assert "Added: 101" in page
    assert re.search(r'<figcaption>cat<br>\n<span class="soft" title="file">v2/0004 · train</span>', page)
    assert "Removed: 1" in page
    assert f"{SHOWN} of them" in page
    assert len(re.findall(r'<img src="data:image/png;base64,', page)) == SHOWN + 1
    assert "http" not in page
    assert "Data &lt;v2&gt;" in page


def test_a_thumbnail_is_the_image() -> None:
    assert thumbnail(np.zeros((5, 8, 6), np.uint16)).startswith("data:image/png")
    for channels in (1, 3):
        image = np.arange(channels * 5 * 6, dtype=np.uint8).reshape(channels, 5, 6)
        shown = np.asarray(Image.open(io.BytesIO(b64decode(thumbnail(image).partition(",")[2]))))
        assert np.array_equal(shown.reshape(5, 6, channels).transpose(2, 0, 1), image)
    assert Image.open(io.BytesIO(b64decode(thumbnail(np.zeros((3, 400, 200), np.uint8)).partition(",")[2]))).size == (
        48,
        96,
    )


def test_tables_are_shown_as_text_and_numbers_as_targets() -> None:
    columns = [
        {"kind": "number", "name": "height", "mean": 1.0, "std": 1.0},
        {"kind": "category", "name": "colour", "values": ["red", "blue"]},
    ]
    old = version("v1", [("a", "train", 1.5)], kind="table", columns=columns)
    new = version("v2", [("b", "train", 2.5), ("a", "train", 3.5)], kind="table", columns=columns)
    found = compare(old, new)
    assert found.relabelled.loc[0, ["old_label", "label"]].tolist() == ["1.5", "3.5"]
    assert class_counts(found) == []
    page = render(found)
    assert "height 1.5, colour blue" in page
    assert "<img" not in page
    assert ("target: mean", "1.5", "3") in statistics(found)


def test_texts_are_shown_as_words_and_need_no_target() -> None:
    nothing = float("nan")
    old = version("v1", [("a", "train", nothing)], kind="tokens")
    new = version("v2", [("a", "train", nothing), ("b", "train", nothing)], kind="tokens")
    found = compare(old, new)
    assert (len(found.added), len(found.relabelled)) == (1, 0)
    assert "the cat" in render(found)


@pytest.mark.parametrize("kind", ["image"])
def test_the_first_version_of_the_format_can_be_compared(kind: str) -> None:
    new = version("v2", OLD, ["cat", "dog"], kind=kind)
    old = version("v1", OLD[:4], ["cat", "dog"], kind=kind)
    old.info.pop("signature")
    old.info |= {"shape": [1, 4, 4], "classes": ["cat", "dog"], "statistics": {"mean": [0.5], "std": [0.1]}}
    old.info["shards"] = {name: [{"images": f"shards/{name}.npy"}] for name in old.info["shards"]}
    found = compare(old, new)
    assert (len(found.added), len(found.removed), len(found.relabelled)) == (1, 0, 0)
    assert ("shape", "1, 4, 4", "1, 4, 4") in statistics(found)
    assert "<img" in render(compare(new, old))
