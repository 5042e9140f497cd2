"""The server's answers: those of `samebits predict`, and what it says to requests that it does not answer."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samebits.base.errors import UserError
from samebits.serving.settings import Settings
from tests.helpers.asked import asked
from tests.helpers.http_client import Ask, until
from tests.helpers.onnx_models import array_model, brightness_model, sum_model


def png(bright: str = "left", size: int = 8) -> bytes:
    pixels = np.zeros((size, size), dtype=np.uint8)
    pixels[:, : size // 2] = 200
    file = io.BytesIO()
    Image.fromarray(pixels if bright == "left" else pixels[:, ::-1].copy()).save(file, "PNG")
    return file.getvalue()


def test_images_as_files_as_base64_and_as_pixels_get_the_answer_of_predict(client: Ask, tmp_path: Path) -> None:
    model = brightness_model(tmp_path / "m.onnx")
    server = client(model)
    (tmp_path / "a.png").write_bytes(png())
    (wanted,) = asked(model, files=(tmp_path / "a.png",))
    as_file = server.post("/predict", files=[("files", ("a.png", png())), ("files", ("b.png", png("right")))])
    assert as_file.status_code == 200
    first, second = as_file.json()["predictions"]
    assert first["name"] == "a.png"
    assert [each["label"] for each in (first["classes"][0], second["classes"][0])] == ["left", "right"]
    pixels = np.asarray(Image.open(io.BytesIO(png()))).tolist()
    inputs = [base64.b64encode(png()).decode(), pixels]
    in_json = server.post("/predict", json={"inputs": inputs, "top": 1}).json()["predictions"]
    assert [each["name"] for each in in_json] == ["inputs[0]", "inputs[1]"]
    assert [each["classes"] for each in in_json] == [wanted.json()["classes"][:1]] * 2
    assert first["classes"] == wanted.json()["classes"]


def test_rows_and_arrays(client: Ask, tmp_path: Path) -> None:
    sums = client(sum_model(tmp_path / "sums.onnx"))
    rows = [{"a": 1, "b": "2"}, {"b": 0, "a": 4.5, "c": 9}, {"a": 1}, {"a": "one", "b": 1}, 7, {"a": [1], "b": 2}]
    found = sums.post("/predict", json={"inputs": rows}).json()["predictions"]
    assert [each["values"] for each in found] == [[3.0], [4.5], [], [], [], []]
    assert [bool(each["error"]) for each in found] == [False, False, True, True, True, True]
    assert "it has no b" in found[2]["error"]
    arrays = client(array_model(tmp_path / "arrays.onnx"))
    values = [[[1, 2, 3], [0, 0, 0]], [[0, 0, 0], [1, 2, 3]], [[1, 2], [3, 4]], "x"]
    said = arrays.post("/predict", json={"inputs": values}).json()["predictions"]
    assert [each["classes"][0]["label"] if each["classes"] else "" for each in said] == ["up", "down", "", ""]
    file = io.BytesIO()
    np.save(file, np.array(values[0], dtype=np.int16))
    sent = arrays.post("/predict", files=[("files", ("a.npy", file.getvalue()))]).json()["predictions"]
    assert sent[0]["classes"] == said[0]["classes"]


@pytest.mark.parametrize(("body", "headers", "code"), [
    (b"{", {"content-type": "application/json"}, 400),
    (b'{"inputs": [NaN]}', {"content-type": "application/json"}, 400),
    (b"[" * 100_000, {"content-type": "application/json"}, 400),
    (b'{"inputs": 3}', {"content-type": "application/json"}, 422),
    (b'{"inputs": []}', {"content-type": "application/json"}, 422),
    (b'{"inputs": [1], "colour": 2}', {"content-type": "application/json"}, 422),
    (b'{"inputs": [1], "top": 0}', {"content-type": "application/json"}, 422),
    (b'{"inputs": [1], "top": true}', {"content-type": "application/json"}, 422),
    (b"x", {"content-type": "text/plain"}, 415),
    (b"x", {"content-type": "multipart/form-data"}, 400),
    (b"--a\r\nno part", {"content-type": "multipart/form-data; boundary=a"}, 400),
    (b'{"inputs": ["' + b"x" * 2000 + b'"]}', {"content-type": "application/json"}, 413),
    (b'{"inputs": [1, 2, 3, 4, 5]}', {"content-type": "application/json"}, 413),
])  # fmt: skip
def test_what_is_no_request_is_told(
    body: bytes, headers: dict[str, str], code: int, client: Ask, tmp_path: Path
) -> None:
    limits = {"inputs": 4} if len(body) > 100_000 or code != 413 else {"body": 1000, "inputs": 4}
    server = client(brightness_model(tmp_path / "m.onnx"), **limits)
    found = server.post("/predict", content=body, headers=headers)
    assert found.status_code == code, found.text
    assert found.json()["error"]
    assert code in {int(each) for each in server.get("/openapi.json").json()["paths"]["/predict"]["post"]["responses"]}


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nrest", b"GIF89a", b"PK\x03\x04", png()[:50]])
def test_a_damaged_image_costs_no_other(content: bytes, client: Ask, tmp_path: Path) -> None:
    server = client(brightness_model(tmp_path / "m.onnx"))
    found = server.post("/predict", files=[("files", ("a", content)), ("files", ("b", png()))])
    assert found.status_code == 200
    bad, good = found.json()["predictions"]
    assert bad["error"]
    assert good["classes"][0]["label"] == "left"


def test_a_token_is_asked_for(client: Ask, tmp_path: Path) -> None:
    token = "a-token-of-some-length"
    server = client(sum_model(tmp_path / "m.onnx"), token=token)
    body = {"inputs": [{"a": 1, "b": 2}]}
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": token}, {"authorization": "Bearer é"}):
        refused = server.post("/predict", json=body, headers={k: v.encode() for k, v in headers.items()})  # type: ignore[misc]
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert server.get("/metrics").status_code == 401
    assert server.get("/health").status_code == server.get("/ready").status_code == 200
    assert server.post("/predict", json=body, headers={"authorization": f"bearer {token}"}).status_code == 200


def test_others_reach_it_with_a_token_alone(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"):
        with pytest.raises(UserError, match="no token is set"):
            Settings(tmp_path, host=host)
    with pytest.raises(UserError, match="can be guessed"):
        Settings(tmp_path, token="secret")
    assert "a-token-of-some-length" not in repr(Settings(tmp_path, token="a-token-of-some-length"))
    assert Settings(tmp_path, host="::1").token == ""


def test_a_page_of_another_site_is_not_answered(client: Ask, tmp_path: Path) -> None:
    server = client(sum_model(tmp_path / "m.onnx"))
    for host, code in (("evil.example:8000", 421), ("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("LOCALHOST", 200)):
        assert server.get("/ready", headers={"host": host}).status_code == code
    with_token = client(sum_model(tmp_path / "m.onnx"), token="a-token-of-some-length")
    assert with_token.get("/ready", headers={"host": "models.example"}).status_code == 200


def test_too_much_at_once_is_refused_with_a_time_to_come_back(client: Ask, tmp_path: Path) -> None:
    server = client(sum_model(tmp_path / "m.onnx"), requests=0)
    found = server.post("/predict", json={"inputs": [{"a": 1, "b": 2}]})
    assert (found.status_code, found.headers["retry-after"]) == (429, "1")
    assert server.get("/ready").status_code == 200


def test_the_time_limit(client: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = client(sum_model(tmp_path / "m.onnx"), seconds=0.05)
    monkeypatch.setattr("samebits.inference.table.Kind.answers_of", lambda self, items: time.sleep(0.3) or [])
    found = server.post("/predict", json={"inputs": [{"a": 1, "b": 2}]})
    assert (found.status_code, found.json()) == (504, {"error": "no answer in 0.05 s"})


def test_routes_with_examples_without_a_network(client: Ask, tmp_path: Path) -> None:
    page = client(sum_model(tmp_path / "m.onnx")).get("/docs").text
    assert "curl -sN http://localhost/predict -H &#x27;Content-Type: application/json&#x27;" in page
    assert "{&quot;inputs&quot;: [{&quot;a&quot;: 0.0" in page
    assert not re.search(r"(src|href)=.?(https?:)?//", page)
    with_token = client(brightness_model(tmp_path / "i.onnx"), token="a-token-of-some-length")
    told = with_token.get("/docs", headers={"authorization": "Bearer a-token-of-some-length"}).text
    assert "Authorization: Bearer TOKEN" in told
    assert "files=@FILE" in told


def test_health_readiness_and_metrics(client: Ask, tmp_path: Path) -> None:
    server = client(sum_model(tmp_path / "m.onnx"))
    ready = server.get("/ready").json()
    assert ready["status"] == "ready"
    assert ready["model"]["inputs"] == "table"
    server.post("/predict", json={"inputs": [{"a": 1, "b": 2}, 7]})
    server.get("/nowhere")
    text = server.get("/metrics").text
    assert 'samebits_samples_total{outcome="answer"} 1.0' in text
    assert 'samebits_samples_total{outcome="error"} 1.0' in text
    assert 'samebits_requests_total{code="200",route="/predict"} 1.0' in text
    assert 'samebits_requests_total{code="404",route="other"} 1.0' in text
    assert f'samebits_model{{sha256="{ready["model"]["sha256"]}"}} 1.0' in text


def test_openapi_has_an_example_that_is_answered(client: Ask, tmp_path: Path) -> None:
    for model in (
        brightness_model(tmp_path / "i.onnx"), sum_model(tmp_path / "s.onnx"), array_model(tmp_path / "a.onnx"),
    ):  # fmt: skip
        server = client(model)
        post = server.get("/openapi.json").json()["paths"]["/predict"]["post"]
        example = post["requestBody"]["content"]["application/json"]["example"]
        found = server.post("/predict", json=example)
        assert found.status_code == 200
        assert [each["error"] for each in found.json()["predictions"]] == [None]


def test_a_model_of_other_inputs_is_not_taken(client: Ask, tmp_path: Path) -> None:
    path = sum_model(tmp_path / "m.onnx")
    server = client(path, reload_seconds=0.02)
    os.replace(brightness_model(tmp_path / "new.onnx"), path)
    until(lambda: "problem" in server.get("/ready").json())
    assert "has inputs image, the one that is served table" in server.get("/ready").json()["problem"]
    assert server.post("/predict", json={"inputs": [{"a": 1, "b": 2}]}).status_code == 200


def test_a_new_file_is_taken_and_a_damaged_one_is_not(client: Ask, tmp_path: Path) -> None:
    path = sum_model(tmp_path / "m.onnx")
    server = client(path, reload_seconds=0.02)
    first = server.get("/ready").json()["model"]["sha256"]
    new = tmp_path / "new.onnx"
    new.write_bytes(b"no model")
    os.replace(new, path)
    until(lambda: "problem" in server.get("/ready").json())
    assert server.post("/predict", json={"inputs": [{"a": 1, "b": 2}]}).json()["model"] == first
    os.replace(sum_model(new, ("b", "a")), path)
    until(lambda: server.get("/ready").json()["model"]["sha256"] != first)
    found = server.post("/predict", json={"inputs": [{"a": 1, "b": 2}]}).json()
    assert found["model"] != first
    assert found["predictions"][0]["values"] == [3.0]
    example = server.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert list(example["application/json"]["example"]["inputs"][0]) == ["b", "a"]


def test_json_has_no_constants(client: Ask, tmp_path: Path) -> None:
    server = client(sum_model(tmp_path / "m.onnx"))
    text = server.post("/predict", json={"inputs": [{"a": 1e308, "b": 1e308}]}).text
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
