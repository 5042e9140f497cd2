"""Weights and config come back as they were saved; what is damaged or foreign is refused with a message."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from samebits.base.errors import UserError
from samebits.checkpoints.checkpoint import CheckpointConfig, load_checkpoint, load_config, save_checkpoint
from samebits.models import build_model
from samebits.models.convnet import Settings
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature

SETTINGS = Settings(name="convnet", stages=[[4, 8]], dropout=0.5)
CONFIG = CheckpointConfig(
    task={"name": "classification", "label_smoothing": 0.1},
    model=SETTINGS.model_dump(),
    signature=Signature(
        inputs=ImageInputs(shape=[1, 12, 12], mean=[0.1], std=[0.3]), target=ClassTarget(classes=["a", "b", "ç"])
    ),
    data_digest="d" * 64,
    step=40,
    epoch=2,
)


def weights() -> dict[str, torch.Tensor]:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    return build_model(SETTINGS, CONFIG.signature).state_dict()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "saved", weights(), CONFIG)
    return tmp_path / "saved"


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_round_trip(folder: Path) -> None:
    loaded = load_checkpoint(folder)
    assert loaded.config == CONFIG
    assert not any(module.training for module in loaded.model.modules())
    found = loaded.model.state_dict()
    assert found.keys() == weights().keys()
    for name, value in weights().items():
        assert torch.equal(found[name], value), name


def test_the_same_values_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    other = {
        name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
        for name, value in reversed(weights().items())
    }
    save_checkpoint(tmp_path / "again", other, CONFIG)
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name
    other["head.bias"] = other["head.bias"] + 1
    save_checkpoint(tmp_path / "again", other, CONFIG)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()


def test_trained_weights_may_require_gradients(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {name: value.float().requires_grad_() for name, value in weights().items()}, CONFIG)
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.parametrize("content", [b"", b"no safetensors", None])
def test_damaged_weights(folder: Path, content: bytes | None) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    with pytest.raises(UserError, match=r"model\.safetensors is damaged") as error:
        load_checkpoint(folder)
    assert "dvc pull" in error.value.fix


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} does not exist"):
        load_checkpoint(folder)


def test_a_missing_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="does not exist"):
        load_checkpoint(folder)


@pytest.mark.parametrize("change_weights", ["missing", "extra", "shape"])
def test_weights_of_another_model(folder: Path, change_weights: str) -> None:
    path = folder / "model.safetensors"
    found = load_file(path)
    if change_weights == "missing":
        del found["head.bias"]
    elif change_weights == "extra":
        found["foreign"] = torch.zeros(2)
    else:
        found["head.bias"] = torch.zeros(4)
    save_file(found, path)
    with pytest.raises(UserError, match="does not fit the model"):
        load_checkpoint(folder)


def test_a_newer_format_is_told_to_update(folder: Path) -> None:
    change(folder, format_version=3)
    with pytest.raises(UserError, match="format 3, this code reads 2") as error:
        load_config(folder)
    assert "update" in error.value.fix


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"model": {"name": "convmet"}}, "'convmet' is no model"),
        ({"model": {"name": "convnet", "width": 3}}, "model settings"),
        ({"task": {"name": "classificatio"}}, "'classificatio' is no task"),
        ({"task": {"name": "classification", "smoothing": 1}}, "task settings"),
        ({"step": "40"}, "no checkpoint config"),
        ({"foreign": 1}, "no checkpoint config"),
    ],
)
def test_a_config_that_is_wrong(folder: Path, values: dict[str, Any], problem: str) -> None:
    change(folder, **values)
    with pytest.raises(UserError, match=problem):
        load_checkpoint(folder)


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_config_that_is_none(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        load_checkpoint(folder)
