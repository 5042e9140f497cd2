"""The stage on bad input: one message, and nothing that looks finished."""

from __future__ import annotations

import errno
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base import files
from samebits.base.errors import UserError
from samebits.data.preparation import shards
from samebits.data.preparation.prepare import prepare, require_usable
from samebits.data.readers.image.images import RawImages, channel_statistics
from samebits.data.readers.reader import Rejected
from samebits.data.readers.sample_hashes import sample_hashes
from samebits.params.data import DataParams
from tests.helpers.idx_source import Source, card_dict, make_source

Run = Callable[..., Path]


def test_it_takes_the_section_it_reads() -> None:
    assert list(inspect.signature(prepare).parameters) == ["data", "context", "most"]


def test_it_says_what_it_did(run_prepare: Run) -> None:
    run_prepare(make_source())
    said: list[str] = run_prepare.said  # type: ignore[attr-defined]
    assert said[-4].startswith("Tiny: ")
    assert said[-4].endswith("40 test")
    assert said[-3] == "3 classes: a, b, c"
    assert said[-2] == "audit: no duplicates, no label conflicts"


def one_class_missing(source: Source) -> None:
    source.labels[:] = source.labels % 2


BAD: dict[str, tuple[Callable[[Source], None], dict[str, Any], str]] = {
    "a class without samples": (one_class_missing, {}, "class 'c' has no sample in the training split"),
    "nothing held out": (lambda source: None, {"validation_fraction": 1e-9}, "the validation split is empty"),
    "all images equal": (
        lambda s: s.images.fill(9),
        {"validation_fraction": 0.49},
        "(train|validation) split is empty|has no",
    ),
    "unknown card": (lambda source: None, {"source": "data/catalog/tinny.yaml"}, "'tinny' is no card"),
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
    assert caught.value.fix
    assert not (tmp_path / "workspace/data/prepared/dataset.json").exists()


def test_a_card_of_an_unknown_format(run_prepare: Run) -> None:
    card = card_dict(make_source().contents()) | {"format": "tfrecord"}
    with pytest.raises(UserError, match="'tfrecord' is no format of data"):
        run_prepare(make_source(), card=card)


def test_files_that_are_not_the_cards(run_prepare: Run) -> None:
    with pytest.raises(UserError, match=r"tr-images: wrong sha256 [0-9a-f]{64}"):
        run_prepare(make_source(seed=1), card=card_dict(make_source().contents()))


def test_a_constant_training_set_is_refused() -> None:
    images = np.full((4, 2, 3, 3), 9, dtype=np.uint8)

    def read(rows: np.typing.NDArray[np.int64]) -> np.typing.NDArray[np.uint8]:
        return images[rows]

    with pytest.raises(UserError, match="nothing to learn"):
        channel_statistics(read, np.arange(4))
    images[0, 1, 0, 0] = 8
    mean, std = channel_statistics(read, np.arange(4))
    assert (mean[0], std[0]) == (9 / 255, 0.0)
    assert std[1] == pytest.approx(images[:, 1].std() / 255)
    with pytest.raises(UserError, match="nothing to learn"):
        channel_statistics(read, np.arange(1, 4))


OWN: dict[str, tuple[dict[str, Any], str, str]] = {
    "not below data/raw": ({"source": "../mine", "format": "idx"}, "is not below data/raw", "dvc add"),
    "data/raw itself": ({"source": "data/raw", "format": "idx"}, "is not below data/raw", "copy or move it"),
    "a card by its name": ({"source": "tiny"}, "data.source tiny is no path", "data/catalog/tiny.yaml"),
    "not there": ({"source": "data/raw/birdz", "format": "idx"}, "does not exist", "did you mean data/raw/birds"),
    "no format": ({"source": "data/raw/birds"}, "data.format does not say", "idx"),
    "a card's format": ({"source": "data/raw/birds", "format": "idx"}, "'idx' is for catalogued data", "docs/data.md"),
    "a format nobody knows": (
        {"source": "data/raw/birds", "format": "idxx"},
        "'idxx' is no format",
        "did you mean idx",
    ),
    "another than the card's": (
        {"source": "data/catalog/tiny.yaml", "format": "table"},
        "is of format 'idx'",
        "data.format: null",
    ),
}


@pytest.mark.parametrize("case", list(OWN))
def test_sources_that_are_wrong(case: str, run_prepare: Run, tmp_path: Path) -> None:
    data, problem, fix = OWN[case]
    (tmp_path / "workspace/data/raw/birds").mkdir(parents=True)
    with pytest.raises(UserError, match=problem) as caught:
        run_prepare(make_source(), **data)
    assert fix in caught.value.fix
    assert not (tmp_path / "workspace/data/prepared").exists()


@pytest.mark.parametrize(("limit", "refused"), [(0.0, True), (0.019, True), (0.021, False)])
def test_too_many_samples_set_aside_are_refused(limit: float, refused: bool, tmp_path: Path) -> None:
    rejected = tuple(Rejected(f"cat/{k}.png", "it is truncated") for k in range(7))
    images = np.zeros((343, 1, 2, 2), dtype=np.uint8)
    ids = [str(k) for k in range(343)]
    raw = RawImages(
        ids=ids, origins=ids, hashes=sample_hashes(images), targets=np.zeros(343), parts=[images], set_aside=rejected
    )
    settings = DataParams(max_rejected_fraction=limit)
    if not refused:
        require_usable(raw, settings)
        return
    with pytest.raises(UserError, match=r"7 of 350 samples .*\n    cat/0.png: it is truncated(.|\n)*and 2 more"):
        require_usable(raw, settings)


def test_a_source_without_samples(tmp_path: Path) -> None:
    images = np.zeros((0, 1, 2, 2), dtype=np.uint8)
    raw = RawImages(ids=[], origins=[], hashes=sample_hashes(images), targets=np.zeros(0), parts=[images])
    with pytest.raises(UserError, match="holds no usable sample"):
        require_usable(raw, DataParams(max_rejected_fraction=1.0))


@pytest.mark.parametrize("stage", ["train-00002.npy", "manifest.parquet", "dataset.json"])
def test_a_full_disk_leaves_no_finished_folder(
    stage: str, run_prepare: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_prepare(make_source())
    assert (folder / "dataset.json").exists()
    real = files.atomic_file

    def full(path: Path) -> Any:
        if path.name == stage:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path)

    monkeypatch.setattr(shards, "atomic_file", full)
    monkeypatch.setattr(files, "atomic_file", full)
    with pytest.raises(UserError, match=r"cannot write .*No space left on device"):
        run_prepare(make_source())
    assert not (folder / "dataset.json").exists()
    assert not (folder / "shards").exists()
