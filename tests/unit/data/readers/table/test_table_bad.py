"""Broken tables: each is refused with a message that names the place and the fix."""

from __future__ import annotations

import contextlib
import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from samebits.base.errors import UserError
from samebits.data.readers import decoding
from tests.helpers.refusals import raw_folder, refused
from tests.helpers.tables import COLUMNS, csv_text, prepare, rows, settings, write_parquet

Broken = tuple[str | bytes, dict[str, Any], str, str]


def body(change: Callable[[list[list[str]]], None], n: int = 200) -> str:
    """The houses with something changed."""
    table = rows(n)
    change(table)
    return csv_text(table)


def put(column: int, cell: Callable[[int], str], every: int = 1) -> Callable[[list[list[str]]], None]:
    """Changes each `every`-th cell of a column."""

    def change(table: list[list[str]]) -> None:
        for number in range(0, len(table), every):
            table[number][column] = cell(number)

    return change


GOOD = csv_text(rows())
LEAKING = csv_text(
    [[*row[:-1], "1", str(float(row[-1]) - 1), row[-1]] for row in rows()], (*COLUMNS[:-1], "one", "rest", "price")
)

CSV: dict[str, Broken] = {
    "an empty file": ("", {}, "is empty", "line of names"),
    "blank lines": ("\n\n \n", {}, "is empty", "line of names"),
    "a header alone": (csv_text([]), {}, "no row below its names", "data.source"),
    "a workbook": (b"PK\x03\x04" + bytes(50), {}, "a ZIP archive or an Excel workbook", "save the sheet as CSV"),
    "compressed": (gzip.compress(GOOD.encode()), {}, "compressed by gzip", "gunzip"),
    "binary": (b"a,b\n1,\x00\x01", {}, "of 1 rows none can be read, line 2: it holds NUL bytes", "data.csv"),
    "JSON": ('[{"a": 1}]', {}, "begins like JSON", "convert"),
    "a web page": ("<!DOCTYPE html><html></html>", {}, "it is a web page", "download"),
    "one column": ("price\n1\n2\n", {}, "no separator is found", "at least two columns"),
    "a wrong separator": (GOOD, {"csv": {"separator": ";"}}, "one column with data.csv.separator ';'", "','"),
    "a name twice": (
        csv_text(rows(), ("size", "town", "sold", "size", "price")),
        {},
        "two columns are called size",
        "",
    ),
    "a column without a name": (csv_text(rows(), ("", *COLUMNS[1:])), {}, "column 1 of 5 has no name", "index=False"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), {}, "UTF-16 without a byte order mark", "data.encoding"),
    "not in the given encoding": (GOOD.encode("latin-1"), {"encoding": "utf-8"}, "line .*: byte .* is no utf-8", ""),
    "two encodings in a line": (
        GOOD.encode() + "80,Größe Köln ".encode() + b"\xe9,2020-01-01,no,3\n",
        {"max_rejected_fraction": 0.0},
        "line 202: mixes encodings: 3 characters are UTF-8, 1 bytes are not",
        "max_rejected_fraction",
    ),
    "an unknown encoding": (GOOD, {"encoding": "utf8000"}, "data.encoding 'utf8000' is no encoding", "cp1252"),
    "bytes for an encoding": (GOOD, {"encoding": "rot13"}, "'rot13' is no encoding", "cp1252"),
    "an encoding that refuses all": (GOOD, {"encoding": "undefined"}, "'undefined' is no encoding", "cp1252"),
    "NUL in an encoding": (GOOD, {"encoding": "utf\0"}, "is no encoding", "cp1252"),
    "an open quote": (
        GOOD + '"1,Ulm,2020-01-01,no,3\n1,Ulm,2020-01-01,no,4\n',
        {"max_rejected_fraction": 0.0},
        "1 of 202 samples .*\n.*row/0000201: line 202: a quote is opened here and not closed",
        "max_rejected_fraction",
    ),
    "many short lines": (
        GOOD + "1,Ulm\n" * 50,
        {},
        "50 of 250 samples .* cannot be used",
        "data.max_rejected_fraction",
    ),
    "an unknown target": (GOOD, {"target": "prize"}, "names 'prize', which is no column", "did you mean 'price'"),
    "an unknown column to drop": (GOOD, {"drop": ["twon"]}, "data.table.drop names 'twon'", "'town'"),
    "columns of a recipe's table": (
        GOOD,
        {"target": "bikers", "drop": ["casual", "sold", "registered"], "categories": ["town"]},
        "target names 'bikers'; data.table.drop names 'casual', 'registered', which are no columns of x.csv",
        r"set data.table.target: null \(the last column is the target then\), data.table.drop: \[sold\], or name",
    ),
    "the target dropped": (GOOD, {"target": "price", "drop": ["price"]}, "is the target and in data.table.drop", ""),
    "the target as group": (GOOD, {"group_column": "price"}, "is the target and data.group_column", "another"),
    "nothing left": (GOOD, {"drop": list(COLUMNS[:-1])}, "no column left", "data.table.drop"),
    "a date to predict": (GOOD, {"target": "sold"}, "the target sold is a date", "number of it"),
    "a constant target": (body(put(4, lambda _: "7")), {}, "the target price is 7 in every row", "another"),
    "an empty target": (body(put(4, lambda _: "NA")), {}, "missing in every row", "another"),
    "NaN targets": (
        body(put(4, lambda _: "NaN", 4)),
        {},
        "50 of 200 samples.*\n.*target price is missing",
        "max_rejected_fraction",
    ),
    "infinite targets": (body(put(4, lambda _: "inf", 4)), {}, "'inf' is no finite number", "max_rejected_fraction"),
    "huge targets": (body(put(4, lambda _: "1e300", 4)), {}, "beyond float32", "max_rejected_fraction"),
    "text for a number": (GOOD, {"target": "town", "target_kind": "number"}, "target town holds text", "class"),
    "one class": (body(put(1, lambda _: "Ulm")), {"target": "town"}, "one class, 'Ulm'", "another"),
    "a class called None": (
        body(put(1, lambda k: "None" if k % 3 else ("Ulm", "Bonn")[k % 2])),
        {"target": "town", "max_rejected_fraction": 1.0},
        "the target town is 'None' in 133 of 200 rows; data.table.missing lists it",
        r'set data.table.missing: \["", "NA", .*"null", "\?"\]',
    ),
    "a few classes called NA": (
        body(put(1, lambda k: "NA" if k % 20 == 0 else ("Ulm", "Bonn")[k % 2])),
        {"target": "town"},
        "target town is missing: its cell says 'NA', which data.table.missing lists; if that is a class, take it out",
        "max_rejected_fraction",
    ),
    "one class of more than one row": (
        body(put(1, lambda k: "Ulm" if k else "Rom")),
        {"target": "town"},
        "one class of more than one row, 'Ulm'",
        "another class",
    ),
    "a mark among numbers": (
        body(put(0, lambda k: "-", 15)),
        {},
        "column size: '-' is no finite number; if it marks a missing value, add it to data.table.missing",
        "max_rejected_fraction",
    ),
    "marks that make text of numbers": (
        body(put(0, lambda k: "-", 5)),
        {},
        "column size looks like numbers, but for '-'",
        "data.table.missing",
    ),
    "marks that make classes of numbers": (
        body(put(4, lambda k: "-", 5)),
        {},
        "these are no classes; all but '-' are numbers",
        "missing",
    ),
    "values for names": (
        csv_text(rows()).partition("\n")[2],
        {"drop": []},
        "its first line holds values like those below it",
        "data.csv.columns",
    ),
    "a column that float32 cannot spread": (
        body(put(0, lambda k: f"{k % 7}e-40")),
        {},
        "column size: its values spread by 2.06015e-40",
        "power of ten",
    ),
    "a target that float32 cannot spread": (
        body(put(4, lambda k: f"{k % 7}{k % 5}e35")),
        {},
        r"the target price spreads by 1.98667e\+36",
        "power of ten",
    ),
    "a class of one row": (
        body(put(1, lambda k: "Rom" if k == 150 else "Ulm" if k % 2 else "Bonn")),
        {"target": "town", "max_rejected_fraction": 0.0},
        "row/0000151: target town: the only row of the class 'Rom'",
        "max_rejected_fraction",
    ),
    "free text to predict": (body(put(1, lambda k: f"text {k}")), {"target": "town"}, "200 different texts", "another"),
    "free text": (body(put(1, lambda k: f"a house, no. {k}".replace(",", ""))), {}, "town looks like an id", "town"),
    "dates of unknown order": (
        body(put(2, lambda k: f"{k % 12 + 1}/{k % 11 + 1}/{1990 + k % 30}")),
        {},
        "column sold looks like",
        "data.table.dates",
    ),
    "no dates": (GOOD, {"dates": ["town"]}, "'Köln' in row|'Ulm' in row|'Bonn' in row", "date_format"),
    "a wrong date format": (GOOD, {"dates": ["sold"], "date_format": "%d/%m/%Y"}, "is no date", "date_format"),
    "words among numbers": (
        body(put(0, lambda k: "big", 15)),
        {},
        "column size: 'big' is no finite number",
        "max_rejected_fraction",
    ),
    "commas": (body(put(0, lambda k: f'"1,{100 + k}"')), {}, "'1,100' may be 1100 or 1.100", "data.table.decimal"),
    "two parts of the target": (LEAKING, {}, "one \\+ rest is the target in 100.0%|rest: correlation", "rest"),
    "a copy of the target": (
        csv_text(
            [[*row[:-1], str(2 * float(row[-1]) + 3), row[-1]] for row in rows()], (*COLUMNS[:-1], "twice", "price")
        ),
        {},
        "twice: correlation 1.0000",
        r"drop: \[twice\]",
    ),
    "a copy of the class": (
        csv_text([[*row, row[1].lower()] for row in rows()], (*COLUMNS, "city")),
        {"target": "town"},
        "city alone tells the classes apart",
        r"drop: \[city\]",
    ),
    "no groups": (GOOD, {"split": "group"}, "no group is known", "data.group_column"),
    "no times": (GOOD, {"split": "time"}, "no time is known", "data.time_column"),
    "classes for a number": (GOOD, {"split": "stratified"}, "there are no classes", "hash"),
    "words that are no split": (GOOD, {"split_column": "town"}, "column town .* holds", "train, validation or test"),
    "all columns constant": (
        csv_text([["1", "Ulm", row[4]] for row in rows()], ("a", "b", "price")),
        {},
        "nothing to learn from",
        "add columns",
    ),
}


