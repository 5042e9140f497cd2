"""From a folder of texts to answers: prepare, a checkpoint, export, predict with ONNX Runtime and tokenizers alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import samebits
from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.checkpoints.checkpoint import CheckpointConfig, copy_files, load_checkpoint, save_checkpoint
from samebits.checkpoints.serving import ServingModel
from samebits.cli.main import main
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import open_split, read_info
from samebits.data.preparation.prepare import prepare
from samebits.evaluation.classification import evaluate
from samebits.evaluation.inputs import EvaluationInputs
from samebits.evaluation.report.curves import read_curves
from samebits.export.export import export
from samebits.inference.calibration import UNCALIBRATED
from samebits.inference.session import open_model
from samebits.models import build_model
from samebits.models.embedding_bag import Settings
from samebits.params.data import DataParams
from samebits.params.evaluate import EvaluateParams
from samebits.params.export import ExportParams
from samebits.params.runtime import RuntimeParams
from samebits.tracking.journal.tracker import NullTracker
from tests.helpers.asked import predict_texts

LENGTH = 12


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Texts about dogs and cats, prepared; a bag of embeddings that knows the two words; exported."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("texts")
    folder = root / "data" / "raw" / "animals"
    for animal in ("cat", "dog"):
        (folder / animal).mkdir(parents=True)
        for k in range(60):
            (folder / animal / f"{k}.txt").write_text(f"the {animal} of house {k} " + "and more " * (k % 4))
    project = Project(root, root)
    context: Any = SimpleNamespace(
        project=project,
        runtime=RuntimeParams(progress="off"),
        tracker=NullTracker(),
        stop=SimpleNamespace(requested=False),
        say=lambda line: None,
    )
    text = {"length": LENGTH, "vocabulary": 320}
    data = {"source": "data/raw/animals", "format": "text_folder", "text": text, "validation_fraction": 0.1}
    prepare(DataParams.model_validate(data), context=context)
    info = read_info(project.prepared)
    settings = Settings(name="embedding_bag", width=4, ngrams=2, buckets=64)
    torch.manual_seed(1)
    model = build_model(settings, info.signature)
    batches = Batches(open_split(project.prepared, "train", in_memory=True), batch_size=16, seed=0, bucket=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for batch in batches.stream(0, 60, 0):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch.inputs.long()), batch.targets).backward()
        optimizer.step()
    config = CheckpointConfig(
        task={"name": "classification", "label_smoothing": 0.0},
        model=settings.model_dump(),
        signature=info.signature,
        data_digest=info.digest,
        step=60,
        epoch=1,
    )
    save_checkpoint(project.checkpoint, model.state_dict(), config)
    copy_files(project.prepared, project.checkpoint, info.signature)
    export(ExportParams(batch_sizes=[1, 5]), context=context)
    return project


@pytest.mark.slow
def test_the_folder_alone_is_enough_and_torch_is_not_needed(project: Project, tmp_path: Path) -> None:
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copy(project.exported / name, tmp_path / name)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from samebits.cli.main import main\n"
        "main(['predict', '--model', 'model.onnx', '--text', 'the dog', '--text', 'the cat of house', '--top', '1'])"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[-2] for line in done.stdout.splitlines()] == ["dog", "cat"]


def test_a_model_is_a_function_of_texts(project: Project) -> None:
    texts = ["the dog", "a cat and a dog"]
    shown = [each.shown for each in predict_texts(project.exported / "model.onnx", texts=texts)]
    for path in (project.checkpoint, project.exported / "model.onnx"):
        model = samebits.load(path)
        assert [str(answer) for answer in model(texts)] == shown
        assert model("the dog").label == "dog"
        assert sum(model("the dog").probabilities.values()) == pytest.approx(1.0)
        for wrong in ("", 7, None):
            with pytest.raises(UserError, match="is no text"):
                model(wrong)


def test_answers_are_those_of_the_checkpoint(project: Project) -> None:
    texts = ["the dog", "a cat and a dog and another dog", "x"]
    found = predict_texts(project.exported / "model.onnx", texts=texts, top=2)
    checkpoint = load_checkpoint(project.checkpoint)
    serving = ServingModel(checkpoint.model, checkpoint.task, checkpoint.config.signature).eval()
    from tokenizers import Tokenizer

    rows = Tokenizer.from_file(str(project.checkpoint / "tokenizer.json")).encode_batch(texts)
    with torch.inference_mode():
        wanted = serving(torch.tensor([row.ids for row in rows], dtype=torch.int32)).numpy()
    labels = checkpoint.config.signature.classes
    for each, row in zip(found, wanted, strict=True):
        np.testing.assert_allclose([dict(each.classes)[label] for label in labels], row, atol=1e-5)


def test_files_lines_and_texts_on_the_command_line(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.txt").write_text("the dog " * 30, encoding="utf-16")
    (tmp_path / "lines.txt").write_text("the cat\n\nthe dog\n")
    model = str(project.exported / "model.onnx")
    arguments = ["predict", "--model", model, "--text", "the cat", "--lines", str(tmp_path / "lines.txt")]
    assert main([*arguments, str(tmp_path / "one.txt"), "--top", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1].split()[0] for line in out if "note" not in line] == ["cat", "dog", "cat", "dog"]
    assert any(f"only its first {LENGTH} tokens were read" in line for line in out)
    assert main(["predict", "--model", model]) == 2
    assert "no texts were given" in capsys.readouterr().err
    assert main([*arguments, "--invert"]) == 2
    assert "--invert is not for texts" in capsys.readouterr().err
    assert main([*arguments, "--top", "0"]) == 2


def test_the_rows_of_a_csv_are_texts(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id,text\n1,the cat\n2,the dog\n")
    assert main(["predict", "--model", str(project.exported / "model.onnx"), str(rows), "--top", "1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{rows}:2: cat")
    assert second.startswith(f"{rows}:3: dog")


BROKEN: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "an empty text": (lambda folder: {"texts": ["good", " \n"]}, "1 of 2 samples cannot be used"),
    "half of a surrogate pair": (lambda folder: {"texts": ["\ud800"]}, "half of a surrogate pair"),
    "no such file": (lambda folder: {"files": [folder / "none.txt"]}, "none.txt does not exist"),
    "a picture": (lambda folder: {"files": [folder / "a.png"]}, "NUL bytes"),
    "no such lines": (lambda folder: {"lines": folder / "none"}, "cannot be read"),
    "lines of a picture": (lambda folder: {"lines": folder / "a.png"}, "a.png:1: it holds NUL bytes"),
    "nothing": (lambda folder: {}, "nothing was given"),
    "no classes": (lambda folder: {"texts": ["a"], "top": 0}, "top is 0"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_texts_that_cannot_be_used(project: Project, tmp_path: Path, case: str) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\0\0")
    given, message = BROKEN[case]
    with pytest.raises(UserError, match=message):
        predict_texts(project.exported / "model.onnx", **given(tmp_path))


def test_a_model_needs_its_own_tokenizer(project: Project, tmp_path: Path) -> None:
    model = Path(shutil.copy(project.exported / "model.onnx", tmp_path))
    assert open_model(model)[1]["preprocessing"]["kind"] == "tokens"
    with pytest.raises(UserError, match="does not exist"):
        open_model(tmp_path / "none.onnx")
    with pytest.raises(UserError, match="it belongs beside the model"):
        predict_texts(model, texts=["a"])
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is not the tokeniser"):
        predict_texts(model, texts=["a"])
    model.write_bytes(b"damaged")
    with pytest.raises(UserError, match="no ONNX model"):
        predict_texts(model, texts=["a"])


def test_a_checkpoint_takes_no_other_tokenizer(project: Project, tmp_path: Path) -> None:
    signature = read_info(project.prepared).signature
    with pytest.raises(UserError, match="cannot be read"):
        copy_files(tmp_path, tmp_path / "to", signature)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is not the one that the data were encoded with"):
        copy_files(tmp_path, tmp_path / "to", signature)
    assert not (tmp_path / "to").exists()


def test_the_report_shows_mistakes_as_text(project: Project) -> None:
    checkpoint, info = load_checkpoint(project.checkpoint), read_info(project.prepared)
    with torch.no_grad():
        checkpoint.model.head.weight.neg_()  # type: ignore[union-attr, operator]
    serving = ServingModel(checkpoint.model, checkpoint.task, info.signature).eval()
    split = open_split(project.prepared, "test", in_memory=True)
    (project.workspace / "curves.csv").write_text("step,train/loss\n1,2.0\n2,1.0\n")
    curves = read_curves(project.workspace / "curves.csv")
    evaluated = EvaluationInputs(checkpoint, serving, info, split, project.prepared, curves, lambda: None, UNCALIBRATED)
    found = evaluate(evaluated, EvaluateParams(bootstrap=100, top_k=2))
    page = found.files["report.html"].decode()
    assert "the dog of house" in page
    assert "[CLS]" not in page
    assert json.dumps(found.metrics)
    assert "mistakes.png" not in found.figures
