"""`samebits demo` on the command line."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
import webbrowser
from pathlib import Path
from typing import Any

import pytest

from samebits.cli.demo import open_page
from samebits.cli.main import main
from tests.helpers.onnx_models import sum_model

MAIN = [sys.executable, "-m", "samebits.cli.main", "demo"]


def test_it_says_where_the_page_is_answers_and_ends(tmp_path: Path) -> None:
    command = [*MAIN, "--model", str(sum_model(tmp_path / "m.onnx")), "--no-open"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", demo.stdout.readline())
        assert found
        with urllib.request.urlopen(f"{found[0]}/", timeout=30) as page:
            assert b"samebits" in page.read()
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(30) == 0
    finally:
        demo.kill()
        demo.communicate()
    assert [each.name for each in tmp_path.iterdir()] == ["m.onnx"]


def test_a_model_that_is_not_there_and_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--no-open", "--model", str(tmp_path / "m.onnx")]) == 2
    assert "does not exist" in capsys.readouterr().err
    model = str(sum_model(tmp_path / "m.onnx"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--no-open", "--model", model, "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"--port {port} cannot be listened at" in said
    assert "Traceback" not in said


def test_a_registered_model_is_asked_for_at_its_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("samebits.serving.run.serve", lambda settings, *_: asked.append(settings))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["demo", "--model", "models:/digits@champion"]) == 0
    assert main(["demo", "--model", "m.onnx", "--port", "9"]) == 0
    assert [each.registry for each in asked] == ["http://127.0.0.1:9", ""]
    assert [(each.host, each.port) for each in asked] == [("127.0.0.1", 0), ("127.0.0.1", 9)]


def test_the_browser_is_opened_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    open_page("http://127.0.0.1:1/")
    assert opened == []
    assert "open http://127.0.0.1:1/ in a browser" in capsys.readouterr().out
    monkeypatch.setenv("DISPLAY", ":0")
    waiting = open_page("http://127.0.0.1:1/")
    assert waiting is not None
    waiting.join(10)
    assert opened == ["http://127.0.0.1:1/"]
