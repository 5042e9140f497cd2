"""Each finding of `samebits doctor` that a healthy machine does not show."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.base.git import git
from samebits.base.paths import Project
from samebits.sharing.doctor import checks, doctor
from samebits.sharing.doctor.finding import Line
from samebits.sharing.share import share
from tests.helpers.workspace import AUTHOR, ROOT

Version = namedtuple("Version", "major minor micro releaselevel serial")


def states(lines: Iterator[Line]) -> list[str]:
    found = list(lines)
    assert all(line.fix for line in found if line.state != "ok")
    return [line.state for line in found]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, tmp_path)


class Store:
    """A remote that keeps bytes, as `checks` sees one; with a fault, as some do."""

    def __init__(self, fault: str = "", name: str = "team") -> None:
        self.fault, self.shown, self.kept = fault, f"remote '{name}'", dict[str, bytes]()
        self.odb = SimpleNamespace(fs=SimpleNamespace(CAN_TRAVERSE=fault != "reads only"))

    def check_answers(self) -> None:
        if self.fault == "down":
            raise UserError(f"{self.shown} cannot be reached", "check the network")

    def write_probe(self, data: bytes) -> str:
        self.kept["oid"] = b"other" if self.fault == "changes" else data
        if self.fault == "loses":
            self.kept.clear()
        return "oid"

    def sizes(self, oids: list[str]) -> dict[str, int]:
        return {oid: len(self.kept[oid]) for oid in oids if oid in self.kept}

    def read(self, oid: str) -> bytes | None:
        return self.kept.get(oid)

    def remove(self, oid: str) -> None:
        if self.fault != "keeps":
            self.kept.pop(oid, None)


def repository(monkeypatch: pytest.MonkeyPatch, remotes: dict[str, str], default: str | None, **more: Any) -> None:
    """A DVC repository with these remotes, as `open_repo` gives one."""
    import contextlib

    config = {"remote": {name: {"url": url} for name, url in remotes.items()}, "core": {"remote": default}}
    repo = SimpleNamespace(config=config, **more)
    monkeypatch.setattr(checks, "open_repo", lambda folder: contextlib.nullcontext(repo))


@pytest.mark.parametrize(
    ("fault", "state", "text"),
    [
        ("", "ok", "wrote, listed, read back, deleted"),
        ("reads only", "ok", "to be read only"),
        ("down", "error", "cannot be reached"),
        ("loses", "error", "does not give them back"),
        ("changes", "error", "does not give them back"),
        ("keeps", "warning", "does not let us delete"),
        ("slow", "warning", "works, slowly"),
    ],
)
def test_each_state_of_a_remote(
    monkeypatch: pytest.MonkeyPatch, project: Project, fault: str, state: str, text: str
) -> None:
    repository(monkeypatch, {"team": "s3://b"}, "team")
    store = Store(fault)
    monkeypatch.setattr(checks, "open_remote", lambda repo, name, timeout: store)
    if fault == "slow":
        monkeypatch.setattr(checks, "_SLOW_S", -1.0)
    (line,) = checks.remote(project, 1)
    assert (line.state, text in line.text, bool(line.fix)) == (state, True, state != "ok")
    assert fault == "keeps" or not store.kept


def test_a_remote_that_fails_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    repository(monkeypatch, {"a": "s3://a", "b": "s3://b", "c": "gs://c"}, None)

    def opened(repo: Any, name: str, timeout: float) -> Store:
        if name == "c":
            raise UserError("its plugin is not installed", "install it")
        return Store("down" if name == "a" else "", name)

    monkeypatch.setattr(checks, "open_remote", opened)
    lines = list(checks.remote(project, 1))
    assert [line.state for line in lines] == ["warning", "error", "ok", "error"]
    assert "none is the default one" in lines[0].text


def test_no_remote_is_a_warning(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    repository(monkeypatch, {}, None)
    assert states(checks.remote(project, 1)) == ["warning"]


@pytest.mark.parametrize("scheme", ["s3", "ssh", "webdavs", "gs", "azure"])
def test_a_missing_plugin_is_an_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, project: Project, scheme: str
) -> None:
    repository(monkeypatch, {"team": f"{scheme}://x", "disk": "/mnt/x"}, "team")
    monkeypatch.setattr(checks, "_installed", lambda package: False)
    (line,) = checks.dvc_and_plugins(project)
    assert line.state == "error"
    assert line.fix.endswith(f"pip install 'dvc[{checks.EXTRAS[scheme]}]'")
    monkeypatch.setattr(checks, "_installed", lambda package: True)
    assert states(checks.dvc_and_plugins(project)) == ["ok"]


def test_an_author_that_git_does_not_know_is_a_warning(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name, value in AUTHOR.items():
        monkeypatch.setenv(name, value)
    git(project.home, "init", "-q")
    git(project.home, "commit", "-q", "--allow-empty", "-m", "start")
    assert [line.text for line in checks.git_state(project)] == ["there is no git remote"]
    for name in AUTHOR:
        monkeypatch.delenv(name)
    author, remote = checks.git_state(project)
    assert "no name and e-mail" in author.text
    assert "git config --global user.name" in author.fix
    assert remote.text == "there is no git remote"


@pytest.mark.parametrize(
    ("change", "problem", "fix"),
    [
        (lambda root: (root / "new.py").touch(), "not committed: new.py", "git add, git commit"),
        (lambda root: (root / "code.py").unlink(), "deleted, but in the last commit: code.py", "git restore code.py"),
        (
            lambda root: (root / "reports" / "metrics.json").unlink(),
            "missing: reports/metrics.json, which a stage that did not finish was to write",
            "dvc repro; or take the committed results back: git restore reports/metrics.json && dvc checkout",
        ),
    ],
)
def test_a_tree_that_differs_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, project: Project, change: Callable[[Path], None], problem: str, fix: str
) -> None:
    for name, value in AUTHOR.items():
        monkeypatch.setenv(name, value)
    (project.home / "reports").mkdir()
    (project.home / "code.py").touch()
    (project.home / "reports" / "metrics.json").write_text("{}")
    (project.home / "dvc.yaml").write_text(
        "stages: {train: {cmd: t, metrics: [{reports/metrics.json: {cache: false}}]}}"
    )
    git(project.home, "init", "-q")
    git(project.home, "add", "-A")
    git(project.home, "commit", "-q", "-m", "start")
    change(project.home)
    with pytest.raises(UserError) as raised:
        share(project.home)
    assert problem in raised.value.problem
    assert fix in raised.value.fix
    (line,) = checks.git_state(project)
    assert problem in line.text


@pytest.mark.parametrize(("content", "damaged"), [(None, False), ("{}", False), ('{"a": [', True), ("", True)])
def test_a_lock_file_that_a_full_disk_cut_is_named(
    monkeypatch: pytest.MonkeyPatch, project: Project, content: str | None, damaged: bool
) -> None:
    repository(monkeypatch, {}, None)
    file = project.home / ".dvc" / "tmp" / "rwlock"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_text(content)
    found = list(checks.dvc_and_plugins(project))
    assert [line.state for line in found] == (["ok", "ok"] if damaged else ["ok"])
    if damaged:
        assert found[0].text == f"its lock file {file} was damaged and is removed: DVC makes a new one"
    assert file.exists() == (content is not None and not damaged)


@pytest.mark.parametrize(("minor", "state"), [(10, "error"), (11, "ok"), (13, "ok")])
def test_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch, minor: int, state: str) -> None:
    monkeypatch.setattr(sys, "version_info", Version(3, minor, 1, "final", 0))
    assert states(checks.python()) == [state]


def test_versions_against_the_lock(project: Project) -> None:
    assert states(checks.versions(project)) == ["warning"]  # there is no lock
    lock = project.home / "requirements.lock"
    import numpy

    lock.write_text(f"numpy=={numpy.__version__} \\\n    --hash=sha256:0\nno-such-package==1.0\n")
    assert states(checks.versions(project)) == ["ok"]
    lock.write_text(f"numpy=={numpy.__version__} ; sys_platform == 'x'\nnumpy==0.0.1 ; sys_platform != 'x'\n")
    assert states(checks.versions(project)) == ["ok"]  # one a system
    lock.write_text("numpy==0.0.1\n")
    (line,) = checks.versions(project)
    assert (line.state, line.fix) == ("warning", "make setup")
    assert f"numpy {numpy.__version__} (lock: 0.0.1)" in line.text


@pytest.mark.parametrize(("free", "state"), [(3 << 30, "ok"), (1 << 30, "warning"), (99 << 20, "error")])
def test_room_on_the_disk(monkeypatch: pytest.MonkeyPatch, project: Project, free: int, state: str) -> None:
    out = SimpleNamespace(meta=SimpleNamespace(size=100 << 20))
    repository(
        monkeypatch, {}, None, index=SimpleNamespace(outs=[out, SimpleNamespace(meta=None)]),
        cache=SimpleNamespace(local=SimpleNamespace(path=project.home / "not" / "yet")),
    )  # fmt: skip
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=free))
    (line,) = checks.disk(project)
    assert line.state == state
    assert "1,224.0 MiB" in line.text  # twice the outputs, and one GiB


@pytest.mark.parametrize("state", ["broken", "off"])
def test_torch_and_mlflow(monkeypatch: pytest.MonkeyPatch, project: Project, state: str) -> None:
    from tests.helpers.workspace import ROOT, set_params

    (project.home / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    if state == "off":
        set_params(project.home, {"runtime": {"tracking": {"enabled": False}}})
        assert states(checks.mlflow_store(project)) == ["warning"]
        assert states(checks.torch_and_device(project)) == ["ok"]
        return
    import torch

    monkeypatch.setattr(torch, "ones", lambda *shape, device: torch.zeros(*shape, device=device))
    assert states(checks.torch_and_device(project)) == ["error"]


@pytest.mark.parametrize(("uri", "told"), [("sqlite:///mlruns/mlflow.db", "df -h"), ("http://team:5000", "its log")])
def test_a_store_that_takes_nothing_is_told_with_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch, project: Project, uri: str, told: str
) -> None:
    from samebits.tracking import tracking_uri
    from samebits.tracking.upload import delivery, mlflow_store
    from tests.helpers.workspace import ROOT

    def full(*_: Any) -> float:
        raise delivery.StoreUnavailable("MLflow does not take the records: No space left on device")

    (project.home / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    local = uri.startswith("sqlite")
    monkeypatch.setattr(tracking_uri, "pick_target", lambda _: SimpleNamespace(uri=uri, local=local, shown=uri))
    monkeypatch.setattr(tracking_uri, "check_reachable", lambda _: None)
    monkeypatch.setattr(mlflow_store, "probe", full)
    with pytest.raises(UserError) as raised:
        list(checks.mlflow_store(project))
    assert "No space left" in raised.value.problem
    assert told in raised.value.fix


def test_a_check_that_breaks_is_a_finding_and_the_next_one_goes_on(
    monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    def broken(*_: Any) -> Iterator[Line]:
        raise RuntimeError("cannot open https://ann:planted-77@host.org/x")
        yield

    for name in (
        "stage_packages",
        "torch_and_device",
        "data_source",
        "git_state",
        "dvc_and_plugins",
        "lock",
        "remote",
        "mlflow_store",
        "disk",
    ):
        monkeypatch.setattr(checks, name, lambda *_: iter([Line("x", "ok", "fine")]))
    monkeypatch.setattr(checks, "versions", lambda *_: iter([Line("x", "warning", "old", "renew")]))
    found = doctor.doctor(project)
    assert found.json()["healthy"] is True  # a warning is no error
    assert found.exit_code == 0
    monkeypatch.setattr(checks, "git_state", broken)
    found = doctor.doctor(project)
    said = found.text()
    assert found.exit_code == 1
    assert [line.split()[0] for line in said.splitlines() if not line.startswith(" ")] == [
        "ok", "warning", "ok", "ok", "ok", "error", "ok", "ok", "ok", "ok", "ok",
    ]  # fmt: skip
    assert "RuntimeError" in said
    assert "planted" not in said


def test_a_data_source_that_is_not_there_is_named(project: Project) -> None:
    project.catalog.mkdir(parents=True)
    shutil.copy(ROOT / "data/catalog/mnist.yaml", project.catalog)
    (project.workspace / "data/raw/pets").mkdir(parents=True)
    for source, problem in {
        "data/catalog/mnist.yaml": "",
        "data/raw/pets": "",
        "data/raw/pats": "data.source data/raw/pats does not exist",
        "mnist": "data.source mnist is no path",
        "data/catalog/minst.yaml": "'minst' is no card",
    }.items():
        params = (ROOT / "params.yaml").read_text()
        project.params_file.write_text(params.replace("source: data/catalog/mnist.yaml", f"source: {source}"))
        if not problem:
            assert states(checks.data_source(project)) == ["ok"]
            continue
        with pytest.raises(UserError) as caught:
            list(checks.data_source(project))
        assert caught.value.problem.startswith(problem)
        assert caught.value.fix


def test_a_package_of_another_release_than_packages_yaml_names_is_an_error(project: Project) -> None:
    (project.workspace / "dvc.yaml").write_text("stages: {train: {cmd: x, params: [packages.yaml: [numpy]]}}\n")
    (project.workspace / "packages.yaml").write_text('numpy: "1.0"\n')
    found = list(checks.stage_packages(project))
    assert [line.state for line in found] == ["error"]
    assert "(packages.yaml: 1.0)" in found[0].text
    (project.workspace / "packages.yaml").write_text(f'numpy: "{importlib.metadata.version("numpy")}"\n')
    assert states(checks.stage_packages(project)) == ["ok"]
