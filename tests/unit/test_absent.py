"""Tests of what is not here are skipped; an error that only looks like it stays one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers import absent
from tests.helpers.absent import absence_behind, skip_where_absent


def failure() -> BaseException:
    with pytest.raises(ModuleNotFoundError) as caught:
        import optuna  # noqa: F401
    return caught.value


def test_a_package_that_is_not_there_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr(absent, "find_spec", lambda _: None)
    report = skip_where_absent(SimpleNamespace(failed=True, outcome="failed"), failure(), "test_x.py")
    assert report.outcome == "skipped"
    assert report.longrepr == ("test_x.py", 0, "Skipped: optuna is not installed: make setup EXTRAS=dev")
    assert absence_behind(ImportError("x", name="numqy")) is None


def test_a_package_that_is_there_and_fails_stays_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr(absent, "find_spec", lambda _: "a spec")
    report = SimpleNamespace(failed=True, outcome="failed")
    assert skip_where_absent(report, failure(), "test_x.py").outcome == "failed"


@pytest.mark.parametrize(("here", "skips"), [(False, True), (True, False)])
def test_a_folder_that_a_clone_can_do_without_skips(
    here: bool, skips: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absent, "ROOT", tmp_path)
    if here:
        (tmp_path / "recipes").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "recipes" / "mnist.yaml").read_text()
    assert (absence_behind(caught.value) == "recipes/ is not in this clone") is skips
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "src" / "x.py").read_text()
    assert absence_behind(caught.value) is None
