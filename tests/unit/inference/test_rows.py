"""The rows of a CSV, JSON Lines or Parquet file, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from samebits.base.errors import UserError
from samebits.inference.rows import RowFile, has_rows

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


def choose(names: Sequence[str], _: Sequence[str]) -> None:
    if "review" not in names:
        raise UserError("no review", f"there is {names}")


def read(path: Path) -> RowFile:
    return RowFile(path, path.name, ["review"], choose)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "CSV"])
def test_each_row_has_its_place(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"rows.{ending}", list(TEXTS))
    assert has_rows(path)
    rows = list(read(path))
    assert [row["review"] for _, row in rows if not isinstance(row, str)] == TEXTS
    first = 2 if ending in ("csv", "tsv", "CSV") else 1
    assert [number for number, _ in rows] == [first, first + 1]


def test_other_files_are_one_sample() -> None:
    assert not any(has_rows(Path(name)) for name in ("a.txt", "csv", "mail.eml", "page.html"))


REFUSED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a missing file": ("a.csv", lambda path: None, "cannot be read"),
    "another column": ("a.csv", lambda path: write(path, ["x"], "reviews"), "no review"),
    "another key": ("a.jsonl", lambda path: write(path, ["x"], "words"), "no review"),
    "another column of Parquet": ("a.parquet", lambda path: write(path, ["x"], "words"), "no review"),
    "no Parquet": ("a.parquet", lambda path: path.write_text("hello"), "is no Parquet file that can be read"),
    "an empty file": ("a.csv", lambda path: path.write_text(""), "is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_without_the_column_is_refused(case: str, tmp_path: Path) -> None:
    name, make, message = REFUSED[case]
    make(tmp_path / name)
    with pytest.raises(UserError, match=message):
        read(tmp_path / name)


GOOD = '{"review": "x"}\n'
BROKEN: dict[str, tuple[str, str, int, str]] = {
    "no JSON": ("a.jsonl", GOOD + "{\n" + GOOD, 2, "no valid JSON"),
    "no JSON at first": ("a.jsonl", "{\n" + GOOD, 1, "no valid JSON"),
    "deep JSON": ("a.jsonl", GOOD + "[" * 100_000 + "\n" + GOOD, 2, "no valid JSON"),
    "a list": ("a.jsonl", GOOD + "[1]\n" + GOOD, 2, "not a JSON object"),
    "a missing key": ("a.jsonl", GOOD + "{}\n" + GOOD, 2, "it has no 'review'"),
    "a nested cell": ("a.jsonl", GOOD + '{"review": [1]}\n' + GOOD, 2, "'review' is a list"),
    "a field too many": ("a.csv", "n,review\n1,a\n1,b,c\n1,d\n", 3, "3 fields"),
    "a line of 9 MiB": ("a.csv", "n,review\n1,a\n1," + "x" * (9 << 20) + "\n1,b\n", 3, "longer than 8 MiB"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_row_costs_no_other(case: str, tmp_path: Path) -> None:
    name, text, line, message = BROKEN[case]
    (tmp_path / name).write_text(text)
    rows = list(read(tmp_path / name))
    ((number, reason),) = [(number, row) for number, row in rows if isinstance(row, str)]
    assert number == line
    assert message in reason
    assert len(rows) == text.count("\n") - (name == "a.csv")


def test_a_parquet_file_that_is_damaged_behind_gives_the_rows_before(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"review": [f"text {k}" for k in range(20_000)]}), path, row_group_size=5000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    rows = list(read(path))
    assert len(rows) > 4000
    number, reason = rows[-1]
    assert isinstance(reason, str)
    assert "from here on" in reason
    assert number == len(rows)
