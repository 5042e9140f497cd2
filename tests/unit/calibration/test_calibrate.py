"""On tiny projects: what it fits is in the evaluation, in every export and in `samebits.load` alike."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import samebits
from samebits.base.decimals import printed
from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256_file, write_json
from samebits.calibration.calibrate import FEWEST
from samebits.checkpoints.checkpoint import CONFIG, WEIGHTS
from samebits.data.loading.prepared import open_split
from samebits.evaluation.evaluate import evaluate
from samebits.export import onnx as onnx_format
from samebits.export.export import export
from samebits.export.onnx import FILE
from samebits.export.torch_export import load_exported
from samebits.inference.answer import cells_of
from samebits.inference.calibration import Calibration
from samebits.inference.session import open_model
from samebits.params.calibration import CalibrationParams
from samebits.params.evaluate import EvaluateParams
from samebits.params.export import ExportParams
from samebits.signature.labels import LabelsTarget
from samebits.signature.mask import MaskTarget
from samebits.signature.tags import TagsTarget
from tests.helpers.asked import answered
from tests.helpers.image_project import make_context
from tests.helpers.table_project import make_table_context

EVALUATE = EvaluateParams(bootstrap=100, mistakes=3)
EXPORT = ExportParams(batch_sizes=[1, 7], int8=True, int8_loss=1.0, int8_samples=32)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.inference.latency._SECONDS", 0.0)


def fitted(context: Any, **asked: Any) -> Calibration:
    evaluate(EVALUATE, CalibrationParams(**asked), context=context)
    return Calibration.model_validate(read_json(context.project.calibration))


def metrics(context: Any) -> dict[str, Any]:
    found: dict[str, Any] = read_json(context.project.reports / "evaluation" / "metrics.json")
    return found


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A classifier of rows, which learnt something, before its calibration."""
    random = np.random.Generator(np.random.Philox(4))
    rows = random.normal(size=(3000, 2))
    kinds = np.where(rows[:, 0] + 0.5 * random.normal(size=3000) > 0, "up", "down")
    text = "a,b,kind\n" + "".join(f"{a:.3f},{b:.3f},{kind}\n" for (a, b), kind in zip(rows, kinds, strict=True))
    return make_table_context(tmp_path_factory.mktemp("classes") / "project", text, target="kind", steps=400)


def test_the_temperature_lowers_the_log_loss_of_the_validation_split(classes: Any) -> None:
    found = fitted(classes)
    assert found.temperature != 1.0
    assert found.log_loss is not None
    assert found.log_loss_before is not None
    assert found.log_loss < found.log_loss_before
    assert found.weights_sha256 == sha256_file(classes.project.checkpoint / WEIGHTS)
    assert any(line.startswith("their log loss: ") for line in classes.said)
    first = classes.project.calibration.read_bytes()
    evaluate(EVALUATE.model_copy(update={"batch_size": 7}), CalibrationParams(), context=classes)
    assert classes.project.calibration.read_bytes() == first, "whatever the batches"


def test_a_key_turns_each_part_off(classes: Any) -> None:
    found = fitted(classes, temperature=False, ood_rate=None)
    assert (found.temperature, found.log_loss, found.ood_threshold, found.reasons) == (1.0, None, None, {})
    assert fitted(classes).set_probability is None, "sets are by choice"
    with pytest.raises(ValueError, match="sets need a coverage"):
        CalibrationParams(sets=True, coverage=None)


def test_sets_and_the_score_are_in_the_evaluation(classes: Any) -> None:
    found = fitted(classes, sets=True, coverage=0.9)
    assert found.set_probability is not None
    written = metrics(classes)
    assert 0.8 < written["test"]["set_coverage"] <= 1.0
    assert 1.0 <= written["test"]["set_size"] <= 2.0
    assert "set_coverage" in written["interval"]
    assert 0.0 <= written["test"]["ood_rate"] < 0.1


