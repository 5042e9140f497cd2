"""`samebits monitor` on exported models whose answers show what they were given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samebits.cli.main import main
from samebits.drift.answers import cells_of
from samebits.inference.calibration import UNCALIBRATED, Calibration
from samebits.inference.session import open_model
from samebits.model_registry.register import register
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.mask import MaskTarget
from samebits.signature.number import NumberTarget
from samebits.signature.table import CategoryColumn, NumberColumn, TableInputs
from samebits.tracking.tracking_uri import pick_target
from tests.helpers.onnx_models import LABELS, brightness_model, mask_model, sum_model
from tests.helpers.references import write_reference
from tests.helpers.registry import make_project, offer

IMAGES = ImageInputs(shape=[1, 8, 8], mean=[0.4], std=[0.2])


def photos(random: np.random.Generator, count: int) -> Any:
    """Uint8 [n, 1, 8, 8]: one half lighter than the other, the left one as often as the right one."""
    pixels = random.integers(0, 60, (count, 1, 8, 8))
    left = random.random(count) < 0.5
    pixels[left, :, :, :4] += 150
    pixels[~left, :, :, 4:] += 150
    return pixels.astype(np.uint8)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of images with its reference."""
    given = IMAGES.model_dump()
    path = brightness_model(tmp_path / "model.onnx", preprocessing=given)
    rows = photos(np.random.default_rng(0), 600)
    target = ClassTarget(classes=LABELS)
    session, _ = open_model(path)
    write_reference(tmp_path, IMAGES, target, rows, cells_of(session.answers(rows, target), target, UNCALIBRATED))
    return path


