"""Each kind of target from a label column to a prediction: prepare, train, evaluate, export, predict."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.base.paths import Project
from samebits.cli.main import main
from tests.helpers.in_process import make_workspace, run_stages

SIDE = 8
MLP = {"name": "mlp", "hidden": [16]}
BAG = {"name": "embedding_bag", "width": 8}


def stripes(seed: int) -> tuple[Image.Image, str, str]:
    """A grey picture with bright rows, bright columns, both or none; which; and its mean."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 60, (SIDE, SIDE), dtype=np.uint8)
    across, down = bool(seed & 1), bool(seed & 2)
    pixels[::2] += np.uint8(120 * across)
    pixels[:, ::2] += np.uint8(60 * down)
    names = ["across"] * across + ["down"] * down
    return Image.fromarray(pixels), ";".join(names), f"{pixels.mean():.3f}"


def halves(picture: Image.Image) -> str:
    """The means of its upper and its lower half as a vector."""
    pixels = np.asarray(picture, dtype=np.float64)
    return f"{10 * pixels[: SIDE // 2].mean():.3f};{pixels[SIDE // 2 :].mean() / 255:.5f}"


def write_images(folder: Path, label: Callable[[tuple[Any, str, str]], str], count: int = 120) -> None:
    folder.mkdir(parents=True)
    rows = [("path", "label")]
    for seed in range(count):
        found = stripes(seed)
        found[0].save(folder / f"{seed}.png")
        rows.append((f"{seed}.png", label(found)))
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_texts(path: Path, label: Callable[[int], str], count: int = 160) -> None:
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(("text", "label"))
    for seed in range(count):
        words = ["plain", f"number{seed}"] + ["good"] * (seed % 3) + ["bad"] * (seed % 2)
        writer.writerow((" ".join(words), label(seed)))
    path.write_text(lines.getvalue())


def of_images(workspace: Path, kind: str, task: dict[str, Any], label: Callable[[Any], str]) -> Project:
    write_images(workspace / "data" / "raw" / "stripes", label)
    data = {"source": "data/raw/stripes", "format": "image_csv", "target_kind": kind, "split": "hash"}
    data |= {"validation_fraction": 0.2, "test_fraction": 0.2, "image": {"resolution": SIDE, "channels": 1}}
    return make_workspace(workspace, {"data": data}, {"task": task, "model": MLP, "augment": {}})


def of_texts(workspace: Path, kind: str, task: dict[str, Any], label: Callable[[int], str]) -> Project:
    (workspace / "data" / "raw").mkdir(parents=True)
    write_texts(workspace / "data" / "raw" / "texts.csv", label)
    data = {"source": "data/raw/texts.csv", "format": "text_csv", "target_kind": kind}
    data |= {"validation_fraction": 0.2, "test_fraction": 0.2, "text": {"vocabulary": 300, "length": 24}}
    return make_workspace(workspace, {"data": data}, {"task": task, "model": BAG, "augment": {}})


