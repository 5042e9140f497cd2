"""The page's routes: what they say, and that they neither ask elsewhere nor record anything."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from samebits.demo import routes
from samebits.serving.app import make_app
from samebits.serving.settings import Settings
from tests.helpers.onnx_models import array_model, brightness_model, mask_model, sum_model
from tests.helpers.onnx_texts import next_word_model, word_model

Ask = Callable[..., TestClient]


@pytest.fixture
def client() -> Iterator[Ask]:
    """A client of a model's server."""
    open_clients = []

    def ask(model: Path, **values: Any) -> TestClient:
        found = TestClient(make_app(Settings(model, **values)), "http://localhost", raise_server_exceptions=False)
        found.__enter__()
        open_clients.append(found)
        return found

    yield ask
    for each in open_clients:
        each.__exit__(None, None, None)


def pixels(picture: str) -> np.ndarray[Any, Any]:
    import base64

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))))


def test_the_page_and_its_files_allow_nothing_from_elsewhere(client: Ask, tmp_path: Path) -> None:
    server = client(sum_model(tmp_path / "m.onnx"))
    for path in routes.OPEN:
        found = server.get(path)
        assert found.status_code == 200
        rules = dict(each.split(" ", 1) for each in found.headers["content-security-policy"].split("; "))
        assert rules["default-src"] == "'none'"
        assert {*rules.values()} <= {"'none'", "'self'", "'self' data:"}
        assert found.headers["cache-control"] == "no-store"
        assert "http" not in found.text.replace("http-equiv", ""), path
    assert server.get("/").headers["content-type"].startswith("text/html")
    assert {Path(name).suffix for name in routes.FILES} == {".html", ".css", ".js"}
    for path in ("/page/none.js", "/page/../routes.py", "/page/%2e%2e/routes.py"):
        assert server.get(path).status_code == 404


def test_the_form_says_what_a_model_takes_and_gives(client: Ask, tmp_path: Path) -> None:
    image = client(brightness_model(tmp_path / "i.onnx")).get("/page/form").json()
    assert image["widget"] == "image"
    assert image["fields"] == {"width": 8, "height": 8, "channels": 1, "dark": True}
    assert image["target"]["classes"] == ["left", "right", "top"]
    table = client(sum_model(tmp_path / "s.onnx")).get("/page/form").json()
    assert [each["name"] for each in table["fields"]["columns"]] == ["a", "b"]
    assert table["target"] | {"names": ["total"], "ranges": [[-3.0, 3.0]]} == table["target"]
    array = client(array_model(tmp_path / "a.onnx")).get("/page/form").json()
    assert array["fields"] == {"shape": [2, 3], "dtype": "int16"}
    mask = client(mask_model(tmp_path / "m.onnx")).get("/page/form").json()
    assert mask["target"]["colours"][1] == [255, 0, 0]
    text = client(word_model(tmp_path, {"a": 1.0})).get("/page/form").json()
    assert (text["widget"], text["fields"]) == ("text", {"length": 32})
    tags = client(word_model(tmp_path, {"a": 1.0}, tags=True)).get("/page/form").json()
    assert tags["method"] == ""
    writes = client(next_word_model(tmp_path, ["a", "b"])).get("/page/form").json()
    assert (writes["widget"], writes["fields"]) == ("prompt", {"context": 32})


