from __future__ import annotations

import socket

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.tracking.ui import server
from samebits.tracking.ui.housekeeping import clean


def test_a_taken_port_is_avoided(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(server, "_PORT", port)
        assert server.pick_port("") != port
        with pytest.raises(UserError, match="no free port"):
            server.pick_port(str(port))


@pytest.mark.parametrize("wanted", ["x", "0", "70000", "-1"])
def test_what_is_no_port_is_refused(wanted: str) -> None:
    with pytest.raises(UserError, match="no free port"):
        server.pick_port(wanted)


def test_with_a_server_nothing_is_started(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pw@host:5000")
    said: list[str] = []
    assert server.run_ui(project, "samebits", said.append) == 0
    assert said == ["MLflow runs at http://host:5000"]


def test_what_waits_is_said_before_it_does(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def broken(*_: object) -> None:
        raise UserError(said[0], "none")

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(server, "_open_local", broken)
    with pytest.raises(UserError, match="starting MLflow's pages on the runs in sqlite:"):
        server.run_ui(project, "samebits", said.append)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Can't locate revision identified by 'ffffffffffff'", "another version of MLflow"),
        ("Detected out-of-date database schema (found version a, but expected b)", "another version of MLflow"),
        ("(sqlite3.DatabaseError) file is not a database", "is damaged"),
        ("(sqlite3.OperationalError) attempt to write a readonly database", "attempt to write a readonly"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_message(
    project: Project, monkeypatch: pytest.MonkeyPatch, words: str, told: str
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(project.home)
    monkeypatch.setattr("samebits.tracking.upload.mlflow_store.MlflowClient", broken)
    project.mlruns.mkdir()
    (project.mlruns / "mlflow.db").touch()
    for command in (lambda: server.run_ui(project, "samebits"), lambda: clean(project)):
        with pytest.raises(UserError, match=told) as raised:
            command()
        assert "mlflow.db" in raised.value.problem
        assert raised.value.fix
