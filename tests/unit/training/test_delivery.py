"""Prepared data and weights reach another host whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.compute import distributed
from samebits.data.loading.prepared import open_split
from samebits.params.transfer import TransferParams
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.training import delivery
from tests.helpers.delivery import deliver, host, keys_left, settle
from tests.helpers.image_project import make_project


@pytest.fixture(scope="module", autouse=True)
def settled() -> Iterator[None]:
    yield
    settle()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("source")).prepared


@pytest.fixture
def first(source: Path, tmp_path: Path) -> Any:
    shutil.copytree(source, tmp_path / "a" / "data" / "prepared")
    return host(tmp_path / "a")


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(delivery, "BLOCK", 500)  # several blocks a file
    monkeypatch.setattr(distributed, "_LOOK", timedelta(seconds=0.02))
    (tmp_path / "b").mkdir()
    return host(tmp_path / "b")


def same(first: Any, other: Any) -> bool:
    return dvc_md5(first.project.prepared) == dvc_md5(other.project.prepared)


def other_data(context: Any) -> Path:
    """A data set of one file that is not the first host's."""
    index: Path = context.project.prepared / "dataset.json"
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_text('{"digest": "another"}')
    return index


def test_a_host_without_data_gets_them(first: Any, other: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert not deliver(first, other)
    assert same(first, other)
    assert not list(other.project.prepared.rglob(".*"))
    count = sum(path.is_file() for path in first.project.prepared.rglob("*"))
    assert f"sending {count} files (" in first.said[0]
    assert f"train: the first machine sends {count} files (" in capsys.readouterr().out
    assert not deliver(first, other)
    assert len(first.said) == 1


def test_what_was_sent_does_not_stay_in_memory(first: Any, other: Any) -> None:
    """Some hundred blocks; what remains are heartbeats and answers."""
    assert not deliver(first, other)
    assert keys_left() < 20


def test_a_transfer_that_was_cut_off_is_no_data_set_and_is_taken_up_again(first: Any, other: Any) -> None:
    assert not deliver(first, other)
    prepared = other.project.prepared
    (prepared / "dataset.json").unlink()
    shards = sorted(prepared.glob("shards/*"))
    shards[0].unlink()
    shards[1].write_bytes(bytes(shards[1].stat().st_size))
    (prepared / "shards" / ".half.npy.x.tmp").write_bytes(b"half")
    untouched = shards[2].stat().st_mtime_ns
    assert not deliver(first, other)
    assert same(first, other)
    assert "sending 3 files (" in first.said[1]
    assert shards[2].stat().st_mtime_ns == untouched
    assert not list(prepared.rglob(".*"))


def test_a_shard_that_is_missing_or_cut_short_is_sent_again(first: Any, other: Any) -> None:
    assert not deliver(first, other)
    shards = sorted(other.project.prepared.glob("shards/*"))
    shards[0].unlink()
    os.truncate(shards[1], 7)
    assert not deliver(first, other)
    assert same(first, other)
    assert "sending 2 files (" in first.said[1]


def test_a_damaged_shard_of_the_first_host_is_refused(first: Any, other: Any) -> None:
    shard = sorted(first.project.prepared.glob("shards/*-00001.npy"))[0]
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    errors = deliver(first, other)
    name = f"data/prepared/shards/{shard.name}"
    assert f"{name} came from the first machine with another hash than it has named" in str(errors[1])
    assert "process 1: " + str(errors[1]) == str(errors[0])
    assert not (other.project.prepared / "dataset.json").exists()
    assert not (other.project.workspace / name).exists()


def test_other_data_that_nobody_else_has_are_kept(first: Any, other: Any) -> None:
    index = other_data(other)
    errors = deliver(first, other)
    assert "holds other data than the first machine trains on, and DVC's cache has no copy of them" in str(errors[1])
    assert "then join again" in str(errors[1])
    assert "process 1: " + str(errors[1]) == str(errors[0])
    assert index.read_text() == '{"digest": "another"}'


def test_data_that_a_first_machine_sent_are_replaced(first: Any, other: Any) -> None:
    assert not deliver(first, other)
    stray = first.project.prepared / "extra.txt"
    stray.write_text("x")
    index = first.project.prepared / "dataset.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"title": "Another"}))
    assert not deliver(first, other)
    stray.unlink()
    index.write_text(json.dumps(json.loads(index.read_text()) | {"title": "A third"}))
    assert not deliver(first, other)
    assert same(first, other)
    assert "sending 1 file (" in first.said[2]


def test_data_that_the_cache_has_are_replaced(first: Any, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other_data(other)
    known = dvc_md5(other.project.prepared)

    class Cache:
        def has(self, digest: str) -> bool:
            return digest == known

    monkeypatch.setattr(delivery, "open_objects", lambda _: Cache())
    assert not deliver(first, other)
    assert same(first, other)


def test_a_disk_that_fills_leaves_no_data_set(first: Any, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Callable[..., Any]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(delivery, "atomic_file", full)
    errors = deliver(first, other)
    assert isinstance(errors[1], OSError)
    assert not (other.project.prepared / "dataset.json").exists()


@pytest.mark.parametrize("name", ["../evil", "data/prepared/../../evil", "/etc/evil", "src/samebits/evil.py"])
def test_a_file_elsewhere_is_refused(name: str, first: Any, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "own_files", lambda *_: {name: first.project.prepared / "dataset.json"})
    errors = deliver(first, other)
    assert f"offers {name}, which is outside of data/prepared and data/raw" in str(errors[1])
    assert not (other.project.workspace / "data").exists()


@pytest.mark.parametrize("weights", ["data/raw/base.safetensors", "data/raw/base"])
def test_weights_come_along_and_are_never_overwritten(weights: str, first: Any, other: Any) -> None:
    path = first.project.workspace / weights
    files = [path] if path.suffix else [path / "config.json", path / "model.safetensors"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(file.name.encode() * 300)
    transfer = TransferParams(weights=weights, sha256="0" * 64)
    assert not deliver(first, other, transfer)
    taken = [other.project.workspace / file.relative_to(first.project.workspace) for file in files]
    assert [each.read_bytes() for each in taken] == [each.read_bytes() for each in files]
    taken[-1].write_bytes(b"mine")
    assert not deliver(first, other, transfer)
    assert taken[-1].read_bytes() == b"mine"


def test_a_first_host_without_data_says_so(first: Any, other: Any) -> None:
    shutil.rmtree(first.project.prepared)
    errors = deliver(first, other)
    assert isinstance(errors[0], UserError)
    assert "dataset.json does not exist" in str(errors[1])


def test_what_came_can_be_trained_on(first: Any, other: Any) -> None:
    assert not deliver(first, other)
    rows = np.arange(20, dtype=np.int64)
    there, here = (open_split(each.project.prepared, "train", in_memory=True).samples(rows) for each in (first, other))
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(here, there, strict=True))
