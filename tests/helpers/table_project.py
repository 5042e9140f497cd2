"""A tiny project on a table: houses, prepared for real, a network trained for a moment in the test's own process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from samebits.base.paths import Project
from samebits.checkpoints.checkpoint import CheckpointConfig, save_checkpoint
from samebits.data.loading.prepared import open_split, read_info
from samebits.data.preparation.shards import write_prepared
from samebits.models import build_model
from samebits.models.tabular import Settings as Model
from samebits.params.runtime import RuntimeParams
from samebits.preprocess import build_preprocess
from samebits.tasks import build_task
from samebits.tasks.classification import Settings as Classification
from samebits.tasks.regression import Settings as Regression
from samebits.tracking.journal.tracker import NullTracker
from tests.helpers.tables import csv_text, prepare, rows

CURVES = "step,train/loss,train/lr,val/loss,val/mae,val/mse\n1,2.5,0.1,,,\n2,2.0,0.1,0.4,9.0,81.0\n"


def houses() -> str:
    """A CSV of houses, with some sizes missing."""
    body = rows(400)
    for row in body[::11]:
        row[0] = ""
    return csv_text(body)


def make_table_context(
    root: Path, text: str | None = None, target: str = "price", steps: int = 60, **table: Any
) -> Any:
    """A context over a project with a prepared table (houses, unless told otherwise) and a checkpoint."""
    torch.set_num_threads(1)
    root.mkdir(parents=True)
    (root / "houses.csv").write_text(text or houses(), encoding="utf-8")
    _, encoded = prepare(root / "houses.csv", target=target, **table)
    project = Project(root, root)
    about = {"name": "houses", "title": "Houses", "licence": "none", "files": []}
    write_prepared(project.prepared, about, encoded, shard_mib=0.01)
    info = read_info(project.prepared)
    task_settings = (
        Classification(name="classification")
        if info.classes
        else Regression(name="regression", loss="huber", delta=2.0)
    )
    settings = Model(name="tabular", embedding=4, width=16, members=2, dropout=0.0)
    torch.manual_seed(3)
    task, model = build_task(task_settings, info.signature), build_model(settings, info.signature)
    before = build_preprocess(info.signature)
    samples, targets = open_split(project.prepared, "train", in_memory=True).samples(np.arange(info.counts["train"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    inputs = before(torch.from_numpy(samples))
    for _ in range(steps):
        optimizer.zero_grad()
        task.loss(model(inputs), torch.from_numpy(targets)).backward()
        optimizer.step()
    config = CheckpointConfig(
        task=task_settings.model_dump(),
        model=settings.model_dump(),
        signature=info.signature,
        data_digest=info.digest,
        step=steps,
        epoch=steps,
    )
    save_checkpoint(project.checkpoint, model.state_dict(), config)
    curves = project.reports / "train" / "curves.csv"
    curves.parent.mkdir(parents=True)
    curves.write_text(CURVES)
    said: list[str] = []
    return SimpleNamespace(
        name="stage",
        project=project,
        runtime=RuntimeParams(),
        tracker=NullTracker(),
        stop=SimpleNamespace(requested=False),
        say=said.append,
        said=said,
    )
