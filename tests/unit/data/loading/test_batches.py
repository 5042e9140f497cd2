"""A batch is a function of (data, seed, step), however it is asked for."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samebits.base.errors import UserError
from samebits.data.loading.augment import augment
from samebits.data.loading.batches import _STEPS_DRAWN, Batches
from samebits.data.loading.order import epoch_order
from samebits.data.loading.prepared import Split, open_split
from samebits.data.loading.sequential import Batch, sequential
from samebits.params.augment import AugmentParams

AUGMENT = AugmentParams(shift=1, flip=True, rotate=10.0, erase=2)


@pytest.fixture
def split(prepared: Path) -> Split:
    return open_split(prepared, "train", in_memory=True)


def make(split: Split, **settings: Any) -> Batches:
    return Batches(split, **{"batch_size": 32, "seed": 3, "augment": AUGMENT, **settings})


def same(a: Batch, b: Batch) -> bool:
    return (
        torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets) and np.array_equal(a.indices, b.indices)
    )


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("samebits-batches")]


def test_a_batch_is_a_slice_of_its_epochs_order(split: Split) -> None:
    batches = make(split)
    assert batches.steps_per_epoch == len(split) // 32
    step = 2 * batches.steps_per_epoch + 3
    order = epoch_order(len(split), 3, 2, shard_rows=split.shard_rows)
    batch = batches.batch(step)
    assert np.array_equal(batch.indices, order[3 * 32 : 4 * 32])
    assert torch.equal(batch.targets, torch.from_numpy(split.labels[batch.indices]))
    images = split.rows(batch.indices)
    expected = augment(images, batch.indices, AUGMENT, seed=3, epoch=2, fill=split.info.signature.images.fill)
    assert np.array_equal(batch.inputs.numpy(), expected)
    assert (batch.inputs.dtype, batch.targets.dtype, batch.indices.dtype) == (torch.uint8, torch.int64, np.int64)


def test_numbers_drawn_for_many_steps_are_those_of_each(split: Split) -> None:
    """Over the borders of blocks and epochs, in order and not."""
    batches = make(split, batch_size=3)
    per = batches.steps_per_epoch
    assert per > 2 * _STEPS_DRAWN
    order = [epoch_order(len(split), 3, epoch, shard_rows=split.shard_rows) for epoch in (0, 1)]
    fill = split.info.signature.images.fill
    border = _STEPS_DRAWN
    for step in (border - 1, border, 2 * border, border - 2, per - 1, per, per + border, per - 2, 0, per + per - 1):
        epoch, place = divmod(step, per)
        rows = order[epoch][3 * place : 3 * place + 3]
        expected = augment(split.rows(rows), rows, AUGMENT, seed=3, epoch=epoch, fill=fill)
        assert np.array_equal(batches.batch(step).inputs.numpy(), expected), step


def test_an_epoch_shows_no_sample_twice(split: Split) -> None:
    batches = make(split)
    seen = np.concatenate([batches.indices(step) for step in range(batches.steps_per_epoch)])
    assert len(set(seen.tolist())) == len(seen) == batches.steps_per_epoch * 32


def test_without_augmentation_the_pixels_are_the_stored_ones(split: Split) -> None:
    batch = make(split, augment=None).batch(1)
    assert np.array_equal(batch.inputs.numpy(), split.rows(batch.indices))


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_a_stream_is_the_batches_in_order(split: Split, workers: int) -> None:
    expected = [make(split).batch(step) for step in range(3, 20)]
    got = list(make(split).stream(3, 20, workers=workers))
    assert len(got) == len(expected)
    assert all(same(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("shuffle", ["full", "window"])
def test_mapped_files_give_the_same_batches(prepared: Path, split: Split, shuffle: str) -> None:
    assert len(split.shard_rows) > 3
    mapped = open_split(prepared, "train", in_memory=False)
    settings = {"shuffle": shuffle, "window": 2}
    for a, b in zip(make(split, **settings).stream(0, 12), make(mapped, **settings).stream(0, 12), strict=True):
        assert same(a, b)


def test_settings_are_not_ignored(split: Split) -> None:
    base = make(split).batch(1)
    for changed in ({"seed": 4}, {"shuffle": "window", "window": 2}):
        assert not np.array_equal(make(split, **changed).batch(1).indices, base.indices)
    windows = [make(split, shuffle="window", window=window).batch(0).indices for window in (1, 3)]
    assert not np.array_equal(*windows)
    assert not torch.equal(make(split, augment=AugmentParams(shift=1)).batch(1).inputs, base.inputs)


def test_any_order_of_asking_gives_the_same(split: Split) -> None:
    batches = make(split)
    steps = [40, 0, 15, 39, 1, 40]
    assert all(same(batches.batch(step), make(split).batch(step)) for step in steps)


def test_a_consumer_that_stops_early_leaves_no_thread(split: Split) -> None:
    stream = make(split).stream(0, 1000, workers=2)
    next(stream)
    assert ours()
    stream.close()  # type: ignore[attr-defined]
    assert not ours()


def test_a_consumer_that_raises_leaves_no_thread(split: Split) -> None:
    def consume() -> None:
        for _ in make(split).stream(0, 1000, workers=2):
            raise KeyError("consumer")

    with pytest.raises(KeyError, match="consumer"):
        consume()
    assert not ours()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_workers_error_is_raised_at_its_step(split: Split, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = make(split)
    real = batches.batch

    def batch(step: int) -> Batch:
        if step == 5:
            raise OSError("disk gone")
        return real(step)

    monkeypatch.setattr(batches, "batch", batch)
    stream = batches.stream(0, 20, workers=workers)
    for _ in range(5):
        next(stream)
    with pytest.raises(OSError, match="disk gone"):
        next(stream)
    assert not ours()


def test_the_look_ahead_is_bounded(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = make(split)
    real, asked = batches.batch, []

    def batch(step: int) -> Batch:
        asked.append(step)
        return real(step)

    monkeypatch.setattr(batches, "batch", batch)
    stream = batches.stream(0, 1000, workers=2)
    for _ in range(3):
        next(stream)
    time.sleep(0.1)
    assert len(asked) <= 3 + 2 * 2
    stream.close()  # type: ignore[attr-defined]


def test_a_split_smaller_than_a_batch_is_refused(split: Split) -> None:
    with pytest.raises(UserError, match="batch_size 1000 is larger"):
        make(split, batch_size=1000)


def test_sequential_shows_every_sample_in_order(split: Split) -> None:
    batches = list(sequential(split, 50))
    assert len(batches[-1].targets) == len(split) % 50 != 0
    assert np.concatenate([batch.indices for batch in batches]).tolist() == list(range(len(split)))
    assert np.array_equal(
        np.concatenate([batch.inputs.numpy() for batch in batches]), split.rows(np.arange(len(split)))
    )
    assert np.array_equal(np.concatenate([batch.targets.numpy() for batch in batches]), split.labels)


def test_an_epochs_order_is_made_once(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(n: int, seed: int, epoch: int, **settings: Any) -> Any:
        made.append(epoch)
        return epoch_order(n, seed, epoch, **settings)

    monkeypatch.setattr("samebits.data.loading.batches.epoch_order", counted)
    batches = make(split)
    per_epoch = batches.steps_per_epoch
    # Workers read ahead over the end of an epoch, and one behind them is still at the end of it.
    for step in (0, per_epoch - 2, per_epoch, per_epoch - 1, per_epoch + 1, 2 * per_epoch, 3 * per_epoch):
        batches.batch(step)
    assert made == [0, 1, 2, 3]
    assert len(batches._orders) == 2
