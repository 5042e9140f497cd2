"""A Dataset of one's own, from its file to a prediction: prepare, train, evaluate, export, predict."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import samebits
from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.cli.main import main
from tests.helpers.in_process import run_stages
from tests.helpers.own_datasets import own_project
from tests.helpers.same_answers import evaluated, predicted, same_share
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
    test = np.concatenate([np.load(project.prepared / each["inputs"]) for each in info["shards"]["test"]])
    np.save(tmp_path / "test.npy", test)
    told = predicted(project, capsys, tmp_path / "test.npy")
    for answer, row in zip(told, evaluated(project), strict=True):
        assert answer["prediction"] == row["predicted"]
        assert same_share(answer["probability"], row["confidence"])


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
