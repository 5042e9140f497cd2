"""`samebits predict` on rows of a table: columns by name, categories by value, the checkpoint's own answers."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import samebits
from samebits.base.errors import UserError
from samebits.cli.main import main
from samebits.data.loading.prepared import open_split
from samebits.export.export import export
from samebits.inference.session import open_model
from samebits.inference.table import TablePrediction, predict_table
from samebits.params.export import ExportParams
from tests.helpers.table_project import make_table_context
from tests.helpers.tables import csv_text, rows
from tests.helpers.workspace import ROOT

HEADER = "size,town,sold,garden"
ROW = "80,Ulm,2020-02-29,yes"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = make_table_context(tmp_path_factory.mktemp("predict") / "project", steps=5)
    export(ExportParams(formats=["onnx"], batch_sizes=[33]), context=made)
    return made


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = make_table_context(tmp_path_factory.mktemp("classes") / "project", target="town", steps=5)
    export(ExportParams(formats=["onnx"], batch_sizes=[33]), context=made)
    return made


def ask(context: Any, text: str | bytes, folder: Path) -> TablePrediction:
    path = folder / "new.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return predict_table(path, *open_model(context.project.exported / "model.onnx"))


def numbers(prediction: TablePrediction) -> list[float]:
    return [float(row[0]) for row in prediction.rows]


def test_a_model_is_a_function_of_rows(context: Any, classes: Any, tmp_path: Path) -> None:
    row = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | {"price": "300"}
    for made in (context, classes):
        told = ask(made, f"{','.join(row)}\n{','.join(row.values())}\n", tmp_path).rows[0][0]
        for path in (made.project.checkpoint, made.project.exported / "model.onnx"):
            answer = samebits.load(path)(row | {"unused": 1})
            assert told == (answer.label if answer.label is not None else f"{answer.values.item():.7g}")
            with pytest.raises(UserError, match="the row lacks 1 of"):
                samebits.load(path)({name: value for name, value in row.items() if name != "sold"})


def test_answers_are_the_checkpoints(context: Any, tmp_path: Path) -> None:
    """The training file itself: every test row gets what the exported model gives for its prepared row."""
    found = numbers(predict_table(context.project.workspace / "houses.csv", *open_model(_model(context))))
    import pyarrow.parquet as pq

    manifest = pq.read_table(context.project.prepared / "manifest.parquet").to_pylist()
    test = [int(row["id"].rpartition("/")[2]) - 1 for row in manifest if row["split"] == "test"]
    session, _ = open_model(_model(context))
    split = open_split(context.project.prepared, "test", in_memory=True)
    answers = session.run(["values"], {"rows": split.rows(np.arange(len(split)))})[0]
    assert [found[k] for k in test] == pytest.approx(answers.tolist(), rel=1e-5)


def _model(context: Any) -> Path:
    path: Path = context.project.exported / "model.onnx"
    return path


def test_order_separator_and_more_columns_do_not_matter(context: Any, tmp_path: Path) -> None:
    plain = ask(context, f"{HEADER}\n{ROW}\n", tmp_path)
    turned = ask(context, "\ufeffid;garden;sold;town;size\n7;yes;29.02.2020;Ulm;80\n", tmp_path)
    assert numbers(turned) == numbers(plain)
    assert turned.notes == ("columns that the model does not use: id",)
    assert plain.notes == ()


def test_missing_and_unknown_cells(context: Any, tmp_path: Path) -> None:
    gaps = ask(context, f"{HEADER}\n,,,\nNA,?,NaN,null\n80,Rom,2020-02-29,yes\n", tmp_path)
    assert gaps.rows[0] == gaps.rows[1]
    assert gaps.notes == ("town: 'Rom' unknown to the model",)
    assert all(np.isfinite(numbers(gaps)))


def test_classes_come_with_their_probability(classes: Any, tmp_path: Path) -> None:
    found = ask(classes, csv_text(rows(5)), tmp_path)
    assert found.header == ("prediction", "probability")
    assert {row[0] for row in found.rows} <= {"Bonn", "Köln", "Ulm"}
    assert all(1 / 3 <= float(row[1]) <= 1 for row in found.rows)
    lines = list(csv.reader(io.StringIO(found.csv())))
    assert lines[0] == ["prediction", "probability"]
    assert len(lines) == 6


BAD: dict[str, tuple[str | bytes, str]] = {
    "a missing column": ("size,town,sold\n1,Ulm,2020-01-01\n", "lacks 1 of the 4 columns that the model needs: garden"),
    "a mistyped column": ("siez,town,sold,garden\n1,Ulm,2020-01-01,no\n", "size\n  fix: 'siez' may be 'size'"),
    "no number": (f"{HEADER}\n{ROW}\nbig,Ulm,2020-01-01,no\n", "row 2: 'big' in column size is no finite number"),
    "an infinite number": (f"{HEADER}\ninf,Ulm,2020-01-01,no\n", "row 1: 'inf' in column size"),
    "no date": (f"{HEADER}\n1,Ulm,2020-02-30,no\n", "'2020-02-30' in column sold is no date"),
    "a short row": (f"{HEADER}\n1,Ulm\n", "line 2: 2 fields, the header has 4"),
    "no date, and how one is written": (f"{HEADER}\n1,Ulm,1/2/2020,no\n", "sold is no date like 2025-12-31"),
    "a column twice": (f"{HEADER},size\n{ROW},1\n", "two columns are called size"),
    "a stray quote": (
        f'{HEADER}\n1,Ulm,2020-01-01,no\n2,"Ulm,2020-01-01,no\n{ROW}\n',
        "line 3: a quote is opened here",
    ),
    "no rows": (f"{HEADER}\n", "no row below"),
    "an empty file": ("", "is empty"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_files(case: str, context: Any, tmp_path: Path) -> None:
    text, message = BAD[case]
    with pytest.raises(UserError) as caught:
        ask(context, text, tmp_path)
    assert message in str(caught.value)
    assert caught.value.fix


def test_parquet_and_every_way_to_write_it(context: Any, tmp_path: Path) -> None:
    """The same rows as CSV, as pandas writes them after a filter, and by hand."""
    table = rows(40)
    plain = ask(context, csv_text(table), tmp_path)
    found = pd.read_csv(io.StringIO(csv_text(table)))
    found["sold"] = pd.to_datetime(found["sold"])
    found["town"] = found["town"].astype("category")
    found[found["size"] > 0].to_parquet(tmp_path / "x.parquet")
    answer = predict_table(tmp_path / "x.parquet", *open_model(_model(context)))
    assert numbers(answer) == numbers(plain)
    assert answer.notes == plain.notes
    for encoding in ("utf-16", "utf-8-sig", "cp1252"):
        assert numbers(ask(context, csv_text(table).encode(encoding), tmp_path)) == numbers(plain)
    assert numbers(ask(context, "sep=;\n" + csv_text(table, separator=";"), tmp_path)) == numbers(plain)
    found.drop(columns="town").to_parquet(tmp_path / "y.parquet")
    with pytest.raises(UserError, match="lacks 1 of the 4 columns that the model needs: town"):
        predict_table(tmp_path / "y.parquet", *open_model(_model(context)))


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model on a decimal comma, an hour that is a category, and a truth value."""
    random = np.random.default_rng(0)
    body = [
        [
            f"{size:.2f}".replace(".", ","),
            str(k % 5),
            ("True", "False")[k % 2],
            f"{size * 3 + k % 5:.2f}".replace(".", ","),
        ]
        for k, size in enumerate(random.uniform(1, 9, 200))
    ]
    text = csv_text(body, ("size", "hour", "member", "price"), ";")
    made = make_table_context(
        tmp_path_factory.mktemp("hours") / "project", text, steps=20, categories=["hour"], allow_leaks=True
    )
    export(ExportParams(formats=["onnx"], batch_sizes=[33]), context=made)
    return made


