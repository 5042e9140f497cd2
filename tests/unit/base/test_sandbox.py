"""A model from outside is tried in a process of its own, once."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from samebits.base import sandbox
from samebits.base.errors import UserError
from tests.helpers.onnx_models import sum_model


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each process that is started, in a cache of its own."""
    monkeypatch.setenv("SAMEBITS_CACHE", str(tmp_path / "cache"))
    found: list[int] = []
    run = subprocess.run

    def counted(*arguments: Any, **options: Any) -> Any:
        found.append(len(found))
        return run(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    return found


def tried(path: Path) -> None:
    sandbox._tried.cache_clear()
    sandbox.require_harmless("model", path)


def test_what_was_harmless_is_not_tried_again(
    started: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sum_model(tmp_path / "model.onnx")
    tried(path)
    tried(path)
    assert len(started) == 1
    tried(sum_model(path, ["a", "b", "c"]))
    assert len(started) == 2, "another file"
    monkeypatch.setattr(sandbox.metadata, "version", lambda _: "99")
    tried(path)
    assert len(started) == 3, "another release"


def test_what_failed_is_tried_again(started: list[int], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("hello")
    for _ in range(2):
        with pytest.raises(UserError):
            tried(tmp_path / "model.onnx")
    assert len(started) == 2


def test_a_cache_that_cannot_be_written_costs_nothing(
    started: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAMEBITS_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        tried(sum_model(tmp_path / "model.onnx"))
    assert len(started) == 2
