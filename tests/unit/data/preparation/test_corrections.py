"""Corrected labels: applied to what the source says, each row that does not fit named, no sample moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.data.loading.prepared import read_info
from samebits.data.preparation.corrections import DROP, RELABEL, Correction, corrections_bytes, read_corrections
from samebits.signature.corrections import corrections_text
from tests.helpers.idx_source import make_source

Run = Callable[..., Path]
CLASSES = "abc"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "data" / "corrections.csv"


def samples(prepared: Path) -> dict[str, dict[str, Any]]:
    """Rows of the manifest by id."""
    return {row["id"]: row for row in pq.read_table(prepared / "manifest.parquet").to_pylist()}


def bytes_of(prepared: Path) -> dict[str, str]:
    return {path.relative_to(prepared).as_posix(): sha256_file(path) for path in prepared.rglob("*") if path.is_file()}


def row_of(sample: dict[str, Any], action: str, label: str = "", **other: str) -> Correction:
    was = CLASSES[int(sample["target"])]
    return Correction(**{"id": sample["id"], "sha256": sample["sha256"], "was": was, "action": action, "label": label,
                         "note": "", **other})  # fmt: skip


def of_split(prepared: Path, split: str) -> list[dict[str, Any]]:
    return [row for row in samples(prepared).values() if row["split"] == split]


def test_an_empty_file_changes_no_byte(run_prepare: Run, file: Path) -> None:
    before = bytes_of(run_prepare(make_source()))
    file.write_bytes(corrections_bytes([]))
    prepared = run_prepare(make_source())
    assert bytes_of(prepared) == before
    assert read_info(prepared).corrections == {}


def test_labels_are_corrected_and_samples_dropped(run_prepare: Run, file: Path) -> None:
    before = samples(run_prepare(make_source()))
    one, two, *_ = [row for row in before.values() if row["split"] == "train"]
    test = next(row for row in before.values() if row["split"] == "test")
    other = {"a": "b", "b": "c", "c": "a"}
    rows = [
        row_of(one, RELABEL, other[CLASSES[int(one["target"])]]),
        row_of(two, DROP, note="a thumb"),
        row_of(test, RELABEL, other[CLASSES[int(test["target"])]]),
    ]
    file.write_bytes(corrections_bytes(rows))
    prepared = run_prepare(make_source())
    after = samples(prepared)
    assert before.keys() - after.keys() == {two["id"]}
    assert {name for name, row in after.items() if row["target"] != before[name]["target"]} == {one["id"], test["id"]}
    assert {row["split"] for name, row in after.items() if row["split"] != before[name]["split"]} == set()
    assert f"{two['id']},dropped by a correction: a thumb" in (prepared / "set_aside.csv").read_text()
    text = corrections_text(read_info(prepared).corrections)
    assert text == "train: 1 label corrected, 1 sample dropped; test: 1 label corrected"
    said: list[str] = run_prepare.said  # type: ignore[attr-defined]
    assert f"data/corrections.csv: {text}" in said
    assert any(line.startswith("the test split was corrected") for line in said)


def test_the_order_of_rows_changes_no_byte(run_prepare: Run, file: Path) -> None:
    chosen = of_split(run_prepare(make_source()), "train")[:5]
    lines = corrections_bytes([row_of(each, DROP) for each in chosen]).decode().splitlines()
    found = []
    for order in (lines, [lines[0], *lines[:0:-1]]):
        file.write_text("\n".join(order))
        found.append(bytes_of(run_prepare(make_source())))
    assert found[0] == found[1]


def test_a_correction_moves_no_other_sample(run_prepare: Run, file: Path) -> None:
    before = samples(run_prepare(make_source(), split="stratified"))
    train = [row for row in before.values() if row["split"] == "train"]
    rows = [row_of(each, RELABEL, "c") for each in train if each["target"] == 0][:30]
    rows += [row_of(each, DROP) for each in train if each["target"] == 1][:30]
    file.write_bytes(corrections_bytes(rows))
    after = samples(run_prepare(make_source(), split="stratified"))
    assert len(after) == len(before) - 30
    assert {name: row["split"] for name, row in after.items()} == {name: before[name]["split"] for name in after}


def test_a_sample_is_found_by_its_content(run_prepare: Run, file: Path) -> None:
    """A row that was inserted above it gives a sample another number."""
    sample = of_split(run_prepare(make_source()), "train")[0]
    file.write_bytes(corrections_bytes([row_of(sample, DROP, id="train/999999")]))
    assert sample["id"] not in samples(run_prepare(make_source()))


def test_a_dropped_copy_does_not_take_the_other_with_it(run_prepare: Run, file: Path) -> None:
    source = make_source()
    source.images[3] = source.images[0]  # of one class
    source.images[7] = source.images[5]  # of two
    data = {"duplicates": "drop"}
    before = run_prepare(source)
    found = samples(before)
    names = [f"train/{k:06}" for k in (0, 3, 5, 7)]
    assert {found[name]["sha256"] for name in names[:2]} == {found[names[0]]["sha256"]}
    file.write_bytes(corrections_bytes([row_of(found[names[0]], DROP), row_of(found[names[2]], DROP)]))
    after = samples(run_prepare(source, **data))
    assert [name in after for name in names] == [False, True, False, True]


def test_each_row_that_does_not_fit_is_named(run_prepare: Run, file: Path) -> None:
    prepared = run_prepare(make_source())
    one, two, three, four, *_ = of_split(prepared, "train")
    label = CLASSES[int(four["target"])]
    rows = [
        row_of(one, RELABEL, "bb"),
        row_of(two, DROP, was="z"),
        row_of(three, DROP, sha256="0" * 64),
        row_of(four, RELABEL, label),
        row_of(four, DROP, id="train/999999", sha256="1" * 64),
        row_of(one, DROP),
    ]
    lines = [",".join(Correction._fields), *(",".join(each) for each in rows)]
    file.write_text("\n".join(lines))
    (prepared / "dataset.json").unlink()
    with pytest.raises(UserError) as caught:
        run_prepare(make_source())
    for problem in (
        f"line 2: {one['id']}: 'bb' is no class of the data; did you mean 'b'?",
        f"line 3: {two['id']} was 'z', and is ",
        f"line 4: {three['id']} has other content now",
        f"line 5: {four['id']} is {label!r} in the data already",
        "line 6: train/999999 is no sample of the data",
        "6 rows cannot be applied",
        "and 1 more",
    ):
        assert problem in caught.value.problem
    assert not (prepared / "dataset.json").exists()


BROKEN = {
    "no column sha256": ("id,was,action,label\nx,a,drop,\n", "has no column sha256"),
    "an unknown action": (f"id,sha256,was,action,label,note\nx,{'0' * 64},a,remove,,\n", "line 2: action is 'remove'"),
    "a label of what is dropped": (
        f"id,sha256,was,action,label,note\nx,{'0' * 64},a,drop,b,\n",
        "there is a label 'b'",
    ),
    "a hash cut short": ("id,sha256,was,action,label,note\nx,1.2E+30,a,drop,,\n", "line 2: sha256 is '1.2e"),
    "a row cut short": ("id,sha256,was,action,label,note\nx,y\n", "line 2: "),
    "nothing at all": ("", "corrections.csv"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_a_file_that_is_none(case: str, tmp_path: Path) -> None:
    text, problem = BROKEN[case]
    file = tmp_path / "corrections.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=problem):
        read_corrections(file, "corrections.csv")


def test_a_file_from_a_spreadsheet(tmp_path: Path) -> None:
    file = tmp_path / "corrections.csv"
    file.write_bytes(f"\ufeffid;sha256;was;action;label\r\nx;{'A' * 64};a; Relabel ;b\r\n".encode())
    assert read_corrections(file, file.name) == [(2, Correction("x", "a" * 64, "a", RELABEL, "b", ""))]


def test_a_named_file_must_be_there(run_prepare: Run) -> None:
    with pytest.raises(UserError, match=r"data/other\.csv, which is no file"):
        run_prepare(make_source(), corrections="data/other.csv")


def test_a_file_among_what_is_fetched_or_made_is_refused(run_prepare: Run) -> None:
    for path in ("data/raw/a.csv", "data/prepared/a.csv", "../a.csv", "data/../a.csv"):
        with pytest.raises(ValueError, match="a path as data"):
            run_prepare(make_source(), corrections=path)


def test_without_corrections_nothing_is_said() -> None:
    assert corrections_text({}) == ""
