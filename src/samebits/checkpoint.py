"""The trained model as files: `model.safetensors` (weights) and `config.json` (what is needed to use them).

No code runs from either: safetensors holds tensors, and the model's class is looked up by name in our registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from samebits.errors import UserError
from samebits.files import read_json, write_bytes, write_json
from samebits.models import MODELS, build_model
from samebits.params.section import Section
from samebits.registry import load_module

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
FORMAT_VERSION = 1
_CURE = "make it again (dvc repro) or fetch it (dvc pull)"


class CheckpointConfig(Section):
    """What turns the weights into a usable model.

    Attributes:
        task: the `task` section it was trained with.
        model: the `model` section that built it.
        shape: shape of one input, [channels, height, width].
        classes: names, in the order of the outputs.
        mean: per channel, of pixels scaled to [0, 1], from the training split.
        std: likewise.
        data_digest: of the prepared data it was trained on.
        step: updates made when these weights were taken.
        epoch: the epoch they were taken after, counted from 1.
    """

    format_version: int = FORMAT_VERSION
    task: dict[str, Any]
    model: dict[str, Any]
    shape: list[int] = Field(min_length=3, max_length=3)
    classes: list[str]
    mean: list[float]
    std: list[float]
    data_digest: str
    step: int
    epoch: int


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: fp32 weights on the CPU, the model in eval mode."""

    model: nn.Module
    config: CheckpointConfig


def save_checkpoint(folder: Path, weights: dict[str, torch.Tensor], config: CheckpointConfig) -> None:
    """Write weights (a state dict, on any device) and config. The same values give the same bytes."""
    tensors = {name: value.detach().to("cpu").contiguous() for name, value in sorted(weights.items())}
    write_bytes(folder / WEIGHTS, save(tensors))
    write_json(folder / CONFIG, config.model_dump())


def load_config(folder: Path) -> CheckpointConfig:
    """Read `config.json`.

    Raises:
        UserError: if it is missing, malformed or of a newer format.
    """
    raw = read_json(folder / CONFIG)
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(f"{folder / CONFIG} has format {version}", "update samebits to read it")
    try:
        return CheckpointConfig.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{folder / CONFIG} is no checkpoint config: {error.errors()[0]['msg']}", _CURE) from None


def load_checkpoint(folder: Path) -> Checkpoint:
    """Build the model that `config.json` names and fill in the weights.

    Raises:
        UserError: if a file is missing or damaged, or the weights do not fit the model.
    """
    config = load_config(folder)
    path = folder / WEIGHTS
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", _CURE) from None
    except SafetensorError as error:
        raise UserError(f"{path} is damaged: {error}", _CURE) from None
    module = load_module("model", str(config.model.get("name")), MODELS)
    try:
        settings = module.Settings.model_validate(config.model)
    except ValidationError as error:
        raise UserError(f"{folder / CONFIG}: model settings: {error.errors()[0]['msg']}", _CURE) from None
    model = build_model(settings, tuple(config.shape), len(config.classes))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit the model {config.model}: {error}", _CURE) from None
    return Checkpoint(model.eval(), config)
