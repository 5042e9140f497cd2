"""The stage on a tiny project: both formats serve the checkpoint's answers, repeat byte for byte, or do not appear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import calibrate

from samebits.base.errors import Interrupted, UserError
from samebits.base.files import read_json, write_json
from samebits.base.paths import Project
from samebits.checkpoints.checkpoint import CONFIG, load_checkpoint
from samebits.checkpoints.serving import ServingModel
from samebits.data.loading.prepared import open_split
from samebits.export import EXPORTERS, int8
from samebits.export import onnx as onnx_format
from samebits.export import torch_export as torch_format
from samebits.export.export import MEASURED, _score, export
from samebits.export.parity import SAMPLED, measure_parity, sampled_rows
from samebits.export.torch_export import load_exported
from samebits.params.export import ExportParams
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.tasks.classification import Classification
from samebits.tracking.journal.tracker import NullTracker

SETTINGS = ExportParams(batch_sizes=[1, 7, 33])


@pytest.fixture(autouse=True)
def _short_latencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.inference.latency._SECONDS", 0.0)


def read(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in project.exported.iterdir()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, contexts: Any) -> Project:
    """A project that was exported in both formats."""
    context = contexts(tmp_path_factory.mktemp("exported") / "project")
    write_json(context.project.reference, {"of": "the training data"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("samebits.inference.latency._SECONDS", 0.0)
        export(SETTINGS, context=context)
    exported: Project = context.project
    return exported


def test_both_formats_answer_as_the_checkpoint(project: Project) -> None:
    folder = project.exported
    files = read(project)
    assert set(files) == {"model.onnx", "model.pt2", "card.md", "export.json", "pixels.py", "reference.json"}
    assert files["reference.json"] == project.reference.read_bytes()
    checkpoint = load_checkpoint(project.checkpoint)
    images = np.random.Generator(np.random.Philox(1)).integers(0, 256, (13, 1, 12, 12), dtype=np.uint8)
    inputs = checkpoint.config.signature.images
    # By hand, not by ServingModel: pixels to [0, 1], normalised, logits, softmax.
    pixels = torch.from_numpy(images).double() / 255
    normal = ((pixels - inputs.mean[0]) / inputs.std[0]).float()
    with torch.inference_mode():
        wanted = torch.softmax(checkpoint.model(normal), dim=1).numpy()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    assert np.abs(session.run(None, {"images": images})[0] - wanted).max() < 1e-5
    program, metadata = load_exported(folder / "model.pt2")
    assert np.abs(program.module()(torch.from_numpy(images)).detach().numpy() - wanted).max() < 1e-5
    stored = session.get_modelmeta().custom_metadata_map
    assert json.loads(stored["labels"]) == metadata["labels"] == list(checkpoint.config.signature.classes)
    assert json.loads(stored["preprocessing"])["shape"] == [1, 12, 12]
    assert json.loads(stored["dataset"])["digest"] == metadata["dataset"]["digest"] == checkpoint.config.data_digest


def test_onnx_has_a_dynamic_batch_a_stated_opset_and_nothing_of_the_machine(project: Project) -> None:
    path = project.exported / "model.onnx"
    model = onnx.load(str(path))
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == onnx_format.OPSET
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    for word in (b"/home/", b"/tmp/", b"site-packages", b".py"):
        assert word not in path.read_bytes()


@pytest.mark.slow
def test_bytes_are_the_same_from_another_process_and_folder(
    project: Project, tiny_context: Any, tmp_path: Path
) -> None:
    first = read(project)
    program = (
        "import sys\nfrom types import SimpleNamespace as N\nfrom pathlib import Path\n"
        "from samebits.inference import latency\nlatency._SECONDS = 0.0\n"
        "from samebits.export.export import export\nfrom samebits.params.export import ExportParams\n"
        "from samebits.params.runtime import RuntimeParams\nfrom samebits.base.paths import Project\n"
        "from samebits.tracking.journal.tracker import NullTracker\n"
        "root = Path(sys.argv[1])\n"
        "export(ExportParams(batch_sizes=[1, 7, 33]), context=N(project=Project(root, root), "
        "runtime=RuntimeParams(), tracker=NullTracker(), stop=N(requested=False), say=print))\n"
    )
    environment = os.environ | {
        "PYTHONHASHSEED": "4711",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", program, str(tiny_context.project.workspace)]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True)
    assert {name for name, data in read(tiny_context.project).items() if data != first[name]} == set()


def test_formats_are_those_asked_for_and_old_ones_go(tiny_context: Any) -> None:
    tiny_context.project.exported.mkdir(parents=True)
    (tiny_context.project.exported / "old.bin").write_bytes(b"old")
    export(ExportParams(formats=["torch_export"], batch_sizes=[33]), context=tiny_context)
    assert set(read(tiny_context.project)) == {"model.pt2", "card.md", "export.json", "pixels.py"}
    report = read_json(tiny_context.project.exported / "export.json")
    assert list(report["formats"]) == ["torch_export"]
    measured = read_json(tiny_context.project.state / MEASURED)["measured"]
    assert list(measured["torch_export"]["largest_difference"]) == ["33"]
    assert "model.onnx" not in (tiny_context.project.exported / "card.md").read_text()


def test_a_file_that_differs_fails_the_stage_and_leaves_the_old_export(
    tiny_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = tiny_context.project.exported
    exported.mkdir(parents=True)
    (exported / "old.bin").write_bytes(b"old")
    real = torch_format.load

    def wrong(path: Path) -> Any:
        predict = real(path)
        return lambda images: predict(images) + np.float32(2e-4)

    monkeypatch.setattr(torch_format, "load", wrong)
    with pytest.raises(UserError, match=r"torch_export export is not the checkpoint's equal at batch size 7"):
        export(ExportParams(formats=["torch_export"], batch_sizes=[7]), context=tiny_context)
    assert {path.name for path in exported.parent.iterdir()} == {"checkpoint", "export"}
    assert set(read(tiny_context.project)) == {"old.bin"}
    export(ExportParams(formats=["torch_export"], batch_sizes=[7], tolerance=1e-3), context=tiny_context)
    assert "model.pt2" in read(tiny_context.project)


def test_int8_is_a_smaller_copy_that_was_judged(tiny_context: Any) -> None:
    settings = ExportParams(formats=["onnx"], batch_sizes=[33], int8=True, int8_samples=40, int8_loss=1.0)
    export(settings, context=tiny_context)
    exported = tiny_context.project.exported
    first = read(tiny_context.project)
    assert set(first) == {"model.onnx", "model.int8.onnx", "card.md", "export.json", "pixels.py"}
    assert read_json(exported / "export.json")["int8"]["loses_at_most"] == 1.0
    quantized = onnx.load(str(exported / "model.int8.onnx"))
    kinds = {node.op_type for node in quantized.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert any(each.data_type == onnx.TensorProto.INT8 for each in quantized.graph.initializer)
    # What the report says is what the file does.
    session, split = onnxruntime.InferenceSession(str(exported / "model.int8.onnx")), tiny_context.project.prepared
    test = open_split(split, "test", in_memory=True)
    images, labels = test.samples(np.arange(len(test)))
    probabilities = session.run(None, {"images": images})[0]
    measured = read_json(tiny_context.project.state / MEASURED)["measured"]["int8"]
    assert measured["score"] == pytest.approx((probabilities.argmax(axis=1) == labels).mean(), abs=1e-6)
    # In 8 bits they would be multiples of one step, their sum off by up to half of it each.
    assert np.abs(probabilities.sum(axis=1) - 1.0).max() < 1e-6
    assert set(session.get_modelmeta().custom_metadata_map) >= {"labels", "preprocessing"}
    assert "8-bit integers" in (exported / "card.md").read_text()
    assert b"/tmp" not in first["model.int8.onnx"]
    export(settings, context=tiny_context)
    assert read(tiny_context.project) == first


class Recorded(NullTracker):
    """Keeps final values and files."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.files: dict[str, bytes] = {}

    def summary(self, values: Mapping[str, float]) -> None:
        self.values |= values

    def artifact(self, path: Path, folder: str = "") -> None:
        self.files[f"{folder}/{path.name}"] = path.read_bytes()