@pytest.mark.parametrize("case", list(CSV))
def test_a_broken_csv(case: str, tmp_path: Path) -> None:
    content, table, problem, fix = CSV[case]
    path = raw_folder(tmp_path) / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = refused(tmp_path, settings(**table))
    assert re.search(problem, str(error)), str(error)
    assert re.search(fix, error.fix), error.fix


N = 60
NUMBERS = [float(k % 17) + 0.01 * k for k in range(N)]

PARQUET: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a list": ({"a": [[1, 2]] * N, "y": NUMBERS}, {}, "column a is of type list"),
    "a struct": ({"a": [{"b": 1}] * N, "y": NUMBERS}, {}, "column a is of type struct"),
    "binary data": ({"a": pa.array([b"x"] * N), "y": NUMBERS}, {}, "column a is of type binary"),
    "no rows": ({"a": pa.array([], pa.float64()), "y": pa.array([], pa.float64())}, {}, "has no rows"),
    "one column": ({"y": NUMBERS}, {}, "has one column, 'y'"),
    "an unknown target": ({"a": NUMBERS, "y": NUMBERS}, {"target": "z"}, "names 'z', which is no column"),
    "a column of nulls": ({"a": pa.nulls(N), "y": NUMBERS}, {}, "nothing to learn from"),
    "a target of nulls": ({"a": NUMBERS, "y": pa.nulls(N)}, {}, "missing in every row"),
    "infinite inputs": ({"a": [float("inf")] * 5 + NUMBERS[5:], "y": NUMBERS[::-1]}, {}, "'inf' is no finite number"),
    "NaN targets": ({"a": NUMBERS, "y": [float("nan")] * 5 + NUMBERS[5:]}, {}, "target y is missing"),
    "a date to predict": ({"a": NUMBERS, "y": pa.array(range(N), pa.date32())}, {}, "the target y is a date"),
    "ids": ({"a": [f"id{k}" for k in range(N)], "b": NUMBERS, "y": NUMBERS[::-1]}, {}, "a looks like an id"),
    "a sum": (
        {"a": NUMBERS, "b": NUMBERS[::-1], "y": [x + z for x, z in zip(NUMBERS, NUMBERS[::-1], strict=True)]},
        {},
        "a \\+ b is the target",
    ),
    "NaN alone to predict": ({"a": NUMBERS, "y": [float("nan")] * N}, {}, "missing in every row"),
    "a constant target": ({"a": NUMBERS, "y": [7.0] * N}, {}, "the target y is 7 in every row"),
    "one class": ({"a": NUMBERS, "y": ["cat"] * N}, {"target_kind": "class"}, "one class, 'cat'"),
    "a class of one row": (
        {"a": NUMBERS, "y": ["cat" if k % 2 else "dog" for k in range(N - 1)] + ["eel"]},
        {},
        "1 of 60 samples .*\n.*row/0000060: target y: the only row of the class 'eel'",
    ),
    "columns of another table": (
        {"a": NUMBERS, "y": NUMBERS},
        {"target": "bikers", "drop": ["casual"]},
        "target names 'bikers'; data.table.drop names 'casual', which are no columns",
    ),
    "a difference": (
        {"a": NUMBERS, "b": [k * k for k in range(N)], "y": [x - k * k for k, x in enumerate(NUMBERS)]},
        {"allow_leaks": False},
        "a - b is the target|correlation",
    ),
}


