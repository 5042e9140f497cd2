"""A folder as a run leaves it, for code that pages show."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from samebits.checkpoints.checkpoint import CheckpointConfig, save_checkpoint
from samebits.data.loading.prepared import read_info
from samebits.models import build_model
from samebits.models.convnet import Settings


@pytest.fixture
def trained(small_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: prepared data and a checkpoint of MNIST's cut, and an image beside them."""
    shutil.copytree(small_mnist, tmp_path / "data" / "prepared")
    info = read_info(small_mnist)
    settings = Settings(name="convnet")
    config = CheckpointConfig(
        task={"name": "classification"}, model=settings.model_dump(), signature=info.signature, data_digest="", step=0,
        epoch=0,
    )  # fmt: skip
    save_checkpoint(tmp_path / "models" / "checkpoint", build_model(settings, info.signature).state_dict(), config)
    Image.new("L", (28, 28)).save(tmp_path / "digit.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path
