"""A Dataset of one's own, from its file to a prediction: prepare, train, evaluate, export, predict."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

import samebits
from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.cli.main import main
from samebits.inference.array import predict_arrays
from samebits.inference.session import Session
from tests.helpers.in_process import run_stages
from tests.helpers.own_datasets import own_project
from tests.helpers.workspace import ROOT

SERIES = """
    class Samples:
        def __init__(self, path):
            self.path = path

        def __len__(self):
            return 150

        def __getitem__(self, index):
            kind = index % 3
            random = np.random.default_rng(index)
            values = random.normal(size=(2, 24)) + np.sin(np.arange(24) * (kind + 1) / 3)
            return values.astype(np.float32), ("slow", "middle", "fast")[kind]
"""


@pytest.mark.slow
def test_a_time_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    project = own_project(tmp_path, monkeypatch, SERIES)
    lines = run_stages(project)
    assert "3 classes: fast, middle, slow" in lines
    info = read_json(project.prepared / "dataset.json")
    inputs = info["signature"]["inputs"]
    assert (inputs["kind"], inputs["shape"], inputs["stored_dtype"]) == ("array", [2, 24], "float32")
    stored = np.concatenate([np.load(project.prepared / each["inputs"]) for each in info["shards"]["train"]])
    np.testing.assert_allclose(inputs["mean"], stored.astype(np.float64).mean(axis=(0, 2)), rtol=1e-12)
    np.testing.assert_allclose(inputs["std"], stored.astype(np.float64).std(axis=(0, 2)), rtol=1e-12)
    assert "numpy.load" in (project.exported / "card.md").read_text()
    eager, exported = (samebits.load(path) for path in (project.checkpoint, project.exported / "model.onnx"))
    np.testing.assert_allclose(eager(stored[0]).values, exported(stored[0]).values, atol=1e-5)
    with pytest.raises(UserError, match="its shape is"):
        eager(stored[0].T)
    np.save(tmp_path / "one.npy", stored[0])
    np.save(tmp_path / "two.npy", stored[:2].astype(np.float64))
    files = [str(tmp_path / "one.npy"), str(tmp_path / "two.npy")]
    assert main(["predict", "--model", str(project.exported / "model.onnx"), *files]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in said] == [files[0], f"{files[1]}[0]", f"{files[1]}[1]"]
    assert said[0].split(": ")[1] == said[1].split(": ")[1]


def test_the_documented_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "data-own.md").read_text(encoding="utf-8")
    (code,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Samples" in each)
    assert (ROOT / "custom" / "dataset.py").read_text(encoding="utf-8").endswith(code)
    for number in range(60):
        folder = tmp_path / "data" / "raw" / "mine" / ("low", "high")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{number:02}.npy", np.full((2, 9), 100 * (number % 2) + number, dtype=np.uint8))
    project = own_project(tmp_path, monkeypatch, code)
    assert "2 classes: high, low" in run_stages(project, "prepare")


def test_an_array_file_of_another_shape(tmp_path: Path) -> None:
    """Each file of `predict` that the model cannot take is named."""
    metadata = {"preprocessing": {"shape": [2, 3], "dtype": "int32", "stored_dtype": "int16"}, "target": None}
    for name, array in {
        "right": np.ones((2, 3)),
        "several": np.ones((4, 2, 3), dtype=np.int64),
        "other": np.ones((3, 2)),
        "broken": np.full((2, 3), 0.5),
        "objects": np.array(["a"]),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "text.npy").write_text("a,b")
    names = ("right", "several", "other", "broken", "objects", "text", "gone")
    session = cast(Session, SimpleNamespace(require_inputs=lambda wanted: None))
    with pytest.raises(UserError) as caught:
        list(predict_arrays([tmp_path / f"{name}.npy" for name in names], session, metadata))
    said = caught.value.problem
    assert said.startswith("5 of 7 files cannot be used")
    assert "other.npy: its shape is [3, 2], the model takes [2, 3]" in said
    assert "broken.npy: it holds 0.5, which is no int16" in said
    assert "objects.npy: it holds no array of numbers" in said
    assert "gone.npy: No such file or directory" in said
