"""Tiny projects on texts, prepared for real: animals of two classes, and running text of a language model."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.checkpoints.checkpoint import CheckpointConfig, copy_files, save_checkpoint
from samebits.data.loading.prepared import read_info
from samebits.data.preparation.prepare import prepare
from samebits.models import build_model
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams
from samebits.params.section import Section
from samebits.tracking.journal.tracker import NullTracker


def make_text_context(root: Path, **text: Any) -> Any:
    """A context over 120 prepared texts about cats and dogs, of very different lengths; nothing is trained."""
    for animal in ("cat", "dog"):
        folder = root / "data" / "raw" / "animals" / animal
        folder.mkdir(parents=True)
        for k in range(60):
            (folder / f"{k}.txt").write_text(f"the {animal} of house {k} " + "and more " * (k % 7))
    settings = {"source": "data/raw/animals", "format": "text_folder", "validation_fraction": 0.1}
    return _prepared(root, settings | {"text": {"length": 24, "vocabulary": 320} | text})


def make_running_text_context(root: Path, **text: Any) -> Any:
    """A context over the prepared rows of one made-up book; nothing is trained."""
    write_running_text(root / "data" / "raw" / "books")
    settings = {"source": "data/raw/books", "format": "running_text", "validation_fraction": 0.2, "test_fraction": 0.2}
    return _prepared(root, settings | {"text": {"length": 16, "vocabulary": 300} | text})


def write_running_text(folder: Path) -> None:
    """A made-up book."""
    folder.mkdir(parents=True)
    drawn = random.Random(1)
    words = ["the", "sea", "was", "calm", "and", "a", "whale", "turned", "in", "it", "slowly", "while", "nobody"]
    lines = (" ".join(drawn.choices(words, k=drawn.randint(5, 120))) for _ in range(150))
    (folder / "sea.txt").write_text("".join(f"{line.capitalize()}.\n\n" for line in lines))


def save_untrained(context: Any, model: Section, task: dict[str, Any]) -> None:
    """A checkpoint of random weights, large enough for answers to differ, and curves of one epoch."""
    project = context.project
    info = read_info(project.prepared)
    torch.manual_seed(1)
    network = build_model(model, info.signature)
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(0.3 * torch.randn(weights.shape))
    config = CheckpointConfig(
        task=task, model=model.model_dump(), signature=info.signature, data_digest=info.digest, step=1, epoch=1
    )
    save_checkpoint(project.checkpoint, network.state_dict(), config)
    copy_files(project.prepared, project.checkpoint, info.signature)
    curves = project.reports / "train" / "curves.csv"
    curves.parent.mkdir(parents=True)
    curves.write_text("step,train/loss,train/lr,val/accuracy,val/loss\n1,2.5,0.1,0.25,2.4\n")


def _prepared(root: Path, data: dict[str, Any]) -> Any:
    torch.set_num_threads(1)
    (root / "dvc.yaml").write_text("stages: {}\n")
    said: list[str] = []
    context = SimpleNamespace(
        name="stage",
        project=Project(root, root),
        runtime=RuntimeParams(device="cpu", workers=0, progress="off", checkpoint_seconds=1e6),
        tracker=NullTracker(),
        stop=StopRequest(),
        say=said.append,
        said=said,
    )
    prepare(DataParams.model_validate(data), context=context)  # type: ignore[arg-type]
    said.clear()
    return context
