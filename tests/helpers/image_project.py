"""A tiny project for the stages after training: made here in milliseconds, of random images, without a network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from samebits.base.paths import Project
from samebits.checkpoints.checkpoint import CheckpointConfig, save_checkpoint
from samebits.data.fetching.catalog import load_card
from samebits.data.loading.prepared import read_info
from samebits.data.preparation.prepare import split_and_encode
from samebits.data.preparation.shards import write_prepared
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.sample_hashes import sample_hashes
from samebits.models import build_model
from samebits.models.convnet import Settings
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams
from samebits.tracking.journal.tracker import NullTracker
from tests.helpers.workspace import ROOT, about

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

    images = random.integers(0, 256, (260, *SHAPE), dtype=np.uint8)
    given = ["train"] * 200 + ["test"] * 60
    ids = [f"{name}/{k:06d}" for k, name in enumerate(given)]
    raw = RawImages(
        ids=ids,
        origins=ids,
        hashes=sample_hashes(images),
        targets=np.arange(260, dtype=np.int64) % 10,
        classes=tuple(card.classes),
        given=given,
        parts=[images],
    )
    project = Project(root, root)
    encoded = split_and_encode(raw, DataParams(validation_fraction=0.1))
    write_prepared(project.prepared, about(card), encoded, shard_mib=0.002)
    info = read_info(project.prepared)
    settings = Settings(name="convnet", stages=[[4, 8]])
    torch.manual_seed(5)
    model = build_model(settings, info.signature).eval()
    config = CheckpointConfig(
        task={"name": "classification", "label_smoothing": 0.0},
        model=settings.model_dump(),
        signature=info.signature,
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