def test_what_was_measured_is_recorded_and_in_no_output(tiny_context: Any) -> None:
    tiny_context.tracker = Recorded()
    settings = ExportParams(formats=["onnx"], batch_sizes=[7, 33], int8=True, int8_samples=40, int8_loss=1.0)
    export(settings, context=tiny_context)
    recorded = tiny_context.tracker
    assert {f"export/onnx/{name}" for name in ("bytes", "ties", "largest_difference", "latency_ms_batch_1")} | {
        f"export/onnx/largest_difference_batch_{size}" for size in (7, 33)
    } | {f"export/int8/{name}" for name in ("bytes", "score", "loss", "same_class")} <= set(recorded.values)
    values = [recorded.values[f"export/onnx/largest_difference_batch_{size}"] for size in (7, 33)]
    assert recorded.values["export/onnx/largest_difference"] == max(values) < settings.tolerance
    assert set(recorded.files) == {f"export/{name}" for name in ("card.md", "export.json", "measured.json")}
    assert recorded.files["export/measured.json"] == (tiny_context.project.state / MEASURED).read_bytes()
    report = read_json(tiny_context.project.exported / "export.json")
    assert set(report["formats"]["onnx"]) == {"bytes", "file", "ir_version", "opset", "sha256", "within_tolerance"}
    assert set(report["int8"]) == {"bytes", "file", "loses_at_most", "sha256"}


