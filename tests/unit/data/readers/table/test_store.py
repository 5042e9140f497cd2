"""A table that does not fit in memory is prepared to the same bytes as one that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from samebits.data.preparation.shards import write_prepared
from samebits.data.readers.reader import Raw
from samebits.data.readers.sample_hashes import repeated
from samebits.data.readers.table import columns, store, table, texts
from tests.helpers.tables import COLUMNS, csv_text, prepare, read, rows, settings, write_parquet

ABOUT = {"name": "x", "title": "x", "licence": "none", "files": []}


def written(path: Path, into: Path, **asked: Any) -> tuple[Raw, dict[str, bytes], tuple[str, ...]]:
    """What was read, each file of the prepared folder, and what was said."""
    raw, encoded = prepare(path, **asked)
    write_prepared(into, ABOUT, encoded, shard_mib=0.002, set_aside=raw.set_aside)
    files = {str(file.relative_to(into)): file.read_bytes() for file in into.rglob("*") if file.is_file()}
    return raw, files, encoded.remarks


def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_IN_MEMORY", 40)
    monkeypatch.setattr(store, "PART", 37)
    for module in (columns, texts):
        monkeypatch.setattr(module, "MOST_COUNTED", 20)
    monkeypatch.setattr(table, "_BATCH", 41)


def gaps() -> list[list[str]]:
    body = rows(300)
    for row in body[::11]:
        row[0], row[1], row[2] = "", "NA", ""
    body[290][2] = "no day"
    body[291][4] = "much"
    body[292].append("")
    body[295] = ["1", "2"]
    return body


@pytest.mark.parametrize(
    "asked",
    [
        {"target": "price"},
        {"target": "town", "split": "stratified"},
        {"target": "price", "split": "time", "time_column": "sold"},
        {"target": "price", "split": "group", "group_column": "sold", "categories": ["size"]},
    ],
)
def test_a_csv_in_parts_gives_the_same_bytes(asked: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "x.csv"
    path.write_text(csv_text(gaps()), encoding="utf-8")
    asked = {"max_rejected_fraction": 0.5, **asked}
    raw, files, remarks = written(path, tmp_path / "whole", **asked)
    in_parts(monkeypatch)
    again, parted, said = written(path, tmp_path / "parts", **asked)
    assert parted == files
    assert said == remarks
    assert again.set_aside == raw.set_aside
    assert "row/0000296" in {each.id for each in raw.set_aside}
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["x.csv"]  # nothing is left


def test_a_parquet_file_in_parts_gives_the_same_bytes(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "x.csv").write_text(csv_text(rows(300)), encoding="utf-8")
    found = pyarrow.csv.read_csv(tmp_path / "x.csv")
    found = found.set_column(1, "town", found["town"].dictionary_encode())
    size = pa.array([None if k % 9 == 0 else v for k, v in enumerate(found["size"].to_pylist())])
    path = write_parquet(tmp_path / "x.parquet", {**dict(zip(COLUMNS, found.columns, strict=True)), "size": size})
    _, files, remarks = written(path, tmp_path / "whole", target="price")
    in_parts(monkeypatch)
    assert written(path, tmp_path / "parts", target="price")[1:] == (files, remarks)


def test_names_are_made_when_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x{0}.csv"
    path.write_text(csv_text(rows()), encoding="utf-8")
    raw = read(path, settings())
    assert raw.ids[2] == "row/0000003"
    assert raw.origins[1:3] == ["x{0}.csv#2", "x{0}.csv#3"]
    part = raw.subset(np.array([4, 7]), lambda at: at)
    assert list(part.ids) == ["row/0000005", "row/0000008"]


def test_words_that_come_again() -> None:
    words = np.array([5, 1, 9, 5, 2, 9, 9, 2**64 - 1], dtype=np.uint64)
    assert repeated(words).tolist() == [0, 2, 3, 5, 6]
    assert repeated(words[:3]).tolist() == []
    assert repeated(words[:0]).tolist() == []
