"""`samebits prepare`: one part, and all parts on a cluster (Dask's client played by a few lines)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.cli.main import main
from samebits.starting import parts
from samebits.starting.parts import prepare_on_dask, prepare_part
from tests.helpers.pictures import encoded, picture
from tests.helpers.workspace import ROOT


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Twenty pictures, and params.yaml for them."""
    for k in range(20):
        path = tmp_path / "data/raw/pets" / ("cat", "dog")[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(k)))
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("source: data/catalog/mnist.yaml", "source: data/raw/pets", 1)
    text = text.replace("  format: null", "  format: image_folder", 1)
    assert "image_folder" in text
    assert "data/raw/pets" in text
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, tmp_path)


def test_a_part_says_what_it_holds(project: Project) -> None:
    said: list[str] = []
    found = [prepare_part(project, part, 3, said.append) for part in (1, 2, 3)]
    assert sum(each["images"] for each in found) == 20
    assert all((project.home / each["file"]).is_file() for each in found)
    assert not list(project.state.glob("part-*"))


def test_other_formats_are_refused_before_they_are_read(project: Project) -> None:
    file = project.params_file
    file.write_text(file.read_text().replace("format: image_folder", "format: table"))
    with pytest.raises(UserError, match=r"data.format is table, and only image files"):
        prepare_part(project, 1, 2, print)


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "1/513", "a/b", "-1/2"])
def test_what_is_no_part_is_refused(project: Project, part: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prepare", f"--part={part}"])
    assert ended.value.code == 2


def test_neither_part_nor_cluster_is_refused(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare"]) == 2
    assert main(["prepare", "--dask", "a:1"]) == 2
    assert "--part 1/8" in capsys.readouterr().err


class _Future:
    def __init__(self, result: Any) -> None:
        self.result = lambda: result

    def release(self) -> None: ...


def _cluster(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """A client whose worker is this process; `change` is done to its answers."""

    class Client:
        def __init__(self, address: str, timeout: float) -> None:
            if address == "nobody:1":
                raise OSError("timed out")

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None: ...

        def wait_for_workers(self, count: int, timeout: float) -> None: ...

        def submit(self, function: Any, *arguments: Any, pure: bool) -> _Future:
            return _Future(change(*function(*arguments)))

    module = ModuleType("dask.distributed")
    module.Client = Client  # type: ignore[attr-defined]
    module.as_completed = list  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dask", ModuleType("dask"))
    monkeypatch.setitem(sys.modules, "dask.distributed", module)


def _in_this_process(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(part: int, count: int) -> tuple[str, int, dict[str, Any], bytes]:
        said = prepare_part(project, part, count, lambda _: None)
        file = project.home / said["file"]
        data = file.read_bytes()
        file.unlink()
        return "desk-b", 0, json.loads(json.dumps(said, default=str)), data

    monkeypatch.setattr(parts, "run_part", run)


def test_parts_of_a_cluster_lie_where_those_of_this_machine_do(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cluster(monkeypatch, lambda *answer: answer)
    here = sorted(prepare_part(project, part, 2, print)["file"] for part in (1, 2))
    wanted = {file: (project.home / file).read_bytes() for file in here}
    _in_this_process(project, monkeypatch)
    assert prepare_on_dask(project, "desk-a:1", 2, print) == {"parts": 2, "images": 20}
    assert {file: (project.home / file).read_bytes() for file in here} == wanted


@pytest.mark.parametrize(("change", "message"), [
    (lambda a, b, said, d: (a, b, said | {"conditions": said["conditions"] | {"pillow": "1"}}, d), "pillow is 1, here"),
    (lambda a, b, said, d: (a, b, said, d[:-1]), "other bytes than its name says"),
    (lambda a, b, said, d: (a, 2, {"error": "no data there", "fix": "copy them"}, b""), "desk-b: no data there"),
])  # fmt: skip
def test_a_worker_that_differs_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, change: Any, message: str
) -> None:
    _cluster(monkeypatch, change)
    _in_this_process(project, monkeypatch)
    with pytest.raises(UserError, match=message):
        prepare_on_dask(project, "desk-a:1", 2, print)
    assert not list(project.state.rglob("*.parquet"))


def test_a_cluster_that_does_not_answer_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    _cluster(monkeypatch, lambda *answer: answer)
    with pytest.raises(UserError, match="no Dask scheduler with a worker answers at nobody:1"):
        prepare_on_dask(project, "nobody:1", 2, print)
