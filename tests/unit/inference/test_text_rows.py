"""The texts of a CSV, JSON Lines or Parquet file, row by row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from samebits.base.errors import UserError
from samebits.inference.text_rows import has_rows, read_rows

TEXTS = ["the dog", "a cat, and\na dog"]


def write(path: Path, texts: list[object], column: str = "review") -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"stars": list(range(len(texts))), column: texts}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"stars": 1, column: text}) + "\n" for text in texts))
    else:
        mark = "\t" if path.suffix == ".tsv" else ";"
        lines = [f'1{mark}"{text}"' for text in texts]
        path.write_text("\n".join([f"stars{mark}{column}", *lines]))
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "CSV"])
def test_each_row_is_a_text(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"rows.{ending}", list(TEXTS))
    assert has_rows(path)
    rows = list(read_rows(path, "review"))
    assert [text for _, text in rows] == TEXTS
    assert len({name for name, _ in rows}) == 2
    assert all(name.startswith(str(path)) for name, _ in rows)


def test_other_files_are_one_text() -> None:
    assert not any(has_rows(Path(name)) for name in ("a.txt", "csv", "mail.eml", "page.html"))


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a missing file": ("a.csv", lambda path: None, "does not exist|cannot be read"),
    "another column": ("a.csv", lambda path: write(path, ["x"], "reviews"), "has no 'review'.*call 'reviews' 'review'"),
    "another key": ("a.jsonl", lambda path: write(path, ["x"], "words"), "line 1 has no 'review'"),
    "another column of Parquet": ("a.parquet", lambda path: write(path, ["x"], "words"), "has no 'review'"),
    "a number": ("a.jsonl", lambda path: write(path, ["x", 3]), "line 2: 'review' is no text"),
    "a missing text": ("a.parquet", lambda path: write(path, ["x", None]), "row 2: 'review' is empty"),
    "no JSON": ("a.jsonl", lambda path: path.write_text("{"), "line 1: no valid JSON"),
    "a list": ("a.jsonl", lambda path: path.write_text("[1]"), "line 1 is not a JSON object"),
    "a field too many": ("a.csv", lambda path: path.write_text("n,review\n1,a\n1,b,c\n"), "line 3: 3 fields"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named(case: str, tmp_path: Path) -> None:
    name, make, message = BROKEN[case]
    make(tmp_path / name)
    with pytest.raises(UserError, match=f"(?s){message}") as caught:
        list(read_rows(tmp_path / name, "review"))
    assert str(tmp_path / name) in str(caught.value)
