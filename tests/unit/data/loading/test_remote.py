"""Shards that lie on a remote alone: the same batches, in a cache of bounded size, read ahead in the order."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from samebits.base.errors import Interrupted, UserError
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import open_split, read_info
from samebits.data.loading.remote import ShardCache, Wanted
from tests.helpers.image_project import make_project


class Copied(ShardCache):
    """Its files come from a folder beside the workspace, by a thread each, some time after they were asked for."""

    delay = 0.002
    asked_for: list[str]

    def _start(self) -> None:
        self._process = object()  # type: ignore[assignment]
        self.asked_for = []
        for each in list(self._asked.values()):
            self._write(each)

    def _write(self, wanted: Wanted) -> None:
        self.asked_for.append(wanted.name)
        threading.Thread(target=self._copy, args=(wanted,), daemon=True).start()

    def _copy(self, wanted: Wanted) -> None:
        time.sleep(self.delay)
        shutil.copy(self.workspace / "store" / wanted.name, self.folder / wanted.sha256)
        self._answered({"sha256": wanted.sha256})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its prepared data, and as `store` once more."""
    home = tmp_path_factory.mktemp("project")
    project = make_project(home)
    shutil.copytree(project.prepared, home / "store")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """The same with dataset.json alone in data/prepared."""
    shutil.copytree(made / "store", tmp_path / "store")
    (tmp_path / "data/prepared").mkdir(parents=True)
    shutil.copy(made / "store/dataset.json", tmp_path / "data/prepared")
    return tmp_path


def _cache(home: Path, limit: int, **more: object) -> Copied:
    return Copied(home, home / "cache", "team", limit, lambda _: None, **more)  # type: ignore[arg-type]


def _batches(folder: Path, shards: ShardCache | None, window: int = 2) -> Batches:
    split = open_split(folder, "train", in_memory=False, shards=shards)
    return Batches(split, batch_size=16, seed=4, shuffle="window", window=window)


def _same(home: Path, shards: ShardCache, workers: int = 2, start: int = 0, epochs: int = 3) -> None:
    """Compare the batches with those of files that are here."""
    here, away = _batches(home / "store", None), _batches(home / "data/prepared", shards)
    stop = epochs * here.steps_per_epoch
    pairs = zip(here.stream(start, stop, 0), away.stream(start, stop, workers), strict=True)
    for mine, theirs in pairs:
        assert np.array_equal(mine.inputs, theirs.inputs)
        assert np.array_equal(mine.targets, theirs.targets)


def _two_windows(home: Path) -> int:
    """Bytes of four of the largest shards."""
    return sum(
        sorted((path.stat().st_size for path in (home / "store/shards").glob("train-?????.npy")), reverse=True)[:4]
    )


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("start", [0, 7])
def test_batches_are_those_of_files_that_are_here(home: Path, workers: int, start: int) -> None:
    shards = _cache(home, _two_windows(home))
    _same(home, shards, workers, start)
    assert shards.most <= shards.limit
    assert sum(path.stat().st_size for path in shards.folder.iterdir()) <= shards.limit


def test_a_shard_is_fetched_once_an_epoch(home: Path) -> None:
    """Read ahead in the order, and none is removed that is still needed."""
    shards = _cache(home, _two_windows(home))
    _same(home, shards, workers=0, epochs=2)
    names = [name for name in shards.asked_for if "targets" not in name]
    assert len(names) > len(set(names))
    assert max(names.count(name) for name in names) <= 2


def test_a_cache_for_all_fetches_each_once_and_is_kept(home: Path) -> None:
    shards = _cache(home, 1 << 30)
    _same(home, shards)
    assert len(shards.asked_for) == len(set(shards.asked_for)) == shards.fetched
    shards._lock.release()
    again = _cache(home, 1 << 30)
    _same(home, again)
    assert (again.folder, again.fetched) == (shards.folder, 0)


def test_a_file_that_rotted_in_the_cache_is_fetched_again(home: Path) -> None:
    shards = _cache(home, 1 << 30)
    _same(home, shards, epochs=1)
    shards._lock.release()
    rotten = sorted(shards.folder.iterdir())[0]
    rotten.write_bytes(rotten.read_bytes()[:-1] + b"x")
    (shards.folder / f".{rotten.name}.99.tmp").write_bytes(b"half")
    again = _cache(home, 1 << 30)
    _same(home, again, epochs=1)
    assert again.fetched == 1
    assert not list(again.folder.glob(".*"))


def test_two_processes_have_a_folder_each(home: Path) -> None:
    first, second = _cache(home, 1 << 30), _cache(home, 1 << 30)
    assert first.folder != second.folder


def test_a_window_that_does_not_fit_is_refused_with_a_size_that_does(home: Path) -> None:
    shards = _cache(home, 2 * max(path.stat().st_size for path in (home / "store/shards").glob("train-*")))
    batches = _batches(home / "data/prepared", shards, window=8)
    with pytest.raises(UserError, match=r"reads shards of .* MiB at one time"):
        next(batches.stream(0, 4, 0))


def test_a_file_larger_than_the_cache_is_refused(home: Path) -> None:
    with pytest.raises(UserError, match="shard_cache_mib"):
        _batches(home / "data/prepared", _cache(home, 100))


def test_files_that_are_here_are_not_asked_for(home: Path) -> None:
    shutil.copytree(home / "store", home / "data/prepared", dirs_exist_ok=True)
    missing = read_info(home / "store").shards["train"][1].inputs
    (home / "data/prepared" / missing).unlink()
    shards = _cache(home, 1 << 30)
    _same(home, shards)
    assert set(shards.asked_for) == {missing}


def test_in_memory_the_files_are_read_once(home: Path) -> None:
    shards = _cache(home, 1 << 30)
    there = open_split(home / "store", "train", in_memory=True)
    found = open_split(home / "data/prepared", "train", in_memory=True, shards=shards)
    rows = np.arange(len(there))
    assert np.array_equal(there.rows(rows), found.rows(rows))
    assert found.remote is None


def _fails(shards: ShardCache) -> None:
    shards._answered({"error": "the store says no", "fix": "ask it"})


def test_a_remote_that_fails_ends_the_wait(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Copied, "_write", lambda self, _: threading.Timer(0.01, _fails, [self]).start())
    with pytest.raises(UserError, match="the store says no"):
        _batches(home / "data/prepared", _cache(home, 1 << 30))


def test_who_waits_can_be_stopped_and_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Copied, "_write", lambda *_: None)
    monkeypatch.setattr("samebits.data.loading.remote._SAID_AFTER", 0.0)
    shards = Copied(home, home / "cache", "team", 1 << 30, said.append, lambda: bool(said))
    with pytest.raises(Interrupted, match="awaited from the remote"):
        _batches(home / "data/prepared", shards)
    assert said[0].startswith("waiting for shards/train-00000-targets.npy from the remote")