@pytest.mark.slow
def test_evaluation_exports_and_load_answer_with_the_same_temperature(classes: Any) -> None:
    found = fitted(classes)
    written = metrics(classes)
    assert written["uncalibrated"].keys() == {"log_loss", "calibration_error"}
    assert written["uncalibrated"]["log_loss"] != written["test"]["log_loss"]
    page = (classes.project.reports / "evaluation" / "report" / "report.html").read_text()
    assert "Before the temperature that the validation split gave: calibration error" in page
    assert f"<td>temperature</td><td>{found.temperature:g}</td>" in page
    export(EXPORT, context=classes)
    rows = open_split(classes.project.prepared, "test", in_memory=True).samples(np.arange(50, dtype=np.int64))[0]
    with (classes.project.reports / "evaluation" / "report" / "predictions.csv").open() as file:
        wanted = np.array([float(row["confidence"]) for row in csv.DictReader(file)][:50])
    folder = classes.project.exported
    session, metadata = open_model(folder / "model.onnx")
    exact = session.answers(rows, metadata["target"])
    np.testing.assert_allclose(exact.max(axis=1), wanted, atol=2e-6)
    program, more = load_exported(folder / "model.pt2")
    np.testing.assert_allclose(program.module()(torch.from_numpy(rows)).detach().numpy(), exact, atol=1e-5)
    np.testing.assert_allclose(onnx_format.load(folder / "model.int8.onnx")(rows), exact, atol=0.15)
    assert metadata["calibration"] == found == Calibration.model_validate(more["calibration"])
    assert open_model(folder / "model.int8.onnx")[1]["calibration"] == found
    assert f"temperature {found.temperature:g}" in (folder / "card.md").read_text()
    for path in (classes.project.checkpoint, folder / "model.onnx"):
        answer = samebits.load(path)({"a": 0.01, "b": 0.4})
        assert answer.calibration == found
        assert answer.ood_score == pytest.approx(found.ood_scores(answer.values[None])[0])  # type: ignore[index]
    both = [samebits.load(path)({"a": 0.2, "b": 0.1}).values for path in (classes.project.checkpoint, folder / FILE)]
    np.testing.assert_allclose(*both, atol=1e-5)


@pytest.mark.slow
def test_without_a_temperature_the_graph_has_no_operation_more(tmp_path: Path) -> None:
    context = make_context(tmp_path / "project")
    export(ExportParams(formats=["onnx"], batch_sizes=[7]), context=context)
    plain = [node.op_type for node in onnx.load(str(context.project.exported / "model.onnx")).graph.node]
    assert any("calibration.json is not there" in line for line in context.said)
    sha256 = sha256_file(context.project.checkpoint / WEIGHTS)
    for temperature, more in ((1.0, []), (0.5, ["Div"])):
        found = Calibration(weights_sha256=sha256, samples=20, temperature=temperature)
        write_json(context.project.calibration, found.model_dump())
        export(ExportParams(formats=["onnx"], batch_sizes=[7]), context=context)
        ops = [node.op_type for node in onnx.load(str(context.project.exported / "model.onnx")).graph.node]
        assert sorted(ops) == sorted([*plain, *more])


def test_a_calibration_of_other_weights_is_refused_by_all(tmp_path: Path) -> None:
    context = make_context(tmp_path / "project")
    write_json(context.project.calibration, Calibration(weights_sha256="1" * 64, samples=20).model_dump())
    for use in (
        lambda: export(EXPORT, context=context),
        lambda: samebits.load(context.project.checkpoint),
    ):
        with pytest.raises(UserError, match="was fitted to weights 1111111111111111") as error:
            use()
        assert "dvc repro evaluate" in error.value.fix


