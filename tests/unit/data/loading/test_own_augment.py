"""An augmentation of the user's own is a function of (seed, epoch, sample), or it is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from samebits.base.errors import UserError
from samebits.data.loading.batches import Batches
from samebits.data.loading.own_augment import OwnAugmentation
from samebits.data.loading.prepared import Split, open_split
from samebits.data.loading.torch_dataset import make_loader
from samebits.params.augment import AugmentParams
from samebits.params.own import OwnPart
from samebits.signature.image import ImageInputs
from samebits.signature.mask import MaskTarget
from samebits.signature.tokens import TokenInputs

CODE = """
import numpy as np, random as python, torch
class Noise:
    def __call__(self, sample, random):
        return sample ^ random.integers(0, 256, sample.shape, dtype=np.uint8)
class AsTensor(Noise):
    def __call__(self, sample, random):
        return torch.from_numpy(super().__call__(sample, random))
class InPlace:
    def __call__(self, sample, random):
        sample[:] = random.integers(0, 256)
        return sample
class NumpyGlobal:
    def __call__(self, sample, random):
        return sample if np.random.random() < 2 else sample + 1
class PythonGlobal:
    def __call__(self, sample, random):
        return sample if python.random() < 2 else sample + 1
class TorchGlobal:
    def __call__(self, sample, random):
        return sample if torch.rand(()) < 2 else sample + 1
class Fresh:
    def __call__(self, sample, random):
        return sample ^ np.random.default_rng().integers(0, 256, sample.shape, dtype=np.uint8)
class Counts:
    seen = 0
    def __call__(self, sample, random):
        self.seen += 1
        return sample + np.uint8(self.seen)
class Cuts:
    def __call__(self, sample, random):
        return sample[:, 1:]
class Floats:
    def __call__(self, sample, random):
        return sample / 255
class Nothing:
    def __call__(self, sample, random):
        pass
class Fails:
    def __call__(self, sample, random):
        return sample @ sample[0, 0, 0, 0]
class Swaps:
    def __call__(self, sample, mask, random):
        return sample.swapaxes(1, 2), mask.T
class OnlyImage:
    def __call__(self, sample, mask, random):
        return sample
class Blends:
    def __call__(self, sample, mask, random):
        return sample, mask + np.uint8(2)
class Drops:
    def __call__(self, sample, random):
        sample[random.random(len(sample)) < 0.5] = 1
        return sample
class Unknown:
    def __call__(self, sample, random):
        return sample + np.uint16(9)
