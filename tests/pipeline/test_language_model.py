"""A language model of one book through the four stages, and text from its export without torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from samebits.base.files import read_json
from samebits.data.fetching.catalog import load_card
from samebits.data.fetching.fetch import fetch
from tests.helpers.workspace import ROOT, run_stage, set_params, stage_environment

BOOK = "carroll-alice.txt"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GENERATE = """
import sys
from samebits.cli.main import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules
raise SystemExit(code)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four stages over one real book, with a tiny model."""
    folder = tmp_path_factory.mktemp("book")
    for name in ("custom", "src", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("params.yaml", "dvc.yaml", "packages.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "data" / "catalog", folder / "data" / "catalog")
    shutil.copy(ROOT / "data" / "corrections.csv", folder / "data")
    (folder / "data" / "raw").mkdir()
    shutil.copy(fetch(load_card(ROOT / "data" / "catalog", "gutenberg"))[BOOK], folder / "data" / "raw" / BOOK)
    text = {"tokenizer": "bpe", "vocabulary": 300, "length": 32}
    model = {"name": "gpt", "layers": 2, "heads": 2, "width": 32}
    set_params(
        folder,
        {
            "data": {
                "source": f"data/raw/{BOOK}",
                "format": "running_text",
                "text": text,
                "validation_fraction": 0.15,
                "test_fraction": 0.2,
            },
            "train": {"epochs": 1, "batch_size": 32, "threads": 1, "gradient_clip": 1.0},
            "evaluate": {"bootstrap": 100, "mistakes": 3, "batch_size": 64},
            "export": {"batch_sizes": [1, 33, 256], "formats": ["onnx", "torch_export", "huggingface"]},
            "runtime": {"tracking": {"enabled": False}},
        },
        replace={"task": {"name": "language_model"}, "model": model},
    )
    optimizer = {"name": "muon", "lr": 0.02, "weight_decay": 0.1}
    set_params(folder, {"train": {"optimizer": optimizer, "schedule": {"name": "wsd"}}})
    for stage in ("prepare", "train", "evaluate", "export"):
        result = run_stage(folder, stage)
        assert result.returncode == 0, result.stderr
    return folder


def write(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GENERATE, "generate", *arguments],
        cwd=project,
        env=stage_environment(PYTHONPATH=str(project / "src")),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_book_becomes_a_model_that_is_better_than_chance(project: Path) -> None:
    trained = read_json(project / "reports" / "train" / "metrics.json")["val"]
    judged = read_json(project / "reports" / "evaluation" / "metrics.json")
    assert set(trained) == {"loss", "accuracy", "perplexity", "bits_per_byte"}
    # Single bytes by their frequencies alone take about 4.5 bits.
    assert 1.0 < judged["test"]["bits_per_byte"] < 4.0
    assert judged["interval"]["bits_per_byte"]["low"] < judged["test"]["bits_per_byte"]
    curves = (project / "reports" / "train" / "curves.csv").read_text().splitlines()[0].split(",")
    assert {"val/loss", "val/perplexity", "val/bits_per_byte"} <= set(curves)
    page = (project / "reports" / "evaluation" / "report" / "report.html").read_text()
    assert "What it writes" in page
    assert "carroll-alice.txt:" in page


def test_the_export_equals_the_checkpoint_and_has_its_tokenizer(project: Path) -> None:
    report = read_json(project / "models" / "export" / "export.json")
    for name in ("onnx", "torch_export", "huggingface"):
        assert report["formats"][name]["within_tolerance"]
        measured = read_json(project / ".samebits" / "measured.json")["measured"][name]
        assert measured["greedy_tokens"] == 600
        assert max(measured["largest_difference"].values()) < 1e-4
    tokenizer = (project / "data" / "prepared" / "tokenizer.json").read_bytes()
    for folder in ("checkpoint", "export"):
        assert (project / "models" / folder / "tokenizer.json").read_bytes() == tokenizer
    judged = read_json(project / "reports" / "evaluation" / "metrics.json")
    assert report["test"]["bits_per_byte"] == pytest.approx(judged["test"]["bits_per_byte"], abs=1e-4)


def test_text_is_generated_without_torch_and_by_seed(project: Path) -> None:
    first, again = (write(project, "Alice was", "--tokens", "40", "--seed", "3") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("Alice was")
    assert len(first.stdout) > len("Alice was") + 20
    assert again.stdout == first.stdout
    assert write(project, "Alice was", "--tokens", "40", "--seed", "4").stdout != first.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tokens", "0"], "--tokens is 0"),
        (["--temperature", "-1"], "--temperature is -1"),
        (["--top-p", "0"], "--top-p is 0"),
        (["--top-k", "0"], "--top-k is 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--model", "none.onnx"], "does not exist"),
        (["--model", "models/export"], "is a folder"),
        (["--model", "models/export/card.md"], "is no ONNX model"),
    ],
)
def test_a_bad_request_says_why(project: Path, arguments: list[str], said: str) -> None:
    result = write(project, "Alice", *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_another_tokenizer_beside_the_model_is_refused(project: Path, tmp_path: Path) -> None:
    shutil.copy(project / "models" / "export" / "model.onnx", tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    result = write(project, "Alice", "--model", str(tmp_path / "model.onnx"))
    assert result.returncode == 2
    assert "is not the tokeniser" in result.stderr


def test_an_int8_copy_is_refused_before_anything_is_made(project: Path) -> None:
    before = (project / "models" / "export" / "export.json").read_bytes()
    set_params(project, {"export": {"int8": True}})
    try:
        result = run_stage(project, "export")
    finally:
        set_params(project, {"export": {"int8": False}})
    assert result.returncode == 2
    assert "export.int8 is not for language models" in result.stderr
    assert "Traceback" not in result.stderr
    assert "model.onnx" not in result.stdout + result.stderr
    assert (project / "models" / "export" / "export.json").read_bytes() == before