@pytest.mark.parametrize("case", list(PARQUET))
def test_a_broken_parquet(case: str, tmp_path: Path) -> None:
    columns, table, problem = PARQUET[case]
    write_parquet(raw_folder(tmp_path) / "x.parquet", columns)
    error = refused(tmp_path, settings(**table).model_copy(update={"source": "data/raw/x.parquet"}))
    assert re.search(problem, str(error)), str(error)


def test_a_truncated_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"a": NUMBERS, "y": NUMBERS})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="no Parquet file that can be read"):
        prepare(path)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_parquet_ends_in_a_message(seed: int, tmp_path: Path) -> None:
    """Whatever bytes are wrong: columns, a message, but no other error."""
    path = write_parquet(
        tmp_path / "x.parquet", {"a": NUMBERS, "b": [f"x{k % 3}" for k in range(N)], "y": NUMBERS[::-1]}
    )
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for at in random.integers(4, len(data) - 4, 1 + seed % 5):
        data[at] = random.integers(256)
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        prepare(path, allow_leaks=True)


def test_odd_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({}), tmp_path / "none.parquet")
    with pytest.raises(UserError, match="has no columns"):
        prepare(tmp_path / "none.parquet")
    text = pa.array([b"\xff\xfe"] * N, pa.binary()).view(pa.string())
    with pytest.raises(UserError, match=r"no Parquet file that can be read: .*UTF8"):
        prepare(write_parquet(tmp_path / "x.parquet", {"a": text, "y": NUMBERS}))
    metadata = {b"pandas": b'{"index_columns": 7'}
    pq.write_table(
        pa.table({"a": NUMBERS, "y": NUMBERS[::-1]}).replace_schema_metadata(metadata), tmp_path / "p.parquet"
    )
    assert len(prepare(tmp_path / "p.parquet", allow_leaks=True)[0]) == N


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        prepare(tmp_path)


def test_a_line_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LONGEST", 1 << 12)
    path = tmp_path / "x.csv"
    path.write_text(GOOD + "x" * 20_000)
    with pytest.raises(UserError, match="line 202: the line is longer than"):
        prepare(path, max_rejected_fraction=0.0)
