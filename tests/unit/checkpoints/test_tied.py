"""Tied weights: saved once, and tied again after they were loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from samebits.checkpoints.tied import load_weights, named_weights
from samebits.params.train import SGDParams
from samebits.params.transfer import TransferParams
from samebits.training.optim.ema import ModelEma
from samebits.training.optim.optimizers import build_optimizer
from samebits.training.pretrained.load import load_pretrained
from samebits.training.resume.state import TrainingState
from samebits.training.resume.store import StateStore


class Tied(nn.Module):
    """The head's matrix is the embedding's; a block stands under two names; a buffer is a part of another one."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        block = nn.Linear(4, 4)
        self.words = nn.Embedding(5, 4)
        self.blocks = nn.ModuleList([block, block])
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.words.weight
        self.register_buffer("long", torch.randn(6))
        self.register_buffer("short", self.get_buffer("long")[:3])


def test_a_tensor_of_two_names_is_saved_once_and_filled_into_both(tmp_path: Path) -> None:
    model, other = Tied(1), Tied(2)
    weights = named_weights(model)
    assert set(weights) == {"words.weight", "blocks.0.weight", "blocks.0.bias", "long", "short"}
    save_file(weights, tmp_path / "w.safetensors")
    load_weights(other, load_file(tmp_path / "w.safetensors"))
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert other.head.weight is other.words.weight
    with pytest.raises(RuntimeError, match="Missing key"):
        load_weights(other, {"words.weight": weights["words.weight"]})


def test_the_state_of_a_tied_model_is_saved_and_restored(tmp_path: Path) -> None:
    def fresh(seed: int) -> TrainingState:
        model = Tied(seed)
        return TrainingState(model, build_optimizer(model, SGDParams(name="sgd", lr=0.1)), ModelEma(model, 0.9), None)

    state, other = fresh(1), fresh(2)
    state.best = {name: value.clone() for name, value in named_weights(state.eval_model).items()}
    with StateStore(tmp_path, "f", print) as store:
        store.save(state.tensors(), state.counters())
        saved = store.load(other.problem)
    assert saved is not None
    other.restore(*saved)
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    assert other.average is not None
    assert isinstance(other.average.model, Tied)
    assert other.average.model.head.weight is other.average.model.words.weight


def test_a_file_that_holds_a_tied_tensor_once_fills_a_model() -> None:
    model = Tied(2)
    settings = TransferParams(weights="tied.safetensors")
    found = load_pretrained(model, settings, cast(Any, SimpleNamespace()), named_weights(Tied(1)))
    assert found.report == ("transfer: 5 of 5 tensors (100.0% of the values) are from tied.safetensors",)
    # A foreign file may hold both names.
    found = load_pretrained(model, settings, cast(Any, SimpleNamespace()), Tied(1).state_dict())
    assert len(found.report) == 1


def test_what_is_not_tied_is_the_state_dict() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    expected, found = model.state_dict(), named_weights(model)
    assert list(expected) == list(found)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
