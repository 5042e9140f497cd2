"""notebooks/colab.py, without Colab: what it lets pip replace, and where results lie."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.workspace import ROOT


@pytest.fixture
def colab() -> Any:
    spec = importlib.util.spec_from_file_location("colab", ROOT / "notebooks" / "colab.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_torch_stays_where_samebits_takes_it(
    colab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(colab, "version", {"torch": "2.14.0+cu128", "torchvision": "0.9.0"}.__getitem__)
    assert colab.held(ROOT) == ["torch==2.14.0+cu128"]
    assert "torchvision 0.9.0 is here, and samebits needs" in capsys.readouterr().out


def test_results_lie_in_the_folder_and_a_second_session_finds_them(
    colab: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(colab, "run", lambda *command: ran.append(command))
    results = tmp_path / "results"
    for session in ("first", "second"):
        project = tmp_path / session
        project.mkdir()
        for _ in range(2):  # the cell may be run again
            colab.keep(project, results)
        (project / "mlruns" / session).touch()
    assert (project / "mlruns" / "first").is_file()
    assert ran[-1] == ("dvc", "cache", "dir", "--local", str(results / "dvc-cache"))


def test_what_the_process_loaded_before_pip_replaced_it_is_named(colab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert colab.outdated() == []
    monkeypatch.setattr(sys.modules["numpy"], "__version__", "2.0.2")
    assert colab.outdated() == ["numpy"]


def test_results_of_before_are_not_lost(colab: Any, tmp_path: Path) -> None:
    (tmp_path / "project" / "mlruns").mkdir(parents=True)
    with pytest.raises(SystemExit, match="begin with a fresh clone"):
        colab.keep(tmp_path / "project", tmp_path / "results")
