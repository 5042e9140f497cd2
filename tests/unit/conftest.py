"""A tiny project for the stages after training: made here in milliseconds, of random images, without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from samebits.checkpoint import CheckpointConfig, save_checkpoint
from samebits.data.catalog import load_card
from samebits.data.prepare import make_splits
from samebits.data.prepared import read_info
from samebits.data.shards import write_prepared
from samebits.data.sources import RawDataset, RawSplit
from samebits.models import build_model
from samebits.models.convnet import Settings
from samebits.params.runtime import RuntimeParams
from samebits.paths import Project
from samebits.tracking.tracker import NullTracker

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (1, 12, 12)
CURVES = (
    "step,train/loss,train/lr,val/accuracy,val/loss\n1,2.5,0.1,,\n2,2.0,0.1,0.4,1.9\n3,1.8,0.1,,\n4,1.5,0.0,0.6,1.4\n"
)


class FakeContext(SimpleNamespace):
    """What a stage asks of its context, without a tracker."""

    said: list[str]


def make_project(root: Path) -> Project:
    """Prepared data (200 + 60 images of 12x12, 10 classes), a fresh convnet as checkpoint, training curves."""
    torch.set_num_threads(1)
    random = np.random.Generator(np.random.Philox(3))
    card = load_card(ROOT / "data" / "catalog", "mnist")

    def split(name: str, count: int) -> RawSplit:
        images = random.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
        ids = [f"{name}/{k:06d}" for k in range(count)]
        return RawSplit(images, np.arange(count, dtype=np.int64) % 10, ids, ids)

    raw = RawDataset(train=split("train", 200), test=split("test", 60))
    project = Project(root, root)
    write_prepared(project.prepared, card, make_splits(raw, tuple(card.classes), 0.1), shard_mib=0.002)
    info = read_info(project.prepared)
    settings = Settings(name="convnet", stages=[[4, 8]])
    torch.manual_seed(5)
    model = build_model(settings, SHAPE, 10).eval()
    config = CheckpointConfig(
        task={"name": "classification", "label_smoothing": 0.0},
        model=settings.model_dump(),
        shape=list(SHAPE),
        classes=list(info.classes),
        mean=list(info.mean),
        std=list(info.std),
        data_digest=info.digest,
        step=40,
        epoch=2,
    )
    save_checkpoint(project.checkpoint, model.state_dict(), config)
    curves = project.reports / "train" / "curves.csv"
    curves.parent.mkdir(parents=True)
    curves.write_text(CURVES)
    return project


def make_context(root: Path) -> Any:
    """A context over a project made at `root`."""
    said: list[str] = []
    return FakeContext(
        name="stage",
        project=make_project(root),
        runtime=RuntimeParams(),
        tracker=NullTracker(),
        stop=SimpleNamespace(requested=False),
        say=said.append,
        said=said,
    )


@pytest.fixture(scope="session")
def contexts() -> Callable[[Path], Any]:
    """`make_context`, for fixtures of a wider scope than a test."""
    return make_context


@pytest.fixture
def tiny_context(tmp_path: Path) -> Any:
    return make_context(tmp_path / "project")


@pytest.fixture
def tiny_project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")
