"""The command in a process of its own: refusals, and an end that loses no request."""

from __future__ import annotations

import base64
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from samebits.cli.main import main
from tests.helpers.amount import FULL
from tests.helpers.onnx_models import brightness_model, sum_model

BODY = json.dumps({"inputs": [{"a": 1, "b": 2}]})


@contextmanager
def served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server that listens, and its port."""
    command = [sys.executable, "-m", "samebits.cli.main", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline().partition("http://127.0.0.1:")[2].split()[0])
        finally:
            process.kill()


def _ask_until_told_to_leave(port: int, statuses: list[int], lost: list[BaseException]) -> None:
    """As a load balancer does: a connection that the server closes is not used again."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            connection.request("POST", "/predict", BODY, {"Content-Type": "application/json"})
            found = connection.getresponse()
            content = json.loads(found.read())
            assert content["predictions"][0]["values"] == [3.0]
            statuses.append(found.status)
            if found.headers["connection"] == "close":
                return
    except BaseException as error:
        lost.append(error)


@pytest.mark.slow
def test_sigterm_loses_no_request(tmp_path: Path) -> None:
    with served("--model", str(sum_model(tmp_path / "m.onnx")), "--drain", "1") as (process, port):
        statuses: list[int] = []
        lost: list[BaseException] = []
        clients = [
            threading.Thread(target=_ask_until_told_to_leave, args=(port, statuses, lost), daemon=True)
            for _ in range(8)
        ]
        for each in clients:
            each.start()
        end = time.monotonic() + 60
        while len(statuses) < 40 and not lost and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        for each in clients:
            each.join(30)
        assert process.wait(60) == 0
        assert lost == []
        assert set(statuses) == {200}
        assert not any(each.is_alive() for each in clients)


@pytest.mark.slow
def test_ctrl_c_answers_what_is_in_progress(tmp_path: Path) -> None:
    with served("--model", str(sum_model(tmp_path / "m.onnx"))) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(BODY)))
        connection.endheaders(BODY[:10].encode())
        time.sleep(0.3)  # until it is in progress
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        connection.send(BODY[10:].encode())
        found = connection.getresponse()
        assert json.loads(found.read())["predictions"][0]["values"] == [3.0]
        assert process.wait(60) == 0


@pytest.mark.slow
def test_memory_does_not_grow(tmp_path: Path) -> None:
    """Over images that are good, damaged and too large, and bodies that are no requests."""
    file = io.BytesIO()
    Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64)).save(file, "PNG")
    large = io.BytesIO()
    Image.new("L", (1500, 1500)).save(large, "PNG")
    images = [file.getvalue(), file.getvalue()[:900], large.getvalue(), b"GIF89a", b""]
    bodies = [json.dumps({"inputs": [base64.b64encode(each).decode()] * 3}) for each in images]
    bodies += ["{", '{"inputs": [[[1, 2], [3]], "x", null]}', '{"inputs": ' + "[" * 5000]
    requests = 10_000 if FULL else 600
    with served("--model", str(brightness_model(tmp_path / "m.onnx", (1, 64, 64)))) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        memory = psutil.Process(process.pid).memory_info
        sizes = []
        for number in range(requests):
            connection.request("POST", "/predict", bodies[number % len(bodies)], {"Content-Type": "application/json"})
            found = connection.getresponse()
            assert found.status in (200, 400), found.status
            found.read()
            if number % (requests // 10) == 0:
                sizes.append(memory().rss >> 20)
        sizes.append(memory().rss >> 20)
    # The first requests load Pillow's formats and fill the allocator's pools.
    assert max(sizes[5:]) - min(sizes[3:6]) <= 12, sizes


def test_what_cannot_be_served_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(sum_model(tmp_path / "m.onnx"))
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "short").write_text("secret\n")
    (tmp_path / "other").write_bytes(b"\xff\xfe")
    (tmp_path / "token").write_text("a-token-of-some-length\n")
    (tmp_path / "bad.onnx").write_text("no model")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy, token = str(taken.getsockname()[1]), str(tmp_path / "token")
        for arguments, told in (
            (["--model", str(tmp_path / "absent.onnx")], "does not exist"),
            (["--model", str(tmp_path / "bad.onnx")], "is no ONNX model"),
            (["--model", str(tmp_path)], "is a folder"),
            (["--model", model, "--port", busy], "cannot be listened at: Address already in use"),
            (["--model", model, "--port", "70000"], "--port is 70000"),
            (["--model", model, "--host", "0.0.0.0"], "no token is set"),
            (["--model", model, "--host", "no.such.host.", "--token-file", token], "cannot be listened"),
            (["--model", model, "--token-file", str(tmp_path / "absent")], "cannot be read: No such file"),
            (["--model", model, "--token-file", str(tmp_path / "empty")], "is empty"),
            (["--model", model, "--token-file", str(tmp_path / "other")], "other characters"),
            (["--model", model, "--token-file", str(tmp_path / "short")], "can be guessed"),
        ):  # fmt: skip
            port = [] if "--port" in arguments else ["--port", "0"]
            assert main(["serve", *arguments, *port]) == 2
            said = capsys.readouterr().err
            assert told in said, said
            assert said.count("\n  fix: ") == 1
    for arguments in (["--seconds", "0"], ["--seconds", "nan"], ["--reload", "-1"], ["--max-body", "0"]):
        with pytest.raises(SystemExit) as raised:
            main(["serve", "--model", model, *arguments])
        assert raised.value.code == 2


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("samebits.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "--model", "m.onnx"]) == 2
    assert "install the extra `serve`" in capsys.readouterr().err
