"""The prepared format: whole, exact, stable, and refused when damaged."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samebits.base.errors import UserError
from samebits.data.loading.prepared import SPLITS, open_split, read_info
from samebits.data.preparation.shards import shard_borders
from samebits.data.preparation.split import hash_mask
from samebits.data.readers.sample_hashes import sample_hashes
from tests.helpers.idx_source import make_source

Run = Callable[..., Path]


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def info_json(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    return value


def test_the_splits_are_the_sources_samples(prepared: Path) -> None:
    source = make_source()
    held_out = hash_mask(sample_hashes(source.images[:, None]), 0.2)
    expected = {
        "train": (source.images[~held_out], source.labels[~held_out]),
        "validation": (source.images[held_out], source.labels[held_out]),
        "test": (source.test_images, source.test_labels),
    }
    for name in SPLITS:
        for in_memory in (True, False):
            split = open_split(prepared, name, in_memory=in_memory)
            images, labels = expected[name]
            assert np.array_equal(split.rows(np.arange(len(split))), images[:, None])
            assert np.array_equal(split.labels, labels)
            assert split.labels.dtype == np.int64
            assert sum(split.shard_rows) == len(split) == len(images)


def test_rows_come_in_the_order_asked_for(prepared: Path) -> None:
    for in_memory in (True, False):
        split = open_split(prepared, "train", in_memory=in_memory)
        every = split.rows(np.arange(len(split)))
        rows = np.random.default_rng(0).integers(0, len(split), 77)
        got = split.rows(rows)
        assert np.array_equal(got, every[rows])
        assert got.flags.writeable
        assert split.rows(rows[:0]).shape == (0, 1, 6, 5)
        with pytest.raises(IndexError):
            split.rows(np.array([0, len(split)]))


def test_info(prepared: Path) -> None:
    info = read_info(prepared)
    train = open_split(prepared, "train", in_memory=True)
    pixels = train.rows(np.arange(len(train))) / 255
    assert info.signature.row_shape == (1, 6, 5)
    assert info.classes == ("a", "b", "c")
    inputs = info.signature.images
    assert inputs.mean == pytest.approx([pixels.mean()], abs=1e-12)
    assert inputs.std == pytest.approx([pixels.std()], abs=1e-12)
    assert inputs.fill == (round(pixels.mean() * 255),)
    assert info.counts["train"] + info.counts["validation"] == 300
    assert info.class_counts["train"] == tuple(np.bincount(train.labels))
    assert info.split_bytes("test") == 40 * 30
    files = info_json(prepared)["files"]
    contents = make_source().contents()
    assert {f["name"]: f["sha256"] for f in files} == {n: hashlib.sha256(b).hexdigest() for n, b in contents.items()}


def test_statistics_are_of_the_training_split_alone(run_prepare: Run) -> None:
    source = make_source()
    plain = read_info(run_prepare(source, "a"))
    source.test_images[:] = 255
    assert read_info(run_prepare(source, "b")).signature == plain.signature


def test_the_manifest_has_a_row_a_sample(prepared: Path) -> None:
    table = pq.read_table(prepared / "manifest.parquet").to_pylist()
    assert len(table) == 340
    assert len({row["id"] for row in table}) == 340
    source = make_source()
    for row in table[::17]:
        folder, index = row["id"].split("/")
        stored = np.load(prepared / f"shards/{row['split']}-{row['shard']:05d}.npy")[row["row"]]
        original = (source.images if folder == "train" else source.test_images)[int(index)]
        assert np.array_equal(stored[0], original)
        assert row["sha256"] == hashlib.sha256(original.tobytes()).hexdigest()
        assert row["target"] == np.load(prepared / f"shards/{row['split']}-{row['shard']:05d}-targets.npy")[row["row"]]
        assert row["source"] == f"{'tr' if folder == 'train' else 'te'}-images#{int(index)}"
    # In the order of the shards, so that row i of a split is row i of the manifest's part.
    for name in SPLITS:
        part = [(row["shard"], row["row"]) for row in table if row["split"] == name]
        assert part == sorted(part)


def test_two_runs_write_the_same_bytes(run_prepare: Run) -> None:
    assert tree(run_prepare(make_source(), "a")) == tree(run_prepare(make_source(), "elsewhere/b"))


def test_running_again_leaves_nothing_old(run_prepare: Run) -> None:
    folder = run_prepare(make_source(400))
    run_prepare(make_source(100))
    fresh = run_prepare(make_source(100), "fresh")
    assert tree(folder) == tree(fresh)


def shards_of(folder: Path) -> set[str]:
    return {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "shards").glob("*.npy")
        if "targets" not in path.name
    }


@pytest.mark.parametrize("at", [0, 150, 300])
def test_an_inserted_sample_changes_its_own_shard(run_prepare: Run, at: int) -> None:
    source = make_source()
    before = run_prepare(source, "before")
    assert sum(len(open_split(before, name, in_memory=False).shard_rows) for name in SPLITS) > 10
    source.images = np.insert(source.images, at, 7, axis=0)
    source.labels = np.insert(source.labels, at, 0)
    new = shards_of(run_prepare(source, "after")) - shards_of(before)
    # Two where the new sample ends a shard.
    assert 1 <= len(new) <= 2


def test_a_changed_sample_changes_its_own_shard(run_prepare: Run) -> None:
    source = make_source()
    before = run_prepare(source, "before")
    changed = source.images.copy()
    changed[100] = 255 - changed[100]
    source.images = changed
    # One split or, where the new hash falls on the other side, both.
    assert 1 <= len(shards_of(run_prepare(source, "after")) - shards_of(before)) <= 2


@given(st.integers(0, 3000), st.integers(1, 200), st.integers(0, 5))
@settings(max_examples=60)
def test_shard_borders(n: int, target: int, seed: int) -> None:
    hashes = np.random.default_rng(seed).integers(0, 256, (n, 32), dtype=np.uint8)
    borders = shard_borders(hashes, target)
    sizes = np.diff([0, *borders])
    assert sizes.sum() == n
    assert (sizes > 0).all()
    assert (sizes <= 2 * target).all()
    assert (sizes[:-1] >= max(1, target // 2)).all()


def test_shards_have_the_size_asked_for_on_average() -> None:
    hashes = np.random.default_rng(0).integers(0, 256, (200_000, 32), dtype=np.uint8)
    sizes = np.diff([0, *shard_borders(hashes, 500)])
    assert 450 < sizes.mean() < 550


def digest(run: Run, change: Callable[[Any], None], **data: Any) -> str:
    source = make_source()
    change(source)
    return read_info(run(source, f"w{hash((change, str(data)))}", **data)).digest


def test_the_digest_is_of_the_data_alone(run_prepare: Run) -> None:
    def nothing(source: Any) -> None: ...

    def label(source: Any) -> None:
        source.labels[5] = (source.labels[5] + 1) % 3

    def pixel(source: Any) -> None:
        source.images[5, 0, 0] ^= 1

    def order(source: Any) -> None:
        source.images[[3, 6]] = source.images[[6, 3]]

    def test_label(source: Any) -> None:
        source.test_labels[0] = 2

    base = digest(run_prepare, nothing)
    assert digest(run_prepare, nothing, shard_mib=1.0) == base
    changed = [digest(run_prepare, change) for change in (label, pixel, order, test_label)]
    changed.append(digest(run_prepare, nothing, validation_fraction=0.3))
    assert len({base, *changed}) == 6


def test_the_audit_counts(run_prepare: Run) -> None:
    source = make_source()
    held_out = hash_mask(sample_hashes(source.images[:, None]), 0.2)
    train, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    source.images[train[3:6]] = source.images[train[0]]
    source.labels[train[[0, 3, 4, 5]]] = [0, 0, 0, 1]
    source.test_images[:2] = source.images[train[9]]
    source.test_images[2] = source.images[validation[0]]
    audit = info_json(run_prepare(source))["audit"]
    assert audit["duplicates"] == {"train": 3, "validation": 0, "test": 1}
    assert audit["overlap"] == {"train/validation": 0, "train/test": 2, "validation/test": 1}
    conflicts = 1 + (source.labels[train[9]] != source.test_labels[0] or source.test_labels[0] != source.test_labels[1])
    conflicts += source.labels[validation[0]] != source.test_labels[2]
    assert audit["label_conflicts"] == conflicts
    said = "\n".join(run_prepare.said)  # type: ignore[attr-defined]
    assert "3 duplicates in train" in said
    assert "2 of test also in train" in said


def edit_info(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        value = info_json(folder)
        change(value)
        (folder / "dataset.json").write_text(json.dumps(value), encoding="utf-8")

    return edit


def inputs_of(value: dict[str, Any]) -> dict[str, Any]:
    inputs: dict[str, Any] = value["signature"]["inputs"]
    return inputs


def truncate(folder: Path) -> None:
    path = folder / "shards/train-00001.npy"
    path.write_bytes(path.read_bytes()[:-5])


def flip_bit(folder: Path) -> None:
    path = folder / "shards/train-00001.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def pickled(folder: Path) -> None:
    np.save(folder / "shards/train-00001.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str, bool]] = {
    "no folder": (shutil.rmtree, "dataset.json does not exist", True),
    "no dataset.json": (lambda f: (f / "dataset.json").unlink(), "dataset.json does not exist", True),
    "half a dataset.json": (lambda f: (f / "dataset.json").write_text('{"a"'), "not valid JSON", True),
    "a list": (lambda f: (f / "dataset.json").write_text("[]"), "format_version is None", True),
    "older format": (edit_info(lambda v: v.update(format_version=1)), "format_version is 1, this code reads 2", True),
    "key missing": (edit_info(lambda v: v.pop("digest")), "dataset.json is damaged: KeyError 'digest'", True),
    "no signature": (edit_info(lambda v: v.update(signature={})), "dataset.json is damaged: inputs: Field req", True),
    "counts wrong": (edit_info(lambda v: v["counts"].update(train=3)), "do not add up", True),
    "shape of two": (
        edit_info(lambda v: inputs_of(v).update(shape=[6, 5])),
        "dataset.json is damaged: inputs.image.shape",
        True,
    ),
    "shard missing": (lambda f: (f / "shards/train-00001.npy").unlink(), "train-00001.npy does not exist", True),
    "targets missing": (lambda f: (f / "shards/train-00000-targets.npy").unlink(), "targets.npy does not exist", True),
    "shard truncated": (truncate, "train-00001.npy", True),
    "shard empty": (lambda f: (f / "shards/train-00001.npy").write_bytes(b""), "train-00001.npy", True),
    "a bit flipped": (flip_bit, "train-00001.npy is damaged", False),
    "a pickle": (pickled, "train-00001.npy", True),
    "another shape": (edit_info(lambda v: inputs_of(v).update(shape=[1, 5, 6])), r"holds uint8 \[.*, 1, 6, 5\]", True),
    "labels of others": (
        edit_info(lambda v: v["signature"]["target"].update(classes=["a", "b"])),
        "none of the 2 classes",
        True,
    ),
    "targets unnamed": (
        edit_info(lambda v: v["shards"]["train"][0].update(targets=None)),
        "names no targets for shards/train-00000.npy",
        True,
    ),
    "statistics of two": (
        edit_info(lambda v: inputs_of(v).update(mean=[0.1, 0.2])),
        "not one value a channel",
        True,
    ),
}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("case", list(DAMAGE))
def test_damage_is_named_with_its_fix(case: str, in_memory: bool, prepared: Path) -> None:
    damage, message, seen_when_mapped = DAMAGE[case]
    damage(prepared)
    if not in_memory and not seen_when_mapped:
        return
    with pytest.raises(UserError, match=message) as caught:
        open_split(prepared, "train", in_memory=in_memory)
    assert "dvc" in caught.value.fix


def test_an_unknown_split(prepared: Path) -> None:
    with pytest.raises(UserError, match="no split 'dev'"):
        open_split(prepared, "dev", in_memory=True)  # type: ignore[arg-type]
