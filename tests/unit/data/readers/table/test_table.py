"""Tables that are fine: kinds of columns, what is fitted on training alone, splits, CSV and Parquet alike."""

from __future__ import annotations

import codecs
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from samebits.base.errors import UserError
from samebits.data.preparation.shards import dataset_digest, write_prepared
from samebits.data.readers.reader import Encoded, Raw
from samebits.signature.classes import ClassTarget
from samebits.signature.number import NumberTarget
from samebits.signature.table import CategoryColumn, NumberColumn
from tests.helpers.tables import COLUMNS, csv_text, prepare, rows, write_parquet


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "x.csv"
    path.write_bytes(text.encode(encoding))
    return path


def stored(encoded: Encoded, split: str = "train") -> np.ndarray[Any, Any]:
    part = encoded.splits[split]
    return part.read(np.arange(len(part)))


def test_houses(tmp_path: Path) -> None:
    raw, encoded = prepare(write(tmp_path, csv_text(rows())))
    inputs, target = encoded.signature.table, encoded.signature.target
    assert [column.name for column in inputs.columns] == [
        *("size", "town", "sold.year", "sold.month", "sold.day", "sold.weekday", "sold.day_of_year", "garden")
    ]
    town = inputs.columns[1]
    assert isinstance(town, CategoryColumn)
    assert town.values == ["Bonn", "Köln", "Ulm"]
    assert isinstance(target, NumberTarget)
    train = encoded.splits["train"]
    assert train.targets is not None
    size = inputs.columns[0]
    assert isinstance(size, NumberColumn)
    values = stored(encoded)[:, 0].astype(np.float64)
    assert (size.mean, size.std) == pytest.approx((values.mean(), values.std()))
    assert (size.edges[0], size.edges[-1]) == (values.min(), values.max())
    assert (target.mean, target.std) == pytest.approx((train.targets.mean(), train.targets.std()), rel=1e-5)
    first = rows()[int(train.ids[0].rpartition("/")[2]) - 1]
    row = stored(encoded)[0]
    assert row[0] == np.float32(first[0])
    assert town.values[int(row[1]) - 1] == first[1]
    assert tuple(row[2:5]) == tuple(map(float, first[2].split("-")))
    assert "the last column" in encoded.remarks[0]
    assert len(raw) == 200


def test_only_training_rows_are_fitted(tmp_path: Path) -> None:
    """Whatever the rows held out say, statistics and categories stay."""
    table = rows()
    _, before = prepare(write(tmp_path, csv_text(table)))
    held = [int(each.rpartition("/")[2]) - 1 for name in ("validation", "test") for each in before.splits[name].ids]
    for row in held:
        table[row][4] = "99999"
    _, after = prepare(write(tmp_path, csv_text(table)))
    assert after.signature == before.signature


def test_a_category_that_training_has_not_seen(tmp_path: Path) -> None:
    table = [[*row, "test" if k >= 150 else "validation" if k >= 120 else "train"] for k, row in enumerate(rows())]
    for row in table[180:]:
        row[1] = "Rom"
    _, encoded = prepare(write(tmp_path, csv_text(table, (*COLUMNS, "part"))), target="price", split_column="part")
    assert encoded.audit["unseen_categories"] == {"town": {"test": 20}}
    assert (stored(encoded, "test")[30:, 1] == 0).all()
    assert {name: len(split) for name, split in encoded.splits.items()} == {"train": 120, "validation": 30, "test": 50}


def test_missing_values(tmp_path: Path) -> None:
    table = rows()
    for k in range(0, 200, 7):
        table[k][0], table[k][1], table[k][2] = "", "NA", "?"
    _, encoded = prepare(write(tmp_path, csv_text(table)))
    size = encoded.signature.table.columns[0]
    assert isinstance(size, NumberColumn)
    assert size.missing
    values = stored(encoded)
    gaps = np.isnan(values[:, 0])
    assert gaps.any()
    assert (values[gaps, 1] == 0).all()
    assert np.isnan(values[gaps, 2]).all()
    assert size.fill == pytest.approx(np.nanmedian(values[:, 0].astype(np.float64)))
    assert encoded.audit["missing"] == {"size": 29, "town": 29, "sold": 29}


