"""States that nobody came back to are removed; a lock keeps two trainings of one fingerprint apart."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from samebits.base.errors import UserError
from samebits.training.resume import store as module
from samebits.training.resume.store import StateStore, remove_stale_states


def age(folder: Path, days: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "0000000001").mkdir(exist_ok=True)
    then = time.time() - days * 86_400
    os.utime(folder, (then, then))


def test_old_states_of_other_trainings_are_removed(tmp_path: Path) -> None:
    for name, days in {"mine": 30, "old": 15, "new": 13}.items():
        age(tmp_path / name, days)
    (tmp_path / "old.lock").touch()
    remove_stale_states(tmp_path, keep="mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "new", "old.lock"]


def test_there_may_be_no_states_yet(tmp_path: Path) -> None:
    remove_stale_states(tmp_path / "absent", keep="mine")
    assert not (tmp_path / "absent").exists()


def test_clear_forgets_this_training_alone(tmp_path: Path) -> None:
    with StateStore(tmp_path, "a", print) as first, StateStore(tmp_path, "b", print) as second:
        for store in (first, second):
            store.save({"x": torch.ones(2)}, {"step": 1})
        first.clear()
        assert first.load() is None
        assert second.load() is not None


def test_a_draft_that_a_kill_left_is_no_state(tmp_path: Path) -> None:
    with StateStore(tmp_path, "f", print) as store:
        (store.folder / "0000000009.tmp").mkdir(parents=True)
        assert store.load() is None
        store.save({"x": torch.ones(2)}, {"step": 9})
        assert [path.name for path in store.folder.iterdir()] == ["0000000009"]


def test_a_second_training_of_the_same_waits_and_then_says_why_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.05)
    said: list[str] = []
    with StateStore(tmp_path, "f", print):
        with pytest.raises(UserError, match="another process trains the same"), StateStore(tmp_path, "f", said.append):
            pytest.fail("two trainings at once")
        with StateStore(tmp_path, "another", said.append):
            pass
    assert len(said) == 1
    with StateStore(tmp_path, "f", said.append):  # released
        pass
