"""Several labels or numbers of a row, in one column or in several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.data.readers.reader import Source
from samebits.data.readers.table.table import RawTable, read
from samebits.params.data import DataParams
from samebits.signature.labels import LabelsTarget
from samebits.signature.vector import VectorTarget


def table(folder: Path, header: str, rows: list[str], kind: str = "auto", **of_table: Any) -> RawTable:
    path = folder / "own.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    settings = DataParams.model_validate({"source": "own.csv", "target_kind": kind, "table": of_table})
    return read(Source("own", settings, None, {}, path, folder, print))


def values(raw: RawTable) -> list[Any]:
    assert raw.targets is not None
    return raw.targets.tolist()


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("no", "yes"), ("False", "true"), ("0.0", "1.0")])
def test_columns_of_yes_and_no_are_labels(no: str, yes: str, tmp_path: Path) -> None:
    rows = [f"{k * 7 % 5},{yes if k % 2 else no},{yes if k % 3 else no}" for k in range(12)]
    raw = table(tmp_path, "size,wet,cold", rows, target=["wet", "cold"])
    assert (raw.target_kind, raw.classes) == ("labels", ("cold", "wet"))
    assert values(raw) == [[int(k % 3 > 0), int(k % 2 > 0)] for k in range(12)]
    assert isinstance(raw.fitted_target(np.arange(12)), LabelsTarget)


def test_columns_of_numbers_are_a_vector_with_their_names(tmp_path: Path) -> None:
    rows = [f"{k},{k / 2},{-k},{k % 2}" for k in range(12)]
    raw = table(tmp_path, "low,size,high,flag", rows, target=["low", "high"])
    assert raw.target_kind == "vector"
    assert values(raw)[3] == [3.0, -3.0]
    target = raw.fitted_target(np.arange(12))
    assert isinstance(target, VectorTarget)
    assert target.parts == ["low", "high"]
    assert list(target.columns()) == ["low", "high"]
    assert target.shown(np.array([1.5, 2], dtype=np.float32), 3) == "low 1.5, high 2"
    # 0 and 1 are numbers, too, if it is said.
    assert table(tmp_path, "low,size,high,flag", rows, "vector", target=["low", "flag"]).target_kind == "vector"


def test_cells_of_several(tmp_path: Path) -> None:
    raw = table(tmp_path, "size,tags", [f"{k},{('a; b', 'b', '')[k % 3]}" for k in range(12)], "labels")
    assert raw.classes == ("a", "b")
    assert values(raw)[:3] == [[1, 1], [0, 1], [0, 0]]
    raw = table(tmp_path, "size,at", [f"{k},{k}.5; {-k}" for k in range(12)], "vector", target="at")
    assert values(raw)[2] == [2.5, -2.0]
    assert raw.fitted_target(np.arange(12)).model_dump()["name"] == "at"


def test_rows_that_cannot_be_used_are_set_aside(tmp_path: Path) -> None:
    rows = [f"{k},{k % 2},{k // 2 % 2}" for k in range(20)]
    rows[3], rows[4] = "3,,1", "4,1,2"
    raw = table(tmp_path, "size,wet,cold", rows, "labels", target=["wet", "cold"])
    assert [each.reason for each in raw.set_aside] == [
        "target wet is missing: a label is 0 or 1, or no or yes",
        "target cold says '2': a label is 0 or 1, or no or yes",
    ]
    assert len(raw) == 18
    rows = [f"{k},{k}; 1" for k in range(20)]
    rows[2], rows[5] = "2,x; 1", "5,NA"
    raw = table(tmp_path, "size,at", rows, "vector")
    assert [each.id for each in raw.set_aside] == ["row/0000003", "row/0000006"]
    assert "'NA', which data.table.missing lists" in raw.set_aside[1].reason


@pytest.mark.parametrize(
    ("kind", "target", "problem"),
    [
        ("class", ["a", "b"], "has 2 columns, a, b"),
        ("labels", ["a", "n"], "the target n is neither 0 nor 1"),
        ("vector", ["n", "word"], "the target word holds text, such as 'x'"),
        ("auto", ["a", "never"], "labels of fewer than two rows.*never"),
        ("vector", "word", "cannot be read in any row; the first: target word"),
        ("pictures", "a", "data.target_kind is 'pictures'"),
        ("auto", ["a", "gone"], r"(?s)names 'gone', which is no column.*set data\.table\.target: \[a\]"),
    ],
)
def test_what_is_refused(kind: str, target: Any, problem: str, tmp_path: Path) -> None:
    rows = [f"{k * 3 % 7},{k % 2},{k // 2 % 2},{k},{'xy'[k % 2]},{int(k == 5)}" for k in range(20)]
    with pytest.raises(UserError, match=problem):
        table(tmp_path, "size,a,b,n,word,never", rows, kind, target=target)


def test_a_column_that_gives_one_of_the_labels_away(tmp_path: Path) -> None:
    rows = [f"{k * 7919 % 101},{['no', 'yes'][k % 2]},{k % 2},{k // 3 % 2}" for k in range(60)]
    raw = table(tmp_path, "size,leak,wet,cold", rows, target=["wet", "cold"])
    splits = {"train": np.arange(40), "validation": np.arange(40, 50), "test": np.arange(50, 60)}
    with pytest.raises(UserError, match=r"leak alone tells the classes apart \(wet, cold, wet\)"):
        raw.encode(splits)


def test_a_target_named_twice_or_not_at_all() -> None:
    for target, problem in ((["a", "a"], "must be different columns"), ([], "must name a column")):
        with pytest.raises(ValueError, match=problem):
            DataParams.model_validate({"table": {"target": target}})
