from __future__ import annotations

import socket

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.tracking.ui import server


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
