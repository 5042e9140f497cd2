"""`samebits predict`: what is asked about, in which form the answers come, and what happens to what cannot be read."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from samebits.cli.main import main
from tests.helpers.asked import asked
from tests.helpers.onnx_models import brightness_model, sum_model

ROWS = "id,a,b\nx1,1,2\nx2,one,2\nx3,,4\nx4,0.123456789,0\nx5,1\n"


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    return sum_model(tmp_path / "sums.onnx")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return brightness_model(tmp_path / "images.onnx")


def picture(path: Path, bright: str = "left") -> Path:
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[:, :4] = 200
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels if bright == "left" else pixels[:, ::-1].copy()).save(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["predict", *map(str, arguments)]) == code
    return capsys.readouterr().out


def test_a_row_that_cannot_be_used_has_an_error_and_costs_no_other(
    sums: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    rows = list(csv.DictReader(io.StringIO(run(capsys, path, "--model", sums, code=3))))
    assert [row["name"] for row in rows] == [f"{path}:{line}" for line in range(2, 7)]
    assert [row["prediction"] for row in rows] == ["3", "", "", "0.12346", ""]
    assert [row["error"] for row in rows] == [
        "",
        "'one' in column a is no finite number",
        "the model's answer to it is no finite number",
        "",
        "2 fields, the header has 3",
    ]
    named = csv.DictReader(io.StringIO(run(capsys, path, "--model", sums, "--id", "id", code=3)))
    assert [row["name"] for row in named][:4] == ["x1", "x2", "x3", "x4"]


def test_every_format_has_the_same_answers(sums: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    command = [path, "--model", sums, "--id", "id"]
    document = json.loads(run(capsys, *command, "--format", "json", code=3))
    assert run(capsys, *command, "--json", code=3) == run(capsys, *command, "--format", "json", code=3)
    assert (document["samples"], document["errors"]) == (5, 3)
    lines = run(capsys, *command, "--format", "jsonl", code=3).splitlines()
    assert [json.loads(line) for line in lines] == document["predictions"]
    assert run(capsys, *command, "--format", "text", code=3).splitlines()[:2] == [
        "x1: total 3", "x2: error: 'one' in column a is no finite number",
    ]  # fmt: skip
    for ending, form in {".csv": "csv", ".jsonl": "jsonl", ".txt": "text"}.items():
        out = tmp_path / f"answers{ending}"
        assert run(capsys, *command, "--output", out, code=3) == ""
        assert out.read_text() == run(capsys, *command, "--format", form, code=3)
    run(capsys, *command, "--output", tmp_path / "answers.json", code=3)
    written = json.loads((tmp_path / "answers.json").read_text())
    assert written["predictions"] == document["predictions"]
    run(capsys, *command, "--output", tmp_path / "answers.parquet", code=3)
    table = pq.read_table(tmp_path / "answers.parquet")
    assert table.schema.names == ["name", "prediction", "notes", "error"]
    assert table["prediction"].to_pylist() == [3.0, None, None, np.float32(0.123456789), None]
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []


def test_json_of_nothing_but_errors_is_a_document(
    sums: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n")
    for form in (["--json"], ["--format", "json"]):
        (only,) = json.loads(run(capsys, path, "--model", sums, *form, code=3))["predictions"]
        assert only["error"] == "it has no row below a first line of names"


def test_classes_in_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = sum_model(tmp_path / "m.onnx", ["a", "b"], {"kind": "class", "classes": ["low", "high"]})
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n0,1\n")
    assert run(capsys, path, "--model", model).splitlines()[0] == "name,prediction,probability,notes,error"
    (row,) = csv.DictReader(io.StringIO(run(capsys, path, "--model", model, "--top", "5")))
    assert (row["prediction"], row["probability"]) == ("high", "0.7311")
    assert (row["prediction_2"], row["probability_2"]) == ("low", "0.2689")


def test_columns_of_the_answer_have_names_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vector = {"kind": "vector", "name": "v", "mean": [0.0, 0.0], "std": [1.0, 1.0], "names": ["error", "b"]}
    model = sum_model(tmp_path / "m.onnx", ["a", "b"], vector)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n0,1\n")
    assert run(capsys, path, "--model", model).startswith("name,predicted error,b,notes,error\n")


def test_rows_of_every_kind_of_file(sums: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"b": 2, "a": 1}\n{"a": null, "b": 1}\n{"a": "3", "b": 4.5}\n{"a": [1], "b": 0}\n'
    )
    pq.write_table(pa.table({"a": [1.0, 2.0], "b": [2, 3], "c": ["x", "y"]}), tmp_path / "b.parquet")
    (tmp_path / "c.csv").write_text("b;a\n2;1\n")
    found = asked(sums, files=tuple(sorted(tmp_path.glob("?.[jpc]*"))))
    assert [each.values for each in found] == [(3.0,), (), (7.5,), (), (3.0,), (5.0,), (3.0,)]
    assert found[3].error == "'a' is a list or an object"
    places = [each.name.rpartition("/")[2] for each in found[3:]]
    assert places == ["a.jsonl:4", "b.parquet:1", "b.parquet:2", "c.csv:2"]


def test_images_in_folders_patterns_and_lists(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.png", "in/a/2.jpg", "in/a/1.png", "in/.hidden/x.png", "in/.x.png"):
        picture(Path(name))
    Path("in/notes.txt").write_text("no image")
    Path("in/list.csv").write_text("id;path\n7;a/1.png\n8;gone.png\n9;\n")

    def names(*files: str, **more: Any) -> list[str]:
        return [each.name for each in asked(images, files=tuple(map(Path, files)), **more)]

    assert names("in") == ["in/a/1.png", "in/a/2.jpg", "in/b.png"]
    assert names("in/**/*.png") == ["in/a/1.png", "in/b.png"]
    assert names("in/a/**") == ["in/a/1.png", "in/a/2.jpg"]
    assert names("in/b.png", "in/b.png") == ["in/b.png", "in/b.png"]
    assert names("in/list.csv") == ["in/a/1.png", "in/gone.png", "in/list.csv:4"]
    assert names("in/list.csv", id="id") == ["7", "8", "9"]
    errors = [each.error for each in asked(images, files=(Path("in/list.csv"),))]
    assert errors == ["", "it does not exist", "'path' is empty"]
    Path("in/scans.jsonl").write_text('{"scan": "b.png"}\n')
    assert names("in/scans.jsonl", column="scan") == ["in/b.png"]


def test_a_link_to_a_folder_above_is_no_loop(images: Path, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "deep" / "a.png")
    (tmp_path / "in" / "deep" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "other").symlink_to(tmp_path / "in" / "deep")
    found = [each.name for each in asked(images, files=(tmp_path / "in",))]
    assert found == [f"{tmp_path}/in/deep/a.png", f"{tmp_path}/in/other/a.png"]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes")
@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "parquet", "txt"])
def test_a_name_that_is_no_text(ending: str, images: Path, tmp_path: Path) -> None:
    picture(tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"\xff.png"))
    out = tmp_path / f"x.{ending}"
    assert main(["predict", str(tmp_path), "--model", str(images), "--output", str(out)]) == 0
    assert b"\\udcff.png" in out.read_bytes()


def test_what_cannot_be_decoded_is_one_error(images: Path, tmp_path: Path) -> None:
    whole = picture(tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    Image.new("1", (20_000, 10_000)).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"")
    found = asked(images, files=(tmp_path,))
    assert [bool(each.error) for each in found] == [False, True, True, True]
    assert found[0].classes[0][0] == "left"
    assert found[2].error == "it has more than 100,000,000 pixels"


@pytest.mark.parametrize(
    ("given", "options", "names"),
    [
        ("in/a.png\n\nin/gone.png\n", [], ["in/a.png", "in/gone.png"]),
        ("path\nin/a.png\n", ["--stdin", "csv"], ["in/a.png"]),
        ('{"path": "in/a.png"}', ["--stdin", "jsonl"], ["in/a.png"]),
    ],
)
def test_stdin(
    given: str, options: list[str], names: list[str], images: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    picture(Path("in/a.png"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given.encode())))
    out = run(capsys, "-", "--model", images, "--format", "jsonl", *options, code=3 if len(names) > 1 else 0)
    assert [json.loads(line)["name"] for line in out.splitlines()] == names


def test_a_table_on_stdin(sums: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a,b\n1,2\n")))
    assert run(capsys, "-", "--model", sums).splitlines()[1:] == ["-:2,3,,"]
    assert main(["predict", "-", "--model", str(sums), "--stdin", "lines"]) == 2
    assert "--stdin lines is not for the rows of a table" in capsys.readouterr().err


REFUSED: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "nothing": (lambda here: [], "no images were given"),
    "an empty folder": (lambda here: [here / "empty"], "no images were given"),
    "a missing file": (lambda here: [here / "a.png", here / "gone.png"], "gone.png does not exist"),
    "a pattern without a match": (lambda here: [here / "*.tif"], "*.tif matches nothing"),
    "a list without paths": (lambda here: [here / "rows.csv"], "rows.csv has no column 'path'"),
    "another list": (lambda here: [here / "rows.csv", "--column", "pth"], "has no column 'pth'"),
    "an id that is not there": (lambda here: [here / "list.csv", "--id", "key"], "no column 'key'"),
    "Parquet on stdout": (lambda here: [here / "a.png", "--format", "parquet"], "Parquet is not printed"),
    "two formats": (
        lambda here: [here / "a.png", "--format", "csv", "--output", here / "x.jsonl"], "is named as jsonl",
    ),
    "an input": (lambda here: [here / "a.png", "--output", here / "a.png"], "is, or lies among, what is read"),
    "the model": (lambda here: [here / "a.png", "--output", here / "images.onnx"], "is, or lies among, what is read"),
    "a link to an input": (lambda here: [here / "a.png", "--output", here / "link"], "is, or lies among"),
    "a later input": (lambda here: [here / "empty", "--output", here / "empty" / "x.png"], "is, or lies among"),
    "a folder": (lambda here: [here / "a.png", "--output", here / "empty"], "is a folder"),
    "a device": (lambda here: [here / "a.png", "--output", "/dev/null"], "is no regular file"),
    "below a file": (lambda here: [here / "a.png", "--output", here / "a.png" / "x.csv"], "cannot be written"),
    "no class": (lambda here: [here / "a.png", "--top", "0"], "--top is 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_job_that_cannot_be_right_does_not_begin(
    case: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.csv").write_text("file,b\na.png,2\n")
    (tmp_path / "list.csv").write_text("path,b\na.png,2\n")
    (tmp_path / "link").symlink_to(tmp_path / "a.png")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    make, message = REFUSED[case]
    assert main(["predict", *map(str, make(tmp_path)), "--model", str(images)]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "closed").mkdir(mode=0o500)
    run(capsys, tmp_path / "a.png", "--model", images, "--output", tmp_path / "closed" / "x.csv", code=2)
