"""The loader yields the batches of `Batches`, bit for bit, whatever its workers."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from samebits.base.errors import UserError
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import open_split
from samebits.data.loading.torch_dataset import EpochBatchSampler, PreparedDataset, make_loader
from samebits.params.augment import AugmentParams

AUGMENT = AugmentParams(shift=1, flip=True, shear=9.0)


def expected(prepared: Path, epoch: int, **settings: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    split = open_split(prepared, "train", in_memory=True)
    batches = Batches(split, batch_size=32, seed=3, augment=AUGMENT, **settings)
    first = epoch * batches.steps_per_epoch
    return [(b.inputs, b.targets) for b in batches.stream(first, first + batches.steps_per_epoch, workers=0)]


def loader(prepared: Path, epoch: int, **settings: Any) -> DataLoader[Any]:
    return make_loader(prepared, "train", batch_size=32, seed=3, epoch=epoch, augment=AUGMENT, **settings)


def assert_same(got: DataLoader[Any], wanted: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    assert len(got) == len(wanted)
    for (images, labels), (inputs, targets) in zip(got, wanted, strict=True):
        assert images.dtype == torch.uint8
        assert torch.equal(images, inputs)
        assert torch.equal(labels, targets)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_the_loader_is_the_batches(prepared: Path, workers: int) -> None:
    for epoch in (0, 2):
        assert_same(loader(prepared, epoch, num_workers=workers), expected(prepared, epoch))


def test_windows_and_mapped_files(prepared: Path) -> None:
    settings: dict[str, Any] = {"shuffle": "window", "window": 2}
    assert_same(loader(prepared, 1, in_memory=False, **settings), expected(prepared, 1, **settings))


@pytest.mark.slow
def test_spawned_workers(prepared: Path) -> None:
    got = loader(prepared, 1, num_workers=1, multiprocessing_context="spawn")
    assert_same(got, expected(prepared, 1))


def test_a_dataset_pickles_without_its_pixels(prepared: Path) -> None:
    data = PreparedDataset(prepared, "test")
    packed = bytes(ForkingPickler.dumps(data))
    assert len(packed) < 1000 < data.samples.rows(np.arange(40)).nbytes
    again = ForkingPickler.loads(packed)
    assert torch.equal(again[7][0], data[7][0])


def test_items(prepared: Path) -> None:
    data = PreparedDataset(prepared, "test")
    split = open_split(prepared, "test", in_memory=False)
    assert len(data) == 40
    for i in (0, 39, -1):
        image, label = data[i]
        assert torch.equal(image, torch.from_numpy(split.rows(np.array([i % 40]))[0]))
        assert (label.dtype, label.shape, int(label)) == (torch.int64, (), split.labels[i])
    for i in (40, -41):
        with pytest.raises(IndexError, match=f"item {i} of 40"):
            data[i]
    images, labels = next(iter(DataLoader(data, batch_size=5)))
    assert images.shape == (5, 1, 6, 5)
    assert labels.shape == (5,)


def test_a_transform_is_applied_to_the_image(prepared: Path) -> None:
    plain, halved = PreparedDataset(prepared, "test"), PreparedDataset(prepared, "test", lambda x: x / 2)
    assert torch.equal(halved[3][0], plain[3][0] / 2)


def test_the_sampler_changes_with_the_epoch(prepared: Path) -> None:
    sampler = EpochBatchSampler((100, 50), batch_size=20, seed=1)
    first = list(sampler)
    assert len(sampler) == len(first) == 7
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert first != list(sampler)


def test_too_large_a_batch_is_refused(prepared: Path) -> None:
    with pytest.raises(UserError, match="larger than the training split"):
        make_loader(prepared, "test", batch_size=41, seed=0, epoch=0)