def save(folder: Path, pixels: Any) -> Path:
    folder.mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray(image[0]).save(folder / f"{place:03}.png")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    capsys.readouterr()
    assert main(["monitor", *map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def drifted(found: Any) -> set[str]:
    return {each["name"] for each in found["statistics"] if each["drift"]}


def test_other_images_of_the_same_kind_have_not_drifted(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(tmp_path / "now", photos(np.random.default_rng(1), 60))
    found = run(capsys, folder, "--model", model)
    assert not found["drift"]
    names = {each["name"] for each in found["statistics"]}
    assert names == {"brightness", "contrast", "sharpness", "prediction", "probability", "unreadable"}
    assert (found["samples"], found["errors"], found["page"], found["recorded"]) == (60, 0, None, {})


def test_darker_images_of_one_class_and_what_cannot_be_read(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = photos(np.random.default_rng(1), 120)
    right = pixels[pixels[:, 0, 0, 7] > pixels[:, 0, 0, 0]]
    folder = save(tmp_path / "now", right // 2)
    for place in range(40):
        (folder / f"broken{place}.png").write_bytes(b"none")
    page = tmp_path / "page.html"
    found = run(capsys, folder, "--model", model, "--html", page, code=1)
    assert {"brightness", "contrast", "prediction", "unreadable"} <= drifted(found)
    assert found["errors"] == 40
    text = page.read_text()
    assert "brightness" in text
    assert "unreadable" in text
    assert "http" not in text.replace("https://www.w3.org", "")


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_file_of_answers_says_what_the_inputs_do(
    ending: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = photos(np.random.default_rng(2), 120)
    folder = save(tmp_path / "now", pixels[pixels[:, 0, 0, 7] > pixels[:, 0, 0, 0]] // 3)
    (folder / "broken.png").write_bytes(b"none")
    output = tmp_path / f"answers.{ending}"
    assert main(["predict", str(folder), "--model", str(model), "--output", str(output)]) == 3
    of_inputs = run(capsys, folder, "--model", model, code=1)["statistics"]
    of_answers = run(capsys, "--answers", output, "--model", model, code=1)["statistics"]
    same = ("difference", "p", "psi", "now")
    wanted = {each["name"]: [each[key] for key in same] for each in of_inputs if each["group"] == "answers"}
    found = {each["name"]: [each[key] for key in same] for each in of_answers if each["name"] != "unreadable"}
    assert found == wanted
    assert set(found) == {"prediction", "probability"}


def test_masks_of_a_calibrated_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = MaskTarget(classes=LABELS[:2], shape=[8, 8], colours=[[0, 0, 0], [255, 0, 0]])
    calibration = Calibration(weights_sha256="1" * 64, samples=600)
    fitted = {
        "labels": target.classes,
        "target": target.model_dump(),
        "calibration": calibration.model_dump(exclude_none=True),
    }
    path = mask_model(tmp_path / "model.onnx", preprocessing=IMAGES.model_dump(), **fitted)
    rows = photos(np.random.default_rng(0), 600)
    session, _ = open_model(path)
    cells = cells_of(session.answers(rows, target), target, calibration)
    write_reference(tmp_path, IMAGES, target, rows, cells, calibration)
    assert not run(capsys, save(tmp_path / "same", rows[:60]), "--model", path)["drift"]
    found = run(capsys, save(tmp_path / "dark", rows[:60] // 3), "--model", path, code=1)
    assert {f"share of {name}" for name in LABELS[:2]} <= drifted(found)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A model of two numbers, with a reference."""
    path = sum_model(tmp_path / "model.onnx")
    columns: list[NumberColumn | CategoryColumn] = [
        NumberColumn(name=name, mean=0.0, std=1.0, fill=0.0) for name in ("a", "b")
    ]
    rows = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    target = NumberTarget(name="total", mean=0.0, std=1.0)
    write_reference(tmp_path, TableInputs(columns=columns), target, rows, {"prediction": list(rows.sum(axis=1))})
    return path


def rows_file(path: Path, values: Any, gaps: int = 0) -> Path:
    lines = [f"{'' if place < gaps else a},{b}" for place, (a, b) in enumerate(values.tolist())]
    path.write_text("\n".join(["a,b", *lines]) + "\n")
    return path


def test_a_shifted_column_and_missing_values(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(1).normal(size=(80, 2))
    same = rows_file(tmp_path / "same.csv", values)
    assert not run(capsys, same, "--model", table)["drift"]
    gaps = rows_file(tmp_path / "gaps.csv", values, gaps=25)
    # Without a number, the sum is none.
    assert drifted(run(capsys, gaps, "--model", table, code=1)) == {"a: missing", "unreadable"}
    shifted = rows_file(tmp_path / "shifted.csv", values + np.array([0.0, 2.0]))
    assert drifted(run(capsys, shifted, "--model", table, code=1)) == {"b", "prediction"}
    assert run(capsys, shifted, "--model", table, "--limit", "0.9")["drift"] is False
    found = run(capsys, shifted, "--model", table, "--ignore", "b", "--ignore", "prediction")
    assert {each["name"] for each in found["statistics"]} == {"a", "unreadable"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["few.csv"], "29 samples are too few"),
        (["few.csv", "--answers", "few.csv"], "two things"),
        (["--answers", "few.csv"], "none of the columns of answers"),
        (["--answers", "absent.csv"], "does not exist"),
        (["--answers", "."], "is no file"),
        (["--answers", "answers.txt"], "no table of answers"),
        (["--answers", "words.csv"], "words.csv:2: 'cat' is no number"),
        (["--answers", "words.jsonl"], "no answer of samebits predict"),
        (["many.csv", "--ignore", "c"], "no statistic is called 'c'"),
        (["many.csv", "--html", "many.csv/page.html"], "cannot write"),
        ([], "no the rows of a table were given"),
    ],
)
def test_what_cannot_be_compared_is_2_with_the_fix(
    arguments: list[str],
    message: str,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    rows_file(Path("few.csv"), np.zeros((29, 2)))
    rows_file(Path("many.csv"), np.random.default_rng(1).normal(size=(80, 2)))
    Path("answers.txt").write_text("a: 1\n")
    Path("words.csv").write_text("prediction\ncat\n")
    Path("words.jsonl").write_text('{"prediction": 1}\n')
    found = run(capsys, *arguments, "--model", table, code=2)
    assert message in found["error"]
    assert found["fix"]


def test_without_a_reference_or_with_that_of_another_model(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_file(tmp_path / "rows.csv", np.zeros((40, 2)))
    reference = tmp_path / "reference.json"
    reference.write_text(reference.read_text().replace("0" * 64, "1" * 64))
    assert "another model" in run(capsys, rows, "--model", table, code=2)["error"]
    reference.unlink()
    assert "does not exist" in run(capsys, rows, "--model", table, code=2)["error"]
    assert not (tmp_path / ".samebits").exists()


@pytest.mark.slow
def test_a_registered_model_is_compared_and_its_run_gets_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # mlflow.set_tracking_uri of another test sets it
    project = make_project(tmp_path / "project", monkeypatch)
    (project.home / "dvc.yaml").touch()
    inputs = ImageInputs(shape=[1, 2, 2], mean=[0.5], std=[0.5])
    target = ClassTarget(classes=["light", "dark"])
    rows = np.random.default_rng(0).integers(0, 256, (400, 1, 2, 2)).astype(np.uint8)
    first = offer(project, monkeypatch, 1, 0.98).model
    session, _ = open_model(first)
    cells = cells_of(session.answers(rows, target), target, UNCALIBRATED)
    write_reference(project.exported, inputs, target, rows, cells)
    register(project, name="m", say=lambda _: None)
    folder = save(tmp_path / "photos", rows[:100])
    store = MlflowClient(pick_target(project).uri)
    version = store.get_model_version_by_alias("m", "champion")

    found = run(capsys, folder, "--model", "models:/m@champion", "--html", tmp_path / "drift.html")
    assert not found["drift"]
    assert found["recorded"] == store.get_run(version.run_id).data.metrics
    assert found["recorded"]["monitor/samples"] == 100
    assert "models:/m@champion" in (tmp_path / "drift.html").read_text()
    darker = save(tmp_path / "darker", rows[:100] // 4)
    assert drifted(run(capsys, darker, "--model", "models:/m/1", code=1))
    assert store.get_run(version.run_id).data.metrics["monitor/drifted"] > 0

    assert main(["predict", str(folder), "--model", "models:/m@champion", "--format", "csv"]) == 0
    registered = capsys.readouterr().out
    assert main(["predict", str(folder), "--model", str(first), "--format", "csv"]) == 0
    assert registered == capsys.readouterr().out

    (project.exported / "reference.json").unlink()
    offer(project, monkeypatch, 2, 0.999)
    register(project, name="m", say=lambda _: None)
    assert main(["monitor", str(folder), "--model", "models:/m@champion"]) == 2
    assert "models:/m@champion/reference.json does not exist" in capsys.readouterr().err
    store.create_model_version("m", store.get_model_version_download_uri("m", "1"))
    found = run(capsys, folder, "--model", "models:/m/3")
    assert (found["recorded"], found["notes"]) == ({}, ["not recorded in MLflow: version 3 of m is of no run"])
    assert main(["monitor", str(folder), "--model", "models:/other@champion"]) == 2
    assert "models:/other@champion is not registered" in capsys.readouterr().err
