"""Versions, aliases and rollback on a real SQLite store; the model is a small real ONNX file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.model_registry.register import Registry, register
from samebits.tracking.tracking_uri import pick_target
from tests.helpers.registry import go_through_the_gate, make_project, offer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return make_project(tmp_path / "home", monkeypatch)


def test_versions_aliases_gate_and_rollback(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    go_through_the_gate(project, monkeypatch, tmp_path / "downloads")

    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # mlflow.set_tracking_uri sets it

    # The repository is copied, and moves. Its models load from any folder, once a command has opened the store.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert answer_from(elsewhere, project) == "light"
    for move in (shutil.copytree, shutil.move):
        target = tmp_path / f"a place of {move.__name__}"
        move(str(project.home), str(target))
        monkeypatch.chdir(target)
        moved = Registry(Project(target, target), "m")
        version = moved.by_alias("champion")
        assert version is not None
        assert url2pathname(urlsplit(str(version.source)).path).startswith(f"{target}/mlruns/")
        out = tmp_path / f"from-{move.__name__}"
        out.mkdir()
        assert moved.download(version, out).is_file()
        assert answer_from(elsewhere, Project(target, target)) == "light"


_ANSWER = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("samebits", "torch"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import mlflow, numpy, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/m@champion")
picture = numpy.full((2, 2), 200, dtype=numpy.uint8)
print(model.predict(pandas.DataFrame({"image": [picture]}))["prediction"][0])
"""


def answer_from(folder: Path, project: Project) -> str:
    """The champion's answer to a light picture: in a process in this folder, without samebits and torch."""
    command = [sys.executable, "-c", _ANSWER, pick_target(project).uri]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_wrong_names_and_metrics_are_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(project, monkeypatch, 1, 0.9)
    with pytest.raises(UserError, match="no name for a registered model"):
        register(project, name="a/b", say=print)
    with pytest.raises(UserError, match="no number speed"):
        register(project, name="m", metric="speed", say=print)