def test_categories_are_known_however_they_are_written(hours: Any, tmp_path: Path) -> None:
    first = ask(hours, "size;hour;member\n2,5;3;True\n", tmp_path)
    assert first.notes == ()
    for text in ("size;hour;member\n2,5;3.0;true\n", "size;hour;member\n2,50;3,0;TRUE\n"):
        assert ask(hours, text.replace("3.0", "3"), tmp_path) == first
    for member, hour in ((True, 3.0), ("true", 3), (True, "3")):
        pd.DataFrame({"size": [2.5], "hour": [hour], "member": [member]}).to_parquet(tmp_path / "x.parquet")
        assert predict_table(tmp_path / "x.parquet", *open_model(_model(hours))) == first


def test_a_number_of_two_meanings_is_no_number(hours: Any, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"'5\.000' in column size may be 5000 or 5,000: the model knows the decimal mark"
    ):
        ask(hours, "size;hour;member\n5.000;3;True\n", tmp_path)
    with pytest.raises(UserError, match=r"row 1: '5\.5' in column size is no finite number"):
        ask(hours, "size;hour;member\n5.5;3;True\n", tmp_path)


def test_options_that_say_nothing_here_are_refused(context: Any, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "new.csv"
    path.write_text(f"{HEADER}\n{ROW}\n")
    for option in (["--top", "2"], ["--invert"]):
        assert main(["predict", str(path), "--model", str(_model(context)), *option]) == 2
        assert f"{option[0]} is not for the rows of a table" in capsys.readouterr().err


def test_the_command(context: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "new.csv", tmp_path / "answers.csv"
    path.write_text(f"{HEADER},more\n{ROW},1\n")
    model = ["--model", str(_model(context))]
    assert main(["predict", str(path), *model]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "prediction"
    assert "note: columns that the model does not use: more" in printed.err
    assert main(["predict", str(path), *model, "--output", str(out)]) == 0
    assert out.read_text() == printed.out
    assert main(["predict", str(path), *model, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["predictions"]
    assert (row["name"], row["classes"]) == ("row 1", [])
    assert row["values"] == [float(printed.out.splitlines()[1])]
    assert main(["predict", str(path), *model, "--json", "--output", str(out)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "predictions": [], "output": out.as_posix(), "notes": ["columns that the model does not use: more"],
    }  # fmt: skip
    assert main(["predict", str(path), str(path), *model]) == 2
    assert main(["predict", str(tmp_path / "none.csv"), *model]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_it_needs_no_torch(context: Any, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text(f"{HEADER}\n{ROW}\n")
    code = (
        "import sys; from samebits.cli.main import main; "
        f"code = main(['predict', {str(path)!r}, '--model', {str(_model(context))!r}]); "
        "sys.exit(code or ('torch' in sys.modules) or ('pyarrow' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
