"""The stage on bad input: one message, and nothing that looks finished."""

from __future__ import annotations

import errno
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits import files
from samebits.data import shards
from samebits.data.prepare import prepare
from samebits.errors import UserError
from tests.unit.data.conftest import Source, card_dict, make_source

Run = Callable[..., Path]


def test_it_takes_the_section_it_reads() -> None:
    assert list(inspect.signature(prepare).parameters) == ["data", "context"]


def test_it_says_what_it_did(run_prepare: Run) -> None:
    run_prepare(make_source())
    said: list[str] = run_prepare.said  # type: ignore[attr-defined]
    assert said[-3].startswith("Tiny: ")
    assert said[-3].endswith("40 test")
    assert said[-2] == "audit: no duplicates, no label conflicts"


def one_class_missing(source: Source) -> None:
    source.labels[:] = source.labels % 2


BAD: dict[str, tuple[Callable[[Source], None], dict[str, Any], str]] = {
    "a class without samples": (one_class_missing, {}, "class 'c' has no sample in the training split"),
    "nothing held out": (lambda source: None, {"validation_fraction": 1e-9}, "the validation split is empty"),
    "all images equal": (lambda s: s.images.fill(9), {"validation_fraction": 0.49}, "validation split is empty|has no"),
    "unknown card": (lambda source: None, {"source": "tinny"}, "'tinny' is no card"),
    "label out of range": (lambda s: s.labels.__setitem__(4, 3), {}, "label 3 at index 4"),
    "counts differ": (lambda s: setattr(s, "labels", s.labels[:-1]), {}, "holds 300 images, tr-labels 299"),
    "no test images": (lambda s: setattr(s, "test_images", s.test_images[:0]), {}, "te-images: holds nothing"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input(case: str, run_prepare: Run, tmp_path: Path) -> None:
    change, data, message = BAD[case]
    source = make_source()
    change(source)
    with pytest.raises(UserError, match=message) as caught:
        run_prepare(source, **data)
    assert caught.value.cure
    assert not (tmp_path / "workspace/data/prepared/dataset.json").exists()


def test_files_that_are_not_the_cards(run_prepare: Run) -> None:
    with pytest.raises(UserError, match=r"tr-images: wrong sha256 [0-9a-f]{64}"):
        run_prepare(make_source(seed=1), card=card_dict(make_source().contents()))


def test_a_constant_training_set_is_refused() -> None:
    images = np.full((4, 2, 3, 3), 9, dtype=np.uint8)
    split = shards.SplitData(
        images, np.arange(4), np.zeros(4, dtype=np.int64), np.zeros((4, 32), dtype=np.uint8), [], []
    )
    with pytest.raises(UserError, match="nothing to learn"):
        shards.channel_statistics(split)
    images[0, 1, 0, 0] = 8
    mean, std = shards.channel_statistics(split)
    assert (mean[0], std[0]) == (9 / 255, 0.0)
    assert std[1] == pytest.approx(images[:, 1].std() / 255)


@pytest.mark.parametrize("stage", ["train-00002.npy", "manifest.parquet", "dataset.json"])
def test_a_full_disk_leaves_no_finished_folder(
    stage: str, run_prepare: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_prepare(make_source())
    assert (folder / "dataset.json").exists()
    real = files.write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.name == stage:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data)

    monkeypatch.setattr(shards, "write_bytes", full)
    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(UserError, match=r"cannot write .*No space left on device"):
        run_prepare(make_source())
    assert not (folder / "dataset.json").exists()
    assert not (folder / "shards").exists()