def test_bad_cells_are_set_aside(tmp_path: Path) -> None:
    table = rows()
    table[3][0], table[9][4] = "big", "NaN"
    text = csv_text(table) + "1,2\n"
    raw, _ = prepare(write(tmp_path, text), max_rejected_fraction=0.05)
    assert [(each.id, each.reason) for each in raw.set_aside] == [
        ("row/0000201", "line 202: 2 fields, the header has 5"),
        ("row/0000004", "column size: 'big' is no finite number"),
        ("row/0000010", "target price is missing: its cell says 'NaN', which data.table.missing lists"),
    ]
    assert len(raw) == 198


@pytest.mark.parametrize(
    ("separator", "encoding", "table"),
    [
        (";", "utf-8", {}),
        ("\t", "utf-8-sig", {}),
        ("|", "utf-16", {}),
        (",", "cp1252", {"encoding": "cp1252"}),
        (",", "cp1252", {}),
        (";", "utf-32", {}),
        ("§", "utf-8", {"csv": {"separator": "§"}}),
        ("#", "utf-8", {"csv": {"separator": "#"}}),
    ],
)
def test_separators_and_encodings(separator: str, encoding: str, table: dict[str, Any], tmp_path: Path) -> None:
    expected = prepare(write(tmp_path, csv_text(rows())))[1]
    found = prepare(write(tmp_path, csv_text(rows(), separator=separator), encoding), **table)[1]
    assert dataset_digest(found.signature, found.splits) == dataset_digest(expected.signature, expected.splits)


def test_a_decimal_comma(tmp_path: Path) -> None:
    table = [[row[0].replace(".", ","), *row[1:4], row[4].replace(".", ",")] for row in rows()]
    _, encoded = prepare(write(tmp_path, csv_text(table, separator=";")))
    assert encoded.signature.table.decimal == ","
    assert stored(encoded)[:, 0].max() < 201
    assert "decimal comma" in encoded.remarks


def test_grouped_thousands(tmp_path: Path) -> None:
    table = [[f'"{1000 + k * 37:,}"', *row[1:]] for k, row in enumerate(rows())]
    _, encoded = prepare(write(tmp_path, csv_text(table)), decimal=".")
    assert stored(encoded)[:, 0].min() >= 1000


@pytest.mark.parametrize(
    ("kind", "cells", "classes"),
    [
        ("auto", ("yes", "no"), ["no", "yes"]),
        ("auto", ("0", "1"), ["0", "1"]),
        ("class", ("10", "9"), ["9", "10"]),
        ("auto", ("001", "002"), ["001", "002"]),
    ],
)
def test_classes(kind: str, cells: tuple[str, str], classes: list[str], tmp_path: Path) -> None:
    table = [[*row[:4], cells[k % 2]] for k, row in enumerate(rows())]
    raw, encoded = prepare(write(tmp_path, csv_text(table)), target_kind=kind, split="stratified")
    assert encoded.signature.target == ClassTarget(classes=classes)
    assert raw.targets is not None
    assert [raw.classes[k] for k in raw.targets[:2]] == list(cells)


def test_few_numbers_stay_a_number_and_are_told(tmp_path: Path) -> None:
    table = [[*row[:4], str(k % 5)] for k, row in enumerate(rows())]
    _, encoded = prepare(write(tmp_path, csv_text(table)))
    assert encoded.signature.target.kind == "number"
    assert "only 5 different ones" in encoded.remarks[0]


def test_categories_codes_and_row_numbers(tmp_path: Path) -> None:
    table = [[f"{k}", f"{k % 7}", f"0{k % 5}", row[0], row[4]] for k, row in enumerate(rows())]
    _, encoded = prepare(write(tmp_path, csv_text(table, ("n", "hour", "zip", "size", "price"))), categories=["hour"])
    assert [column.kind for column in encoded.signature.table.columns] == ["number", "category", "category", "number"]
    assert encoded.audit["row_counters"] == ["n"]
    assert any("numbers the rows: put it into" in line for line in encoded.remarks)


