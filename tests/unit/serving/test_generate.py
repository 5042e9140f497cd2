"""Texts of a language model: as a stream, as one document, within their limits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from samebits.inference.generate import open_writer
from samebits.inference.sampling import Sampling
from samebits.serving.model import open_served
from samebits.serving.schema import body_of
from samebits.serving.settings import Limits
from tests.helpers.http_client import Ask, until
from tests.helpers.onnx_models import writing_model


def test_a_stream_and_a_document_have_the_text_of_the_command(client: Ask, tmp_path: Path) -> None:
    model = writing_model(tmp_path / "m.onnx")
    server = client(model)
    wanted = "".join(open_writer(model).pieces("ab", 12, Sampling(seed=3)))
    body = {"prompt": "ab", "tokens": 12, "seed": 3}
    found = server.post("/generate", json=body | {"stream": False}).json()
    assert (found["text"], found["ended"]) == (wanted, "length")
    streamed = server.post("/generate", json=body)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [event.split("\n") for event in streamed.text.removesuffix("\n\n").split("\n\n")]
    assert "".join(json.loads(line.removeprefix("data: "))["text"] for (line,) in events[:-1]) == wanted
    assert events[-1] == ["event: end", 'data: {"ended": "length"}']


def test_what_cannot_be_written_is_told_before_a_response_begins(client: Ask, tmp_path: Path) -> None:
    server = client(writing_model(tmp_path / "m.onnx"), tokens=8)
    for body, told in (({"prompt": ""}, "empty"), ({"prompt": "a", "tokens": 9}, "9 are more than 8")):
        found = server.post("/generate", json=body)
        assert found.status_code == 422
        assert told in found.json()["error"]
    assert server.post("/generate", json={"prompt": "a", "stream": False}).json()["ended"] == "length"


def test_openapi_says_whether_a_prompt_may_be_empty(tmp_path: Path) -> None:
    served = open_served(writing_model(tmp_path / "m.onnx"), most_pixels=1)
    assert served.writer is not None
    begins = replace(served, writer=replace(served.writer, separator=0))
    for each, shortest in ((served, 1), (begins, None)):
        schema = body_of(each, Limits())["content"]["application/json"]["schema"]
        assert schema["properties"]["prompt"].get("minLength") == shortest


def test_time_and_the_number_of_texts_are_limited(client: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = client(writing_model(tmp_path / "m.onnx"), seconds=0.0001, tokens=500)
    found = server.post("/generate", json={"prompt": "a", "tokens": 500, "stream": False}).json()
    assert found["ended"] == "time"
    none = client(writing_model(tmp_path / "m.onnx"), texts=0)
    refused = none.post("/generate", json={"prompt": "a"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")


def test_a_text_gives_its_place_free(client: Ask, tmp_path: Path) -> None:
    server = client(writing_model(tmp_path / "m.onnx"), texts=1)
    assert server.post("/generate", json={"prompt": ""}).status_code == 422
    until(lambda: server.post("/generate", json={"prompt": "a", "tokens": 1}).status_code == 200)
