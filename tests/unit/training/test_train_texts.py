"""The train stage on texts: what the encoder does not read is said."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.files import sha256_file
from samebits.base.paths import Project
from samebits.data.loading.prepared import open_split, read_info
from samebits.models import bert, embedding_bag
from samebits.params.augment import AugmentParams
from samebits.params.section import Section
from samebits.params.train import TrainParams
from samebits.tasks.classification import Settings as Task
from samebits.tracking.journal.tracker import NullTracker
from samebits.training.train import train
from tests.helpers.text_project import make_text_context

BERT = bert.Settings(name="bert", layers=1, width=16, heads=2, hidden=16, positions=24, dropout=0.0)
TRAIN = TrainParams.model_validate(
    {
        "epochs": 1,
        "batch_size": 32,
        "threads": 1,
        "precision": "fp32",
        "optimizer": {"name": "adamw", "lr": 0.01},
    }
)


class Noted(NullTracker):
    """Keeps the final values."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def summary(self, values: Mapping[str, float]) -> None:
        self.values |= values


pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_text_context(tmp_path_factory.mktemp("texts"))


@pytest.fixture
def context(prepared: Any, tmp_path: Path) -> Any:
    """A project with prepared texts and nothing trained."""
    shutil.copytree(prepared.project.prepared, tmp_path / "data" / "prepared")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    prepared.said.clear()
    return type(prepared)(**vars(prepared) | {"project": Project(tmp_path, tmp_path), "tracker": Noted()})


def run(context: Any, model: Section) -> str:
    """Train for an epoch; the hash of the weights."""
    train(3, "strict", Task(name="classification"), model, AugmentParams(), TRAIN, context=context)
    return sha256_file(context.project.checkpoint / "model.safetensors")


@pytest.mark.parametrize("words", [False, True])
def test_the_share_of_texts_that_the_encoder_cuts_is_said_and_recorded(words: bool, context: Any) -> None:
    split = open_split(context.project.prepared, "train", in_memory=True)
    pad = split.info.signature.tokens.pad
    longer = [np.count_nonzero(row != pad) > 10 for row in split.rows(np.arange(len(split)))]
    share = sum(longer) / len(longer)
    assert 0.1 < share < 0.9
    run(context, BERT.model_copy(update={"reads": 10, "words": words}))
    assert f"the encoder reads 10 tokens: {share:.1%} of the training texts are longer" in context.said
    assert context.tracker.values["train/texts_cut"] == pytest.approx(share)


def test_where_no_text_is_cut_nothing_is_said_and_the_bits_are_the_same(context: Any) -> None:
    longest = read_info(context.project.prepared).signature.tokens.length
    hashes = {run(context, BERT.model_copy(update={"reads": reads})) for reads in (None, longest, 1000)}
    run(context, embedding_bag.Settings(name="embedding_bag", width=4, buckets=64))
    assert len(hashes) == 1
    assert not any("longer" in line for line in context.said)
    assert "train/texts_cut" not in context.tracker.values