def judged(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = read_json(project.reports / "evaluation" / "metrics.json")
    report = (project.reports / "evaluation" / "report" / "report.html").read_text()
    assert "Worst cases" in report
    return found


def predicted(project: Project, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["predict", "--model", str(project.exported / "model.onnx"), *arguments]) == 0
    return capsys.readouterr().out


def test_several_labels_of_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = of_images(tmp_path, "labels", {"name": "multilabel", "class_weights": "balanced"}, lambda each: each[1])
    run_stages(project)
    found = judged(project)
    assert set(found["test"]) == {"macro_f1", "micro_f1", "mean_average_precision", "exact_match", "log_loss"}
    assert found["test"]["macro_f1"] > found["baseline"]["macro_f1"]
    assert found["interval"]["log_loss"]["low"] <= found["test"]["log_loss"]
    card = (project.exported / "card.md").read_text()
    assert "the probability of each of 2 labels, of which any number may apply" in card
    assert "macro F1 | " in card
    said = predicted(project, str(tmp_path / "data/raw/stripes/1.png"), capsys=capsys)
    assert "across" in said or "no label" in said


@pytest.mark.slow
def test_a_number_of_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = {"name": "regression", "loss": "huber"}
    project = of_images(tmp_path, "number", task, lambda each: each[2])
    run_stages(project)
    assert judged(project)["test"]["r2"] > 0.3
    said = predicted(project, str(tmp_path / "data/raw/stripes/1.png"), capsys=capsys)
    assert float(said.rsplit(" ", 1)[1]) == pytest.approx(100, abs=60)


@pytest.mark.slow
def test_a_number_of_a_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = of_texts(tmp_path, "number", {"name": "regression"}, lambda seed: str(10 * (seed % 3) - seed % 2))
    run_stages(project)
    assert "rmse" in judged(project)["test"]
    assert ": label " in predicted(project, "--text", "good good", capsys=capsys)


def test_a_vector_of_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = {"name": "regression", "loss": "huber"}
    # The mean of the upper and of the lower half: in the hundreds, and below one.
    project = of_images(tmp_path, "vector", task, lambda each: halves(each[0]))
    run_stages(project)
    found = judged(project)
    assert found["test"]["r2"] > 0.3
    assert found["test"]["rmse_in_std"] < found["baseline"]["rmse_in_std"]
    assert found["interval"]["r2"]["low"] <= found["test"]["r2"] <= found["interval"]["r2"]["high"]
    with (project.reports / "evaluation/report/per_component.csv").open() as file:
        upper, lower = csv.DictReader(file)
    assert upper["component"] == "label[0]"
    assert float(upper["rmse"]) > 500 * float(lower["rmse"])
    assert "values` is float32 [N, 2]" in (project.exported / "card.md").read_text()
    said = predicted(project, str(tmp_path / "data/raw/stripes/1.png"), capsys=capsys)
    first, second = map(float, said.rsplit("label ", 1)[1].split(", "))
    assert first > 10 > second


@pytest.mark.slow
def test_several_labels_of_a_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def label(seed: int) -> str:
        return ", ".join(["good"] * (seed % 3 > 0) + ["bad"] * (seed % 2))

    project = of_texts(tmp_path, "labels", {"name": "multilabel"}, label)
    run_stages(project)
    assert judged(project)["samples"] > 10
    assert "%" in predicted(project, "--text", "good bad", capsys=capsys)


def test_labels_survive_into_the_manifest_and_the_counts(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    project = of_images(tmp_path, "labels", {"name": "multilabel"}, lambda each: each[1])
    run_stages(project, "prepare")
    targets = pq.read_table(project.prepared / "manifest.parquet").column("target").to_pylist()
    assert set(targets) == {"", "across", "down", "across; down"}
    info = read_json(project.prepared / "dataset.json")
    assert info["class_counts"]["train"] == [
        sum("across" in each for each in targets[: info["counts"]["train"]]),
        sum("down" in each for each in targets[: info["counts"]["train"]]),
    ]


@pytest.mark.parametrize(
    ("kind", "label", "problem"),
    [
        ("number", "cat", "'cat' is no finite number"),
        ("number", "3", "all targets are 3: there is nothing to learn"),
        ("number", "inf", "'inf' is no finite number"),
        ("labels", "", "no sample has a label"),
        ("vector", "1;x", "'x' is no finite number"),
        ("vector", "1;1", "the target label[0] is 1 in every training row"),
        ("nubmer", "1", "did you mean number?"),
        ("next_token", "1", "data.target_kind is 'next_token'"),
    ],
)
def test_labels_that_cannot_be_used(kind: str, label: str, problem: str, tmp_path: Path) -> None:
    project = of_images(tmp_path, kind, {"name": "regression"}, lambda _: label)
    with pytest.raises(UserError) as error:
        run_stages(project, "prepare")
    assert problem in str(error.value)
    assert not (project.prepared / "dataset.json").exists()


def test_a_label_that_one_sample_has(tmp_path: Path) -> None:
    write_images(
        tmp_path / "data" / "raw" / "stripes", lambda each: each[1] + (";odd" if each[2] == stripes(5)[2] else "")
    )
    data = {"source": "data/raw/stripes", "format": "image_csv", "target_kind": "labels"}
    project = make_workspace(tmp_path, {"data": data}, {"task": {"name": "multilabel"}, "model": MLP, "augment": {}})
    with pytest.raises(UserError, match="labels of one sample, which cannot be both learnt and judged: odd"):
        run_stages(project, "prepare")


def test_a_task_for_another_target(tmp_path: Path) -> None:
    project = of_images(tmp_path, "labels", {"name": "classification"}, lambda each: each[1])
    run_stages(project, "prepare")
    with pytest.raises(UserError, match=r"set task\.name to multilabel"):
        run_stages(project, "train")