def test_constant_columns_are_left_out_and_told(tmp_path: Path) -> None:
    table = [["5", "same", "", *row] for row in rows()]
    _, encoded = prepare(write(tmp_path, csv_text(table, ("a", "b", "c", *COLUMNS))))
    assert encoded.audit["constant_columns"] == ["a", "b", "c"]
    assert encoded.signature.table.columns[0].name == "size"


def test_how_a_column_is_read_moves_no_row(tmp_path: Path) -> None:
    path = write(tmp_path, csv_text(rows()))
    plain, told = prepare(path)[1], prepare(path, categories=["garden", "town"], edges=4)[1]
    assert [list(split.ids) for split in plain.splits.values()] == [list(split.ids) for split in told.splits.values()]


def test_groups_stay_together_and_time_goes_on(tmp_path: Path) -> None:
    table = [[f"g{k % 40}", *row] for k, row in enumerate(rows())]
    path = write(tmp_path, csv_text(table, ("house", *COLUMNS)))
    _, encoded = prepare(path, group_column="house", split="group")
    of_split = [{table[int(i.rpartition("/")[2]) - 1][0] for i in part.ids} for part in encoded.splits.values()]
    assert not of_split[0] & of_split[1] | of_split[0] & of_split[2] | of_split[1] & of_split[2]
    assert "house" not in [column.name for column in encoded.signature.table.columns]
    _, encoded = prepare(path, time_column="sold", split="time", drop=["house"])
    days = [sorted(table[int(i.rpartition("/")[2]) - 1][3] for i in part.ids) for part in encoded.splits.values()]
    assert days[0][-1] <= days[1][0]
    assert days[1][-1] <= days[2][0]


def test_leaks_can_be_allowed(tmp_path: Path) -> None:
    table = [[*row[:4], str(2 * float(row[4])), row[4]] for row in rows()]
    _, encoded = prepare(write(tmp_path, csv_text(table, (*COLUMNS[:4], "twice", "price"))), allow_leaks=True)
    assert encoded.audit["leaks"] == ["twice: correlation 1.0000 with the target"]
    assert any("allow_leaks is set" in line for line in encoded.remarks)


def test_numbers_beyond_float32_are_told(tmp_path: Path) -> None:
    table = [[str(10**9 + k), *row] for k, row in enumerate(rows())]
    _, encoded = prepare(write(tmp_path, csv_text(table, ("stamp", *COLUMNS))))
    assert encoded.audit["beyond_float32"] == ["stamp"]


def columns_of(table: list[list[str]]) -> dict[str, Any]:
    return {
        "size": pa.array([float(row[0]) for row in table]),
        "town": pa.array([row[1] for row in table]).dictionary_encode(),
        "sold": pa.array([date.fromisoformat(row[2]) for row in table]),
        "garden": pa.array([row[3] == "yes" for row in table]),
        "price": pa.array([float(row[4]) for row in table], pa.float32()),
    }


def test_parquet_gives_the_same_columns(tmp_path: Path) -> None:
    _, encoded = prepare(write_parquet(tmp_path / "x.parquet", columns_of(rows())))
    _, of_csv = prepare(write(tmp_path, csv_text(rows())))
    names = [column.name for column in of_csv.signature.table.columns]
    assert [column.name for column in encoded.signature.table.columns] == names
    garden = encoded.signature.table.columns[-1]
    assert isinstance(garden, CategoryColumn)
    assert garden.values == ["false", "true"]


def test_parquet_with_gaps_times_and_text(tmp_path: Path) -> None:
    columns = columns_of(rows())
    columns["size"] = pa.array([None if k % 9 == 0 else k for k in range(200)], pa.int32())
    columns["sold"] = pa.array([datetime(2024, 1, 1 + k % 28, k % 24, tzinfo=None) for k in range(200)])
    columns["town"] = pa.array([["1,5", "2"][k % 2] for k in range(200)])
    _, encoded = prepare(write_parquet(tmp_path / "x.parquet", columns), decimal=",")
    by_name = {column.name: column for column in encoded.signature.table.columns}
    assert "sold.hour" in by_name
    assert "sold.minute" not in by_name
    assert by_name["town"].kind == "number"
    assert encoded.audit["missing"] == {"size": 23}