def test_the_title_is_that_of_the_model_card(client: Ask, tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("# Sums\n\nmore\n")
    assert client(sum_model(tmp_path / "m.onnx")).get("/page/form").json()["title"] == "Sums"


def test_what_the_model_sees_has_its_mask_over_it(client: Ask, tmp_path: Path) -> None:
    server = client(mask_model(tmp_path / "m.onnx"))
    drawn = np.zeros((8, 8), dtype=np.uint8)
    drawn[2, 3] = 201
    found = server.post("/page/look", json={"inputs": [drawn.tolist()]}).json()
    seen = pixels(found["picture"])
    assert seen[2, 3].tolist() == [(201 + 255) // 2, 100, 100]
    assert not seen[0, 0].any()
    assert found["mistakes"] in (None, [])


def test_an_explanation_is_of_one_sample_and_one_class(client: Ask, tmp_path: Path) -> None:
    server = client(brightness_model(tmp_path / "m.onnx", mean=0.0))
    drawn = [[9] * 4 + [3] * 4] * 8
    found = server.post("/page/explain", json={"inputs": [drawn]}).json()
    assert found["map"][0][0] > 0 > found["map"][0][7]
    right = server.post("/page/explain?label=1", json={"inputs": [drawn]}).json()
    assert right["map"][0][0] < 0 < right["map"][0][7]
    for path, body, code in (
        ("/page/explain?label=3", {"inputs": [drawn]}, 422),
        ("/page/explain?label=x", {"inputs": [drawn]}, 422),
        ("/page/explain?label=²", {"inputs": [drawn]}, 422),
        ("/page/explain", {"inputs": [drawn, drawn]}, 422),
        ("/page/look", {"inputs": []}, 422),
        ("/page/look", [], 422),
    ):
        refused = server.post(path, json=body)
        assert (refused.status_code, bool(refused.json()["error"])) == (code, True)
    assert server.post("/page/look", json={"inputs": ["?"]}).json()["error"]
    assert server.post("/page/explain", json={"inputs": ["?"]}).json()["error"]
    texts = client(next_word_model(tmp_path, ["a", "b"]))
    assert texts.post("/page/look", json={"inputs": ["a"]}).status_code == 404
    assert texts.post("/page/explain", json={"inputs": ["a"]}).status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 9999, b"null", b'{"inputs": [[]]}', b'{"inputs": [{"a": 1e999}]}', b"\xff"]
)
def test_no_body_is_answered_with_500(body: bytes, client: Ask, tmp_path: Path) -> None:
    for model in (
        sum_model(tmp_path / "s.onnx"),
        brightness_model(tmp_path / "i.onnx"),
        array_model(tmp_path / "a.onnx"),
    ):
        server = client(model)
        for path in ("/page/look", "/page/explain"):
            found = server.post(path, content=body, headers={"content-type": "application/json"})
            assert found.status_code < 500
            assert found.json()["error"]


def test_with_a_token_the_files_are_open_and_the_model_is_not(client: Ask, tmp_path: Path) -> None:
    token = "a-token-of-some-length"
    server = client(sum_model(tmp_path / "m.onnx"), token=token)
    assert {server.get(path).status_code for path in routes.OPEN} == {200}
    body = {"inputs": [{"a": 1, "b": 2}]}
    for headers, code in (({}, 401), ({"authorization": f"Bearer {token}"}, 200)):
        assert server.get("/page/form", headers=headers).status_code == code
        assert server.post("/page/look", json=body, headers=headers).status_code == code
        assert server.post("/page/explain", json=body, headers=headers).status_code == code


def test_without_the_page_there_is_none(client: Ask, tmp_path: Path) -> None:
    server = client(sum_model(tmp_path / "m.onnx"), page=False)
    assert {server.get(path).status_code for path in ("/", "/page/page.js", "/page/form")} == {404}


def test_nothing_is_recorded(
    client: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    model = word_model(tmp_path, {"secret": 1.0})
    monkeypatch.chdir(tmp_path)
    before = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")}
    server = client(model)
    for path in ("/predict", "/page/look", "/page/explain"):
        assert server.post(path, json={"inputs": ["the secret word"]}).status_code == 200
    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")} == before
    assert "secret" not in "".join(capfd.readouterr())
    assert "secret" not in server.get("/metrics").text


def test_the_page_asks_the_routes_that_there_are(client: Ask, tmp_path: Path) -> None:
    server = client(sum_model(tmp_path / "m.onnx"))
    script = routes.FILES["page.js"].decode()
    for path in ("predict", "page/look", "page/explain"):
        assert f'"{path}' in script
        assert server.post(f"/{path}", json={"inputs": [{"a": 1, "b": 2}]}).status_code == 200
    assert "/page/" not in server.get("/openapi.json").text
