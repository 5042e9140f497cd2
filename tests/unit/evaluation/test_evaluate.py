"""The stage on a tiny project: what it writes agrees with itself, repeats byte for byte, and needs no network."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.errors import Interrupted, UserError
from samebits.base.files import read_json, write_json
from samebits.base.paths import Project
from samebits.checkpoints.checkpoint import CONFIG
from samebits.data.loading.prepared import open_split
from samebits.drift.reference import NumberStatistic, load_reference
from samebits.evaluation.baseline import Baseline
from samebits.evaluation.evaluate import evaluate
from samebits.evaluation.inputs import EvaluationInputs, outputs_in_batches
from samebits.evaluation.report import figures
from samebits.evaluation.report.classification import Misclassification, render_report
from samebits.metrics.classification import evaluate_predictions, predictions_from_logits
from samebits.metrics.confusion import Confusion
from samebits.params.calibration import CalibrationParams
from samebits.params.evaluate import EvaluateParams
from samebits.signature.kind import Preview

SETTINGS = EvaluateParams(bootstrap=100, batch_size=16, mistakes=5)
FILES = {
    *("metrics.json", "report.html", "predictions.csv", "calibration.csv", "per_class.csv"),
    *("confusion.png", "calibration.png", "mistakes.png", "curves.png"),
}


def read(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.reports / "evaluation").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory, contexts: Any) -> Any:
    """The context of a finished stage, in a project of its own: its files are what other projects must repeat."""
    context = contexts(tmp_path_factory.mktemp("baseline") / "project")
    evaluate(SETTINGS, CalibrationParams(), context=context)
    return context


@pytest.mark.parametrize(("precision", "dtype"), [("fp64", np.float64), ("fp32", np.float32)])
def test_the_model_is_computed_in_the_precision_asked_for(
    precision: Any, dtype: Any, tiny_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def spy(evaluated: EvaluationInputs, batch_size: int) -> Any:
        for outputs, batch in outputs_in_batches(evaluated, batch_size):
            found.append(outputs)
            yield outputs, batch

    monkeypatch.setattr("samebits.evaluation.classification.outputs_in_batches", spy)
    evaluate(SETTINGS.model_copy(update={"precision": precision}), CalibrationParams(), context=tiny_context)
    assert found[0].dtype == dtype


def test_outputs_agree_with_each_other(baseline: Any) -> None:
    files = read(baseline.project)
    assert set(files) == FILES
    metrics = json.loads(files["metrics.json"])
    rows = list(csv.DictReader(files["predictions.csv"].decode().splitlines()))
    assert len(rows) == metrics["samples"] == 60
    assert [row["id"] for row in rows] == [row["source"] for row in rows] == [f"test/{k:06d}" for k in range(200, 260)]
    right = sum(row["actual"] == row["predicted"] for row in rows)
    assert metrics["test"]["accuracy"] == pytest.approx(right / 60, abs=1e-6)
    assert sum(int(row["correct"]) for row in rows) == right
    per_class = list(csv.DictReader(files["per_class.csv"].decode().splitlines()))
    assert sum(int(row["support"]) for row in per_class) == 60
    bins = list(csv.DictReader(files["calibration.csv"].decode().splitlines()))
    assert sum(int(row["count"]) for row in bins) == 60
    assert any(row["confidence"] == "" for row in bins if row["count"] == "0")
    assert set(metrics["interval"]) == set(metrics["test"])
    assert any("Accuracy" in line for line in baseline.said)


def test_the_reference_is_of_training_inputs_and_of_answers_to_validation_samples(baseline: Any) -> None:
    project = baseline.project
    reference = load_reference(project.reference)
    counts = read_json(project.prepared / "dataset.json")["counts"]
    assert {each.name for each in reference.inputs} == {"brightness", "contrast", "sharpness"}
    assert {sum(each.all_counts) for each in reference.inputs} == {counts["train"]}
    answers = {each.name: each for each in reference.answers}
    assert set(reference.columns) == {"prediction", "probability"} <= set(answers)
    assert {sum(each.all_counts) for each in answers.values()} == {counts["validation"]}
    images = open_split(project.prepared, "train", in_memory=True).rows(np.arange(counts["train"]))
    (light,) = [each for each in reference.inputs if each.name == "brightness"]
    assert isinstance(light, NumberStatistic)
    assert light.mean == pytest.approx(images.mean() / 255, rel=1e-5)
    assert light.edges[-1] == pytest.approx(images.mean(axis=(1, 2, 3)).max() / 255)
    assert reference.weights_sha256 == read_json(project.calibration)["weights_sha256"]


def test_batch_size_does_not_change_what_is_said(baseline: Any, tiny_context: Any) -> None:
    first = read(baseline.project)
    evaluate(SETTINGS.model_copy(update={"batch_size": 7}), CalibrationParams(), context=tiny_context)
    second = read(tiny_context.project)
    assert {name for name in FILES if first[name] != second[name]} == {"report.html"}  # it names the parameter


@pytest.mark.parametrize(
    ("change", "file"),
    [
        ({"top_k": 5}, "metrics.json"),
        ({"bootstrap": 200}, "metrics.json"),
        ({"confidence": 0.9}, "metrics.json"),
        ({"calibration_bins": 3}, "calibration.csv"),
        ({"mistakes": 2}, "mistakes.png"),
    ],
)
def test_each_setting_matters(baseline: Any, tiny_context: Any, change: dict[str, Any], file: str) -> None:
    evaluate(SETTINGS.model_copy(update=change), CalibrationParams(), context=tiny_context)
    assert read(tiny_context.project)[file] != read(baseline.project)[file]


@pytest.mark.slow
def test_bytes_are_the_same_from_another_process_and_folder(baseline: Any, tiny_context: Any, tmp_path: Path) -> None:
    first = read(baseline.project)
    program = (
        "import sys\nfrom types import SimpleNamespace as N\nfrom pathlib import Path\nimport torch\n"
        "torch.set_num_threads(1)\n"
        "from samebits.evaluation.evaluate import evaluate\nfrom samebits.params.evaluate import EvaluateParams\n"
        "from samebits.params.runtime import RuntimeParams\nfrom samebits.base.paths import Project\n"
        "from samebits.tracking.journal.tracker import NullTracker\n"
        "root = Path(sys.argv[1])\n"
        "from samebits.params.calibration import CalibrationParams\n"
        "settings = EvaluateParams(bootstrap=100, batch_size=16, mistakes=5)\n"
        "evaluate(settings, CalibrationParams(), context=N(project=Project(root, root), runtime=RuntimeParams(), "
        "tracker=NullTracker(), stop=N(requested=False), say=print))\n"
    )
    environment = os.environ | {
        "PYTHONHASHSEED": "4711",
        "TZ": "Asia/Tokyo",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", program, str(tiny_context.project.workspace)]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True)
    assert {name for name, data in read(tiny_context.project).items() if data != first[name]} == set()


def test_report_needs_nothing_but_itself(baseline: Any) -> None:
    page = read(baseline.project)["report.html"].decode()
    outside = re.findall(r"""(?:src|href)=["'](?!data:)[^"']*|url\([^)]*\)|@import[^;]*|https?://[^"'\s<]*""", page)
    assert outside == []
    assert "<script" not in page
    assert page.count("<figure") == 5
    assert str(baseline.project.workspace) not in page


def test_corrected_labels_are_counted_in_the_report(baseline: Any, tiny_context: Any) -> None:
    assert "<td>corrections</td>" not in read(baseline.project)["report.html"].decode()
    file = tiny_context.project.prepared / "dataset.json"
    made = {name: {"train": 2, "validation": 0, "test": 0} for name in ("relabelled", "dropped")}
    info = read_json(file)
    write_json(file, {**info, "audit": {**info["audit"], "corrections": made}})
    evaluate(SETTINGS, CalibrationParams(), context=tiny_context)
    page = read(tiny_context.project)["report.html"].decode()
    assert "<td>corrections</td><td>train: 2 labels corrected, 2 samples dropped</td>" in page


def test_checkpoint_of_other_data_is_refused(tiny_context: Any) -> None:
    file = tiny_context.project.checkpoint / CONFIG
    write_json(file, read_json(file) | {"data_digest": "f" * 64})
    with pytest.raises(UserError, match=r"was trained on data ffffffffffffffff"):
        evaluate(SETTINGS, CalibrationParams(), context=tiny_context)


def test_stop_is_granted(tiny_context: Any) -> None:
    tiny_context.stop.requested = True
    with pytest.raises(Interrupted):
        evaluate(SETTINGS, CalibrationParams(), context=tiny_context)
    assert not (tiny_context.project.reports / "evaluation").exists()


def page_for(classes: list[str], mistakes: list[Misclassification]) -> str:
    labels = np.arange(len(classes))
    predictions = predictions_from_logits(np.eye(len(classes)) * 9, labels)
    metrics = evaluate_predictions(predictions, top_k=3, bins=5, bootstrap=100, confidence=0.95)
    return render_report(
        metrics,
        Baseline("always <i>x</i>", {"accuracy": 0.25}),
        predictions,
        classes=classes,
        mistakes=mistakes,
        details=[("Data", [("name", "<b>x</b>")])],
        title="t",
        confidence=0.95,
        resamples=100,
        pictures=dict.fromkeys(("confusion.png", "calibration.png"), b"png"),
    )


def test_class_names_cannot_inject_markup() -> None:
    bad = "<script>alert(1)</script>"
    mistake = Misclassification(0, bad, Preview(image=np.zeros((3, 2, 2), np.uint8)), bad, bad, 0.9, 0.1)
    page = page_for([bad, "b", "c"], [mistake, Misclassification(1, bad, Preview(text=bad), "b", "c", 0.9, 0.1)])
    assert "<script" not in page
    assert "<b>x</b>" not in page
    assert "<i>x</i>" not in page
    assert "baseline 25.00 %" in page


HOSTILE = ["$", "$$", "$10^$", "a$^$", "#$1 #$2", "$5-$10", "line\nbreak", "x" * 300, "猫", "</table>", "\u202eabc"]


def test_any_class_name_can_be_drawn() -> None:
    assert figures.drawn_name("$5-$10", "class 1") == "$5-$10"
    assert figures.drawn_name("猫", "class 8") == "class 8"
    assert figures.drawn_name("x" * 300) == "x" * 23 + "…"
    confusion = np.eye(len(HOSTILE), dtype=np.int64) + 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figures.confusion_figure(Confusion.of_matrix(confusion), HOSTILE)[:4] == b"\x89PNG"
        gallery = np.zeros((2, 1, 4, 4), dtype=np.uint8)
        assert figures.mistakes_figure(gallery, ["$10^$", "猫"])[:4] == b"\x89PNG"
    page = page_for(HOSTILE, [])
    assert page.count("</table>") == page.count("<table")
    assert "x" * 300 in page


def test_of_thousands_of_classes_the_worst_are_shown() -> None:
    page = page_for([f"class {k}" for k in range(1500)], [])
    assert "The 40 of 1,500 classes with the lowest F1; per_class.csv has them all." in page
    assert len(page) < 100_000
    matrix = np.eye(1500, dtype=np.int64)
    matrix[7, 1200] = 5
    names = [f"class {k}" for k in range(1500)]
    assert figures.confusion_figure(Confusion.of_matrix(matrix), names)[:4] == b"\x89PNG"


def test_a_perfect_model_and_a_hundred_classes_have_a_page() -> None:
    page = page_for([f"class {k}" for k in range(100)], [])
    assert "every test sample was classified correctly" in page
    assert 'alt="confusion matrix"' in page
    assert "<h2>Training</h2>" not in page
