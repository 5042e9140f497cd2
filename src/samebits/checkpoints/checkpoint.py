"""The trained model as files: `model.safetensors` (weights), `config.json` (what is needed to use them); of texts,
`tokenizer.json`.

No code runs from either: safetensors holds tensors, and the model's class is looked up by name in our registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from samebits.base.boundary import own_place
from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256_bytes, write_bytes, write_json
from samebits.base.registry import load_module
from samebits.checkpoints.stream import write_tensors
from samebits.checkpoints.tied import load_weights
from samebits.models import build_model
from samebits.params.choices import MODELS, TASKS
from samebits.params.own import OwnPart
from samebits.params.section import Section
from samebits.signature.signature import Signature
from samebits.tasks import Task, build_task
from samebits.tasks.own_section import TakesOwnMetrics

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
FORMAT_VERSION = 2
_FIX = "make it again (dvc repro) or fetch it (dvc pull)"


class CheckpointConfig(Section):
    """What turns the weights into a usable model.

    Attributes:
        task: the `task` section it was trained with.
        model: the `model` section that built it.
        signature: what goes in and what comes out, with what was fitted on the training split.
        data_digest: of the prepared data it was trained on.
        step: updates made when these weights were taken.
        epoch: the epoch they were taken after, counted from 1.
    """

    format_version: int = FORMAT_VERSION
    task: dict[str, Any]
    model: dict[str, Any]
    signature: Signature
    data_digest: str
    step: int
    epoch: int


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: fp32 weights on the CPU, the model in eval mode.

    Attributes:
        own_metrics: those that `task.own_metrics` named.
    """

    model: nn.Module
    task: Task
    config: CheckpointConfig
    own_metrics: Sequence[OwnPart] = ()


def save_checkpoint(folder: Path, weights: Mapping[str, torch.Tensor], config: CheckpointConfig) -> None:
    """Write weights (a state dict, on any device) and config. The same values give the same bytes."""
    write_tensors(folder / WEIGHTS, weights)
    write_json(folder / CONFIG, config.model_dump())


def copy_files(source: Path, target: Path, signature: Signature) -> None:
    """Copy what belongs beside a model, such as the `tokenizer.json` of texts, from one folder to another.

    Raises:
        UserError: if a file is missing, or not the one that the signature names.
    """
    for name, sha256 in signature.inputs.files.items():
        path = source / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}", _FIX) from None
        if sha256_bytes(data) != sha256:
            raise UserError(f"{path} is not the one that the data were encoded with", _FIX)
        write_bytes(target / name, data)


def load_config(folder: Path) -> CheckpointConfig:
    """Read `config.json`.

    Raises:
        UserError: if it is missing, malformed or of a newer format.
    """
    raw = read_json(folder / CONFIG)
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version != FORMAT_VERSION:
        fix = "update samebits to read it" if version > FORMAT_VERSION else _FIX
        raise UserError(f"{folder / CONFIG} has format {version}, this code reads {FORMAT_VERSION}", fix)
    try:
        return CheckpointConfig.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{folder / CONFIG} is no checkpoint config: {error.errors()[0]['msg']}", _FIX) from None


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
        raise UserError(f"{path} does not exist", _FIX) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", _FIX) from None
    except (SafetensorError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}", _FIX) from None
    settings = _settings("model", config.model, MODELS, folder)
    try:
        model = build_model(settings, config.signature)
    except (RuntimeError, MemoryError, OverflowError) as error:
        if own_place(error) is not None:
            raise
        reason = str(error).partition("\n")[0]
        raise UserError(f"{folder / CONFIG} describes a model that cannot be built: {reason}", _FIX) from None
    task_settings = _settings("task", config.task, TASKS, folder)
    task = build_task(task_settings, config.signature)
    try:
        load_weights(model, weights)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit the model {config.model}: {error}", _FIX) from None
    own_metrics = task_settings.own_metrics if isinstance(task_settings, TakesOwnMetrics) else ()
    return Checkpoint(model.eval(), task, config, own_metrics)


def _settings(kind: str, values: dict[str, Any], registry: Mapping[str, str], folder: Path) -> Section:
    module = load_module(kind, str(values.get("name")), registry)
    try:
        settings: Section = module.Settings.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{folder / CONFIG}: {kind} settings: {error.errors()[0]['msg']}", _FIX) from None
    return settings