def test_of_few_samples_it_is_said_what_is_not_there(tmp_path: Path) -> None:
    context = make_context(tmp_path / "project")
    found = fitted(context, sets=True)
    assert (found.temperature, found.set_probability is None, found.ood_threshold) == (1.0, False, None)
    few = f"the validation split has {found.samples} samples, and"
    assert found.reasons == {"temperature": f"{few} {FEWEST} are the fewest", "ood_rate": f"{few} 0.99 needs 99"}
    assert f"no temperature: {found.reasons['temperature']}" in context.said


def test_a_loss_that_is_no_cross_entropy_gets_no_temperature(classes: Any) -> None:
    config = classes.project.checkpoint / CONFIG
    before, values = config.read_bytes(), read_json(config)
    try:
        for name, offered in (("Focal", False), ("CrossEntropyLoss", True)):
            values["task"]["own_loss"] = {"file": "custom/losses.py", "class_name": name}
            write_json(config, values)
            assert ("temperature" not in fitted(classes).reasons) == offered
    finally:
        config.write_bytes(before)


@pytest.mark.slow
def test_numbers_get_intervals(tmp_path: Path) -> None:
    context = make_table_context(tmp_path / "project")
    found = fitted(context, coverage=0.8)
    assert found.half_widths is not None
    assert (found.temperature, found.ood_threshold) == (1.0, None)
    written = metrics(context)
    assert written["test"]["interval_width"] == pytest.approx(2 * found.half_widths[0], rel=1e-4)
    with (context.project.reports / "evaluation" / "report" / "predictions.csv").open() as file:
        rows = [{key: float(row[key]) for key in ("actual", "low", "high")} for row in csv.DictReader(file)]
    held = np.mean([row["low"] <= row["actual"] <= row["high"] for row in rows])
    assert written["test"]["interval_coverage"] == pytest.approx(held, abs=1e-6)
    export(ExportParams(formats=["onnx"], batch_sizes=[7]), context=context)
    first, *_ = answered(context.project.exported / FILE, files=(context.project.home / "houses.csv",))
    (said,), (low,), (high,) = cells_of([first], ["prediction", "low", "high"])
    assert high - said == pytest.approx(found.half_widths[0], rel=1e-4) == said - low
    assert first.json()["interval"] == [pytest.approx((low, high), rel=1e-4)]
    assert first.shown.endswith(f"(0.8: {printed(low)} to {printed(high)})")
    assert fitted(context, coverage=0.999).reasons["coverage"].endswith("and 0.999 needs 999")
    assert fitted(context, coverage=None).half_widths is None
    assert fitted(context, sets=True).reasons == {"sets": "the target is not one class"}


def test_labels_are_rows_of_two_classes() -> None:
    target = LabelsTarget(classes=["a", "b"])
    logits, classes = target.temperature_rows(np.array([[2.0, -1.0]]), np.array([[1, 0]], dtype=np.uint8))
    assert logits.tolist() == [[0.0, 2.0], [0.0, -1.0]]
    assert classes.tolist() == [1, 0]


def test_words_and_pixels_that_do_not_count_are_left_out() -> None:
    tags = TagsTarget(classes=["x", "y"], length=4)
    outputs = np.arange(6, dtype=np.float64).reshape(1, 3, 2)
    logits, classes = tags.temperature_rows(outputs, np.array([[-100, 1, -100, -100]], dtype=np.int16))
    assert (logits.tolist(), classes.tolist()) == ([[2.0, 3.0]], [1])
    masks = MaskTarget(classes=["x", "y"], colours=[[0, 0, 0], [255, 0, 0]], shape=[40, 40])
    targets = np.random.Generator(np.random.Philox(1)).integers(0, 2, (2, 40, 40)).astype(np.uint8)
    pixels = np.stack([1.0 - targets, targets], axis=1).astype(np.float64)
    targets[0, 0, 0] = 255
    logits, classes = masks.temperature_rows(pixels, targets)
    assert len(classes) == 2 * 256 - 1
    assert (logits.argmax(axis=1) == classes).all()
