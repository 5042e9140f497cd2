"""A text classifier through the four stages, and its answers by transformers from the exported folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import samebits
from tests.helpers.in_process import make_workspace, run_stages

pytestmark = pytest.mark.slow

BERT = {"name": "bert", "layers": 1, "width": 32, "heads": 2, "hidden": 64, "positions": 24}


def test_a_trained_classifier_answers_in_transformers_as_in_samebits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    monkeypatch.chdir(tmp_path)
    data = {
        "source": "data/raw/animals",
        "format": "text_folder",
        "validation_fraction": 0.2,
        "text": {"tokenizer": "bpe", "vocabulary": 300, "length": 24},
    }
    export = {"formats": ["onnx", "huggingface"], "batch_sizes": [1, 7]}
    train = {"epochs": 2, "optimizer": {"lr": 3e-3}}
    task = {"name": "classification", "label_smoothing": 0.2}
    override = {"data": data, "export": export, "train": train, "transfer": {"weights": None}}
    project = make_workspace(tmp_path, override, {"model": {**BERT, "pooling": "cls", "head": "dense"}, "task": task})
    for animal in ("cat", "dog"):
        folder = tmp_path / "data" / "raw" / "animals" / animal
        folder.mkdir(parents=True)
        for k in range(60):
            other = ("dog", "cat")[animal == "dog"] if k % 5 == 0 else "horse"
            (folder / f"{k}.txt").write_text(f"The {animal} of House {k}, no {other}. " + "and more " * (k % 4))
    run_stages(project)
    folder = project.exported / "huggingface"
    texts = ["The dog of House 7", "a CAT,  no dog", "ﬁne cafe\u0301 \r\n and more " + "more " * 40]
    ours = samebits.load(project.exported / "model.onnx")(texts)
    pipeline: Any = transformers.pipeline("text-classification", model=str(folder), top_k=None, truncation=True)
    for found, answer in zip(pipeline(texts), ours, strict=True):
        said = {each["label"]: each["score"] for each in found}
        assert set(said) == {"cat", "dog"}
        wanted, names = dict(answer.top(2)), sorted(said)
        np.testing.assert_allclose([said[name] for name in names], [wanted[name] for name in names], atol=1e-4)