def test_int8_ranges_are_the_same_where_activations_differ_in_their_last_bits(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = open_split(project.prepared, "train", in_memory=True)
    real = calibrate.MinMaxCalibrater.compute_data

    def nearly(calibrator: Any) -> Any:
        found = real(calibrator)
        for data in found.values():
            data.lowest, data.highest = data.lowest * np.float32(1 + 3e-7), data.highest * np.float32(1 - 3e-7)
        return found

    int8.quantize(project.exported / "model.onnx", tmp_path / "here.onnx", training, 40)
    monkeypatch.setattr(calibrate.MinMaxCalibrater, "compute_data", nearly)
    int8.quantize(project.exported / "model.onnx", tmp_path / "elsewhere.onnx", training, 40)
    assert (tmp_path / "here.onnx").read_bytes() == (tmp_path / "elsewhere.onnx").read_bytes()


def test_int8_ranges_hold_all_that_was_seen() -> None:
    bounds = np.float32([0.0, 1.0, 0.1, 6.0, 3.14159, -0.7, -1e-30, 1e30])
    wider = int8._coarser(bounds)
    assert (wider >= bounds).all()
    assert (wider - bounds <= np.abs(bounds) / 128).all()
    assert wider[:2].tolist() == [0.0, 1.0]


def test_int8_that_loses_too_much_is_refused(project: Project) -> None:
    split = open_split(project.prepared, "test", in_memory=True)
    assert split.targets is not None
    perfect = np.eye(len(split.info.classes), dtype=np.float32)[split.targets]
    answers = iter(np.array_split(perfect, range(500, len(split), 500)))
    assert int8.measure_quantized(lambda _: next(answers), perfect, split, _score, 0.0) == int8.QuantizationResult(
        1.0, 0.0, 1.0
    )

    def first_class(images: Any) -> Any:
        return np.tile(np.float32([1] + [0] * (perfect.shape[1] - 1)), (len(images), 1))

    with pytest.raises(
        UserError, match=r"int8 model reaches a test accuracy of 0\.\d+, the checkpoint 1\.0000"
    ) as error:
        int8.measure_quantized(first_class, perfect, split, _score, 0.002)
    assert "export.int8_loss" in error.value.fix
    share = float((split.targets == 0).mean())
    assert int8.measure_quantized(first_class, perfect, split, _score, 1.0).agreement == pytest.approx(share, abs=1e-6)


def test_int8_that_cannot_be_made_leaves_nothing(tiny_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr("onnxruntime.quantization.quantize_static", fail)
    with pytest.raises(UserError, match="cannot quantise the model: no"):
        export(ExportParams(formats=["onnx"], batch_sizes=[33], int8=True), context=tiny_context)
    assert not tiny_context.project.exported.exists()


@pytest.mark.parametrize("count", [1, 3])
def test_a_score_that_is_undefined_is_left_out_and_int8_is_refused_without_one(count: int) -> None:
    signature = SimpleNamespace(target=NumberTarget(name="y", mean=0.0, std=1.0))
    # The mean of three 0.1 is not 0.1.
    split: Any = SimpleNamespace(targets=np.full(count, 0.1, np.float32), info=SimpleNamespace(signature=signature))
    assert _score(np.zeros(count, np.float32), split) == {}
    with pytest.raises(UserError, match="all of its targets are equal"):
        int8.measure_quantized(lambda x: x, np.zeros(count, np.float32), split, _score, 0.1)


def test_int8_is_made_from_onnx() -> None:
    with pytest.raises(ValueError, match="add onnx to formats"):
        ExportParams(formats=["torch_export"], int8=True)


def test_threads_are_put_back(tiny_context: Any) -> None:
    torch.set_num_threads(2)
    try:
        export(ExportParams(formats=["torch_export"], batch_sizes=[33]), context=tiny_context)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_checkpoint_of_other_data_is_refused(tiny_context: Any) -> None:
    file = tiny_context.project.checkpoint / CONFIG
    write_json(file, read_json(file) | {"data_digest": "f" * 64})
    with pytest.raises(UserError, match="was trained on data"):
        export(SETTINGS, context=tiny_context)


def test_stop_is_granted_and_leaves_nothing(tiny_context: Any) -> None:
    tiny_context.stop.requested = True
    with pytest.raises(Interrupted):
        export(SETTINGS, context=tiny_context)
    assert [path.name for path in tiny_context.project.checkpoint.parent.iterdir()] == ["checkpoint"]


def test_the_card_says_what_was_measured(project: Project) -> None:
    card = (project.exported / "card.md").read_text()
    report = read_json(project.exported / "export.json")
    assert f"{report['test']['accuracy']:.2%} of 60 test samples" in card
    assert report["data_digest"] in card
    assert report["weights_sha256"] in card
    assert "CC BY-SA" in card
    assert "12×12" in card


def test_every_format_has_the_same_face() -> None:
    from samebits.base.registry import load_module

    for name in EXPORTERS:
        module = load_module("export format", name, EXPORTERS)
        assert module.FILE
        assert callable(module.export)
        assert callable(module.load)


class Broken(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().flatten(1) if images.sum() > 0 else images.float().flatten(1) * 2


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_model_that_cannot_be_exported_says_so(name: str, tmp_path: Path) -> None:
    from samebits.base.registry import load_module

    module = load_module("export format", name, EXPORTERS)
    example = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    inputs = ImageInputs(shape=[1, 4, 4], mean=[0.1], std=[0.3])
    signature = Signature(inputs=inputs, target=ClassTarget(classes=["a", "b"]))
    serving = ServingModel(Broken(), Classification(0.0), signature).eval()
    with pytest.raises(UserError, match=r"cannot be exported"):
        module.export(serving, example, tmp_path / module.FILE, {})
    assert list(tmp_path.iterdir()) == []


def parity_of(tiny_project: Project, change: Any, **settings: Any) -> Any:
    split = open_split(tiny_project.prepared, "test", in_memory=True)
    random = np.random.Generator(np.random.Philox(2))
    reference = random.dirichlet(np.ones(10), 60).astype(np.float32)
    at = {split.rows(np.array([k])).tobytes(): k for k in range(60)}

    def predict(images: np.ndarray) -> np.ndarray:
        rows = reference[[at[image[None].tobytes()] for image in images]].copy()
        change(rows)
        return rows

    values = {"batch_sizes": [1, 7, 33], "tolerance": 1e-4, "check": lambda: None} | settings
    return measure_parity("made", predict, reference, split, **values)


def test_parity_measures_the_largest_difference(tiny_project: Project) -> None:
    def shift(rows: np.ndarray) -> None:
        rows[-1, 3] += 3e-5 if len(rows) == 33 else 1e-5

    result = parity_of(tiny_project, shift)
    assert result.difference[33] == pytest.approx(3e-5, rel=0.02)
    assert result.difference[7] == pytest.approx(1e-5, rel=0.02)
    assert result.worst == result.difference[33]


def test_batch_sizes_side_by_side_are_judged_as_one_after_the_other(tiny_project: Project) -> None:
    threads: set[int] = set()

    def shift(rows: np.ndarray) -> None:
        threads.add(threading.get_ident())
        rows[-1, 3] += 1e-6 * len(rows)

    alone = parity_of(tiny_project, shift)
    assert len(threads) == 1
    threads.clear()
    second = threading.Event()

    def shift_beside(rows: np.ndarray) -> None:
        shift(rows)
        if len(threads) > 1:
            second.set()
        # Else one quick thread may have judged every batch size before another has started.
        assert second.wait(60)

    assert parity_of(tiny_project, shift_beside, workers=3) == alone
    assert len(threads) > 1

    def shift_more(rows: np.ndarray) -> None:
        rows[-1, 3] += 1e-3 if len(rows) > 1 else 0.0

    with pytest.raises(UserError, match="batch size 7"):
        parity_of(tiny_project, shift_more, workers=3)


def test_every_test_sample_is_compared_once_and_a_sample_at_each_batch_size(
    tiny_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.export.parity.SAMPLED", 20)
    sizes: list[int] = []
    parity_of(tiny_project, lambda rows: sizes.append(len(rows)))
    sampled, whole = sizes[:-2], sizes[-2:]
    assert whole == [33, 27]
    # A batch is never smaller than its size for want of samples.
    assert sampled == [1] * 20 + [7, 7, 6] + [33]


def test_rows_of_a_batch_size_are_spread_over_the_split() -> None:
    assert sampled_rows(3, 1).tolist() == [0, 1, 2]
    assert sampled_rows(0, 1).tolist() == []
    rows = sampled_rows(10_000, 7)
    assert len(rows) == SAMPLED
    assert (rows[0], rows[-1]) == (0, 9999)
    assert set(np.diff(rows)) <= {39, 40}
    assert len(sampled_rows(10_000, 1000)) == 1000


def test_one_wrong_sample_of_many_is_found_and_named(tiny_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.export.parity.SAMPLED", 2)

    def shift(rows: np.ndarray) -> None:
        if len(rows) == 27:
            rows[5, 0] += 1e-3

    with pytest.raises(UserError, match=r"at batch size 33: an answer differs by 0\.001 in test sample 38,"):
        parity_of(tiny_project, shift)


@pytest.mark.parametrize("value", [np.nan, np.inf, 2e-4])
def test_parity_refuses_values_that_differ_in_the_last_partial_batch(tiny_project: Project, value: float) -> None:
    def shift(rows: np.ndarray) -> None:
        if len(rows) == 60 % 7:
            rows[-1, 0] += value

    with pytest.raises(UserError, match="batch size 7"):
        parity_of(tiny_project, shift)


def test_parity_refuses_another_class_even_within_the_tolerance(tiny_project: Project) -> None:
    def swap(rows: np.ndarray) -> None:
        rows[:] = np.roll(rows, 1, axis=1)

    with pytest.raises(UserError, match=r"test sample \d+ gets another class"):
        parity_of(tiny_project, swap, tolerance=0.99, batch_sizes=[60])