def test_it_is_written_and_read_back(tmp_path: Path) -> None:
    _, encoded = prepare(write(tmp_path, csv_text(rows())))
    about = {"name": "x", "title": "x", "licence": "none", "files": []}
    first = write_prepared(tmp_path / "a", about, encoded, shard_mib=0.001)
    second = write_prepared(tmp_path / "b", about, encoded, shard_mib=0.001)
    assert first == second
    assert len(first["shards"]["train"]) > 1
    for path in sorted((tmp_path / "a").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(codecs.BOM_UTF8 + csv_text(rows()).encode())
    assert prepare(path)[1].signature.table.columns[0].name == "size"


def test_raw_is_typed(tmp_path: Path) -> None:
    raw: Raw = prepare(write(tmp_path, csv_text(rows())))[0]
    assert raw.hashes.shape == (200, 32)
    assert raw.origins[0] == "x.csv#1"


def frame(count: int = 200) -> pd.DataFrame:
    """As pandas holds a table: a number, an hour as a float, a truth value, and what follows from them."""
    random = np.random.default_rng(1)
    size, hour = random.uniform(30, 200, count).round(2), random.integers(0, 24, count).astype(float)
    member = random.integers(0, 2, count).astype(bool)
    price = size * 3 + 20 * member + hour + random.normal(0, 5, count)
    return pd.DataFrame({"size": size, "hour": hour, "member": member, "price": price.round(3)})


@pytest.mark.parametrize("index", ["of a filter", "named"])
def test_the_index_of_pandas_is_no_column(index: str, tmp_path: Path) -> None:
    found = frame()
    found = found[found["size"] > 50]
    found = found if index == "of a filter" else found.rename_axis("house")
    found.to_parquet(tmp_path / "x.parquet")
    _, encoded = prepare(tmp_path / "x.parquet")
    assert [column.name for column in encoded.signature.table.columns] == ["size", "hour", "member"]
    assert isinstance(encoded.signature.target, NumberTarget)
    assert encoded.signature.target.name == "price"
    left_out = "__index_level_0__" if index == "of a filter" else "house"
    assert f"left out, pandas wrote them as the labels of the rows: {left_out}" in encoded.remarks
    # Asked for by name, it is a column like any other.
    _, encoded = prepare(tmp_path / "x.parquet", categories=[left_out])
    assert left_out in encoded.audit["columns"]


def test_an_index_that_went_through_a_csv_is_no_column(tmp_path: Path) -> None:
    frame().reset_index(names="Unnamed: 0").to_csv(tmp_path / "x.csv", index=False)
    _, encoded = prepare(tmp_path / "x.csv")
    assert [column.name for column in encoded.signature.table.columns] == ["size", "hour", "member"]
    assert any("Unnamed: 0" in line for line in encoded.remarks)


def test_a_category_has_one_text_however_it_is_written(tmp_path: Path) -> None:
    found = frame()
    found.to_parquet(tmp_path / "x.parquet")
    found.to_csv(tmp_path / "pandas.csv", index=False)
    typed = found.assign(hour=found["hour"].astype(int), member=found["member"].map(str).str.lower())
    typed.to_csv(tmp_path / "typed.csv", index=False)
    values = []
    for name in ("x.parquet", "pandas.csv", "typed.csv"):
        columns = prepare(tmp_path / name, categories=["hour"])[1].signature.table.columns
        values.append([column.values for column in columns if isinstance(column, CategoryColumn)])
    assert values[0] == values[1] == values[2]
    assert "3" in values[0][0]
    assert values[0][1] == ["false", "true"]


def test_classes_have_one_text_too(tmp_path: Path) -> None:
    table = [[*row[:4], ("True", "true", "FALSE")[k % 3]] for k, row in enumerate(rows())]
    assert prepare(write(tmp_path, csv_text(table)))[0].classes == ("false", "true")
    # Names that are no numbers all the way stay as they are.
    table = [[*row[:4], ("1.1", "1.10", "1.2a")[k % 3]] for k, row in enumerate(rows())]
    assert prepare(write(tmp_path, csv_text(table)))[0].classes == ("1.1", "1.10", "1.2a")


def test_a_mark_for_missing_values_is_told(tmp_path: Path) -> None:
    table = rows()
    for k in range(0, 200, 4):
        table[k][1] = "None"
        table[k][0] = ("#N/A", "<NA>", "n/a", "")[k // 4 % 4]
    _, encoded = prepare(write(tmp_path, csv_text(table)))
    assert (
        "missing values: size 50 (data.table.missing: '#N/A' 13, '<NA>' 13, 'n/a' 12), "
        "town 50 (data.table.missing: 'None' 50)" in encoded.remarks
    )
    assert encoded.audit["missing_marks"]["town"] == {"None": 50}
    values = prepare(write(tmp_path, csv_text(table)), missing=["", "#N/A", "<NA>", "n/a"])[1].signature.table.columns[
        1
    ]
    assert isinstance(values, CategoryColumn)
    assert "None" in values.values


def test_a_class_of_one_row_is_set_aside(tmp_path: Path) -> None:
    table = [[*row[:4], "eel" if k == 7 else ("cat", "dog")[k % 2]] for k, row in enumerate(rows())]
    raw, encoded = prepare(write(tmp_path, csv_text(table)), split="stratified")
    assert raw.classes == ("cat", "dog")
    assert [(each.id, each.reason) for each in raw.set_aside] == [
        ("row/0000008", "target price: the only row of the class 'eel'")
    ]
    assert raw.targets is not None
    assert [raw.classes[k] for k in raw.targets[5:9]] == ["dog", "cat", "cat", "dog"]
    assert "2 classes, 99 to 100 rows each: cat, dog" in encoded.remarks[0]


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        (("1.234", "954"), None),
        (("1.234", "0.954"), "."),
        (("1.234", "12.5"), "."),
        (("1.234.567", "1.234"), ","),
        (("1.234,5", "954"), ","),
        (("7", "954"), "."),
    ],
)
def test_points_that_may_group_thousands_are_asked_for(
    cells: tuple[str, str], decimal: str | None, tmp_path: Path
) -> None:
    body = [[str(k), cells[k % 2], f"{k * 37 % 91}"] for k in range(100)]
    path = write(tmp_path, csv_text(body, ("n", "sold", "price"), ";"))
    if decimal is None:
        with pytest.raises(UserError, match=r"column sold: '1\.234' may be 1234 or 1\.234") as caught:
            prepare(path)
        assert "data.table.decimal" in caught.value.fix
        assert stored(prepare(path, decimal=",")[1])[:, 1].max() == 1234
    else:
        assert prepare(path)[1].signature.table.decimal == decimal


