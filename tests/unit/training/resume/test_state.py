"""A state that was saved and restored behaves as the one that was not; a damaged one is passed over."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from samebits.base.errors import UserError
from samebits.compute.distributed import ProcessGroup
from samebits.models.convnet import Settings, build
from samebits.params.train import AdamParams, SGDParams
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature
from samebits.training.optim.ema import ModelEma
from samebits.training.optim.optimizers import build_optimizer
from samebits.training.resume.handover import hand_over
from samebits.training.resume.state import TrainingState
from samebits.training.resume.store import StateStore

OPTIMIZERS = [
    SGDParams(name="sgd", lr=0.1, weight_decay=1e-3),
    SGDParams(name="sgd", lr=0.1, momentum=0.0),
    AdamParams(name="adam", lr=1e-3),
    AdamParams(name="adamw", lr=1e-3, weight_decay=0.1),
]

SIGNATURE = Signature(
    inputs=ImageInputs(shape=[1, 28, 28], mean=[0.5], std=[0.25]),
    target=ClassTarget(classes=[str(digit) for digit in range(10)]),
)


def fresh(settings: SGDParams | AdamParams) -> TrainingState:
    torch.manual_seed(0)
    model = build(Settings(name="convnet", stages=[[4, 4], [8, 8]]), SIGNATURE)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainingState(model, build_optimizer(model, settings), ModelEma(model, 0.9), None)


def advance(state: TrainingState, steps: int) -> None:
    for _ in range(steps):
        torch.manual_seed(state.step)
        images = torch.randn(16, 1, 28, 28).contiguous(memory_format=torch.channels_last)
        state.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(state.model(images), torch.arange(16) % 10)
        loss.backward()
        state.optimizer.step()
        assert state.average is not None
        state.average.update(state.step)
        state.reserve(state.step + 1, loss.device)
        state.losses[state.step] = loss.detach()
        state.step += 1


class OneOfTwo(ProcessGroup):
    """Process 0 or 1; what the first one sends is given to the other one later."""

    sent: ClassVar[list[bytes]] = []

    def broadcast(self, data: bytes, device: torch.device) -> bytes:
        if self.is_rank_zero:
            self.sent.append(data)
            return data
        return self.sent.pop(0)


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("settings", OPTIMIZERS[::2], ids=lambda each: each.name)
def test_another_process_begins_with_the_state_of_the_first_one(settings: SGDParams | AdamParams, steps: int) -> None:
    first, other = fresh(settings), fresh(settings)
    advance(first, steps)
    first.curve.append({"step": 2, "val/loss": 0.5})
    with torch.no_grad():
        for each in other.model.parameters():
            each.zero_()
    for rank, state in enumerate((first, other)):
        hand_over(state, OneOfTwo(rank, 2), torch.device("cpu"))
    assert (other.step, other.curve) == (steps, first.curve)
    advance(first, 2)
    advance(other, 2)
    wanted, got = first.tensors(), other.tensors()
    assert got.keys() == wanted.keys()
    assert all(torch.equal(got[name], wanted[name]) for name in wanted)


def test_a_state_that_does_not_fit_is_refused() -> None:
    hand_over(fresh(OPTIMIZERS[0]), OneOfTwo(0, 2), torch.device("cpu"))
    other = fresh(OPTIMIZERS[0])
    other.average = None
    with pytest.raises(UserError, match="state of the first process does not fit: it is of another model"):
        hand_over(other, OneOfTwo(1, 2), torch.device("cpu"))


@pytest.mark.parametrize("settings", OPTIMIZERS, ids=lambda each: f"{each.name}-{getattr(each, 'momentum', '')}")
def test_split_run_equals_straight_run(tmp_path: Path, settings: SGDParams | AdamParams) -> None:
    straight = fresh(settings)
    advance(straight, 6)

    first = fresh(settings)
    advance(first, 3)
    with StateStore(tmp_path, "f", print) as store:
        store.save(first.tensors(), first.counters())
        second = fresh(settings)
        saved = store.load()
    assert saved is not None
    second.restore(*saved)
    advance(second, 3)

    expected, found = straight.tensors(), second.tensors()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    assert straight.counters() == second.counters()


def test_the_last_two_are_kept_and_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    said: list[str] = []
    state = fresh(OPTIMIZERS[0])
    with StateStore(tmp_path, "f", said.append) as store:
        for _ in range(3):
            advance(state, 1)
            store.save(state.tensors(), state.counters())
        assert sorted(path.name for path in store.folder.iterdir()) == ["0000000002", "0000000003"]

        newest = store.folder / "0000000003" / "state.safetensors"
        newest.write_bytes(newest.read_bytes()[:-100])
        saved = store.load()
        assert saved is not None
        assert saved[1]["step"] == 2
        assert "0000000003 is damaged" in said[0]

        (store.folder / "0000000002" / "complete.json").unlink()
        assert store.load() is None


def test_a_full_disk_keeps_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = fresh(OPTIMIZERS[0])
    with StateStore(tmp_path, "f", print) as store:
        advance(state, 1)
        store.save(state.tensors(), state.counters())
        advance(state, 1)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(UserError, match="disk is full"):
                store.save(state.tensors(), state.counters())
        saved = store.load()
        assert saved is not None
        assert saved[1]["step"] == 1
        assert [path.name for path in store.folder.iterdir()] == ["0000000001"]


def test_the_best_weights_travel_with_the_state(tmp_path: Path) -> None:
    state = fresh(OPTIMIZERS[0])
    advance(state, 1)
    state.best = {name: value.clone() for name, value in state.eval_model.state_dict().items()}
    state.best_loss, state.best_epoch = 0.25, 3
    other = fresh(OPTIMIZERS[0])
    other.restore(state.tensors(), state.counters())
    assert (other.best_loss, other.best_epoch) == (0.25, 3)
    assert other.best is not None
    assert all(torch.equal(value, other.best[name]) for name, value in state.best.items())


def test_a_state_with_nan_in_its_weights_is_passed_over(tmp_path: Path) -> None:
    said: list[str] = []
    state = fresh(OPTIMIZERS[0])
    with StateStore(tmp_path, "f", said.append) as store:
        for _ in range(2):
            advance(state, 1)
            store.save(state.tensors(), state.counters())
        name, weight = next(iter(state.model.named_parameters()))
        weight.data.flatten()[0] = torch.nan
        store.save(state.tensors(), state.counters())
        saved = store.load(fresh(OPTIMIZERS[0]).problem)
    assert saved is not None
    assert saved[1]["step"] == 1
    assert f"0000000002 is damaged (model.{name} is not finite)" in said[0]


def test_infinities_that_a_model_begins_with_are_no_damage() -> None:
    model = torch.nn.Linear(2, 2)
    model.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))
    state = TrainingState(model, build_optimizer(model, OPTIMIZERS[0]), ModelEma(model, 0.9), None)
    assert state.damaged(state.tensors()) == []
    model.bias.data[1] = torch.inf
    assert state.damaged(state.tensors()) == ["model.bias"]