"""


@pytest.fixture(autouse=True)
def _code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "mine.py").write_text(CODE)


def part(name: str) -> OwnPart:
    return OwnPart(file="custom/mine.py", class_name=name)


@pytest.fixture
def split(prepared: Path) -> Split:
    return open_split(prepared, "train", in_memory=True)


def batches(split: Split, name: str, **augment: Any) -> Batches:
    return Batches(split, batch_size=16, seed=3, augment=AugmentParams(own=part(name), **augment))


@pytest.mark.parametrize("name", ["Noise", "AsTensor", "InPlace"])
def test_a_batch_is_a_function_of_its_step(name: str, split: Split) -> None:
    one = batches(split, name)
    steps = one.steps_per_epoch
    for workers in (1, 2):
        found = list(batches(split, name).stream(steps - 3, steps + 3, workers))
        for step, batch in zip(range(steps - 3, steps + 3), found, strict=True):
            assert torch.equal(batch.inputs, one.batch(step).inputs)
    assert not torch.equal(one.batch(0).inputs, Batches(split, batch_size=16, seed=3).batch(0).inputs)


def test_a_sample_changes_by_seed_and_epoch_not_by_its_neighbours(split: Split) -> None:
    own = OwnAugmentation(part("Noise"), split.info.signature, 3)
    rows = np.arange(8)
    inputs, targets = split.samples(rows)
    whole = own(inputs, targets, rows, 0)[0]
    assert np.array_equal(own(inputs[5:6], targets[5:6], rows[5:6], 0)[0], whole[5:6])
    assert not np.array_equal(own(inputs, targets, rows, 1)[0], whole)
    assert not np.array_equal(
        OwnAugmentation(part("Noise"), split.info.signature, 4)(inputs, targets, rows, 0)[0], whole
    )
    assert np.array_equal(inputs, split.samples(rows)[0])


def test_it_comes_after_the_built_in_changes(split: Split) -> None:
    own = OwnAugmentation(part("Noise"), split.info.signature, 3)
    plain = Batches(split, batch_size=16, seed=3, augment=AugmentParams(shift=2)).batch(0)
    changed = own(plain.inputs.numpy(), plain.targets.numpy(), plain.indices, 0)[0]
    assert np.array_equal(batches(split, "Noise", shift=2).batch(0).inputs.numpy(), changed)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_loader_of_torch_gives_the_same(workers: int, split: Split, prepared: Path) -> None:
    params = AugmentParams(own=part("Noise"))
    loader = make_loader(prepared, "train", batch_size=16, seed=3, epoch=0, augment=params, num_workers=workers)
    images, _ = next(iter(loader))
    assert torch.equal(images, batches(split, "Noise").batch(0).inputs)


@pytest.mark.parametrize("name", ["Noise", "AsTensor", "InPlace"])
def test_one_that_draws_from_its_generator_is_taken(name: str, split: Split) -> None:
    OwnAugmentation(part(name), split.info.signature, 3).require_repeatable(split)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("NumpyGlobal", "draws from numpy.random, whose numbers"),
        ("PythonGlobal", "draws from Python's random"),
        ("TorchGlobal", "draws from torch's generator"),
        ("Fresh", "gives two different results for training sample 0"),
        ("Counts", "gives two different results for training sample"),
        ("Cuts", r"Cuts of custom/mine.py gives uint8 \[1, 5, 5\] for training sample 0, uint8 \[1, 6, 5\]"),
        ("Floats", r"gives float64 \[1, 6, 5\]"),
        ("Nothing", r"gives NoneType for training sample 0"),
        ("Fails", r"fails on training sample 0 \(uint8 \[1, 6, 5\]\): IndexError: .*custom/mine.py, line 41: return"),
    ],
)
def test_what_is_refused(name: str, problem: str, split: Split) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        OwnAugmentation(part(name), split.info.signature, 3).require_repeatable(split)
    assert caught.value.fix


def of_masks(name: str) -> tuple[np.ndarray, np.ndarray]:
    signature = SimpleNamespace(
        inputs=ImageInputs(shape=[1, 2, 2], mean=[0.0], std=[1.0]),
        target=MaskTarget(classes=["a", "b"], shape=[2, 2], colours=[[0, 0, 0], [1, 1, 1]]),
    )
    images = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)
    masks = np.array([[[0, 1], [1, 255]], [[1, 1], [0, 0]]], dtype=np.uint8)
    return OwnAugmentation(part(name), signature, 0)(images, masks, np.arange(2), 0)  # type: ignore[arg-type]


def test_a_mask_moves_with_its_image() -> None:
    images, masks = of_masks("Swaps")
    assert images[0].tolist() == [[[0, 2], [1, 3]]]
    assert masks.tolist() == [[[0, 1], [1, 255]], [[1, 0], [1, 0]]]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("OnlyImage", r"gives uint8 \[1, 2, 2\] for training sample 0, uint8 \[1, 2, 2\] and uint8 \[2, 2\]"),
        ("Blends", "changes the mask of training sample 0 so that a pixel is of none of the 2 classes"),
        ("Noise", "TypeError: .*takes 3 positional arguments but 4 were given"),
    ],
)
def test_what_is_no_mask(name: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        of_masks(name)


def of_texts(name: str, length: int) -> np.ndarray:
    signature: Any = SimpleNamespace(
        inputs=TokenInputs(length=8, vocabulary=10, pad=0, tokenizer_sha256="0" * 64),
        target=SimpleNamespace(moves=False),
    )
    tokens = np.array([[5, 6, 7, 8, 0, 0, 0, 0], [5, 6, 7, 8, 9, 9, 9, 9]], dtype=np.uint16)[:, :length]
    return OwnAugmentation(part(name), signature, 0)(tokens, np.zeros(2), np.arange(2), 0)[0]


def test_a_text_is_changed_without_its_padding() -> None:
    """So that its random numbers do not depend on the longest text of the batch."""
    assert np.array_equal(of_texts("Drops", 8)[0, :4], of_texts("Drops", 4)[0])
    assert not of_texts("Drops", 8)[0, 4:].any()
    with pytest.raises(UserError, match="training sample 0 so that token 17 is none of the 10"):
        of_texts("Unknown", 8)