def test_a_date_that_no_calendar_has_is_set_aside(tmp_path: Path) -> None:
    columns = columns_of(rows())
    seconds = np.arange(200) * 86_400 * 7
    seconds[7] = 569_743_200_000
    columns["sold"] = pa.array(seconds, pa.timestamp("s"))
    raw, _ = prepare(write_parquet(tmp_path / "x.parquet", columns))
    assert [(each.id, each.reason) for each in raw.set_aside] == [
        ("row/0000008", "column sold: 'year 20024' is no date")
    ]


@pytest.mark.parametrize("form", ["%b %d %Y", "%d.%m.%y"])
def test_a_format_of_dates_that_is_found_works(form: str, tmp_path: Path) -> None:
    table = rows()
    for row in table:
        row[2] = date.fromisoformat(row[2]).strftime(form)
    path = write(tmp_path, csv_text(table))
    if form == "%b %d %Y":
        with pytest.raises(UserError, match="column sold looks like dates") as caught:
            prepare(path)
        assert f"data.table.dates: [sold] and .date_format: '{form}'" in caught.value.fix
    assert "sold.year" in [c.name for c in prepare(path, dates=["sold"], date_format=form)[1].signature.table.columns]


def test_a_table_without_names_can_be_given_some(tmp_path: Path) -> None:
    with_names = prepare(write(tmp_path, csv_text(rows())))[1]
    without = write(tmp_path, csv_text(rows()).partition("\n")[2])
    found = prepare(without, csv={"columns": list(COLUMNS)})[1]
    assert dataset_digest(found.signature, found.splits) == dataset_digest(with_names.signature, with_names.splits)
