"""Whatever is sent, no answer is 500: what OpenAPI allows and does not, and bodies from somebody who means harm."""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image

from samebits.serving.app import make_app
from samebits.serving.settings import Limits, Settings
from tests.helpers.amount import FULL
from tests.helpers.hostile import mutated
from tests.helpers.http_client import Ask
from tests.helpers.onnx_models import array_model, brightness_model, sum_model, text_model, writing_model

MODELS = {
    "image": brightness_model, "table": sum_model, "array": array_model, "text": text_model, "language": writing_model,
}  # fmt: skip

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize("kind", MODELS)
def test_openapi_holds(kind: str, tmp_path: Path) -> None:
    app = make_app(Settings(MODELS[kind](tmp_path / "m.onnx"), token=TOKEN, limits=Limits(tokens=20, texts=64)))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers)
    for operation in schema.get_all_operations():

        @given(case=operation.ok().as_strategy())
        @settings(
            max_examples=200 if FULL else 15,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            case.call_and_validate(headers=headers)

        ask()


def png(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG file of grey pixels, as its compressed pixels say."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def whole(kind: str, size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(size * size, dtype=np.uint8).reshape(size, size)).save(file, kind)
    return file.getvalue()


def npy(text: str, content: bytes = b"") -> bytes:
    """A .npy file with a header of somebody's own."""
    header = text.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


HOSTILE = {
    "bomb": png(5000, 5001, zlib.compress(bytes(5001 * 5001), 9)),
    "sliver": png(6000, 1, zlib.compress(bytes(6001))),
    "bomb that lies": png(8, 8, zlib.compress(bytes(10_000_000), 9)),
    "a billion pixels": png(1 << 30, 1 << 30, b""),
    "empty": b"",
    "cut": whole("PNG")[:50],
    "cut jpeg": whole("JPEG", 15)[:-40],
    "zip": b"PK\x03\x04" + bytes(40),
    "zip in png": whole("PNG") + b"PK\x05\x06" + bytes(18),
    "html in gif": b"GIF89a/*<script>alert(1)</script>*/=1;",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "pickle in npy": npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}\n", b"\x80\x04N."),
    "npy of petabytes": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1125899906842624, 3)}\n"),
    "npy of code": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os').getpid(),)}\n"),
    "npy of less": npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3)}\n", b"12"),
    "npy of negative": npy("{'descr': '<i2', 'fortran_order': False, 'shape': (-2, 3)}\n", bytes(12)),
    "npy of no type": npy("{'descr': ['<i2', 3], 'fortran_order': False, 'shape': (2, 3)}\n", bytes(12)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_an_error_of_its_own(name: str, client: Ask, tmp_path: Path) -> None:
    good = whole("PNG")
    server = client(brightness_model(tmp_path / "m.onnx"))
    found = server.post("/predict", files=[("files", ("a", HOSTILE[name])), ("files", ("b", good))])
    assert found.status_code == 200, found.text
    first, second = found.json()["predictions"]
    # A file with something behind its image, or more pixels than it says, is read as the image it says it is.
    assert bool(first["error"]) == (name not in ("zip in png", "bomb that lies"))
    assert second["error"] is None
    arrays = client(array_model(tmp_path / "a.onnx"))
    for body in ({"inputs": [base64.b64encode(HOSTILE[name]).decode()]}, {"inputs": [[[1e400, None], "x"]]}):
        content = json.dumps(body).replace("Infinity", "1e400")
        said = arrays.post("/predict", content=content, headers={"content-type": "application/json"})
        assert said.status_code == 200, said.text
        assert said.json()["predictions"][0]["error"]
    sent = arrays.post("/predict", files=[("files", ("a.npy", HOSTILE[name]))])
    assert sent.status_code == 200, sent.text
    assert sent.json()["predictions"][0]["error"]


BODIES = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"1e400",
    b"{}",
    b'{"inputs": {}}',
    b'{"inputs": [{}]}',
    b'{"inputs": [null, true, -0.0]}',
    b'{"inputs": [1e400, -1e400]}',
    b'{"inputs": [' + b"9" * 4000 + b"]}",
    b'{"inputs": [' + b"9" * 5000 + b"]}",
    b'{"inputs": ["\\ud800"]}',
    b'{"inputs": [{"a": "\\udfff", "b": 1}]}',
    b'{"inputs": ["\\ud83d\\ude00"]}',
    b"\xff\xfe{",
    b'{"inputs": [{"a": ' + b"9" * 400 + b', "b": 1}]}',
    b'{"inputs": [[[' + b"9" * 400 + b"]]]}",
    b'{"inputs": ["' + b"A" * 999 + b'"], "top": ' + b"9" * 30 + b"}",
    b'{"inputs": ' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    b'{"inputs": [[[1, 2], [3]]]}',
    b'{"inputs": [[]]}',
    b'{"inputs": [[[]]]}',
    b'{"inputs": [[["a"]]]}',
    b'{"inputs": [{"a": {}}]}',
    b'{"inputs": [{"a": "1e999", "b": "nan"}, {"a": true, "b": "\\u0000"}]}',
    b'{"inputs": "data:image/png;base64,"}',
    b'{"inputs": ["data:image/png;base64,", "data:", "===="]}',
    b'{"prompt": "\\ud800"}',
    b'{"prompt": ""}',
    b'{"prompt": "a", "seed": 1' + b"0" * 300 + b"}",
    b'{"prompt": "a", "temperature": 1' + b"0" * 400 + b"}",
    b'{"prompt": "a", "temperature": 1e-320}',
    b'{"prompt": "a", "top_k": 1' + b"0" * 30 + b"}",
    b'{"prompt": "a", "tokens": 1' + b"0" * 30 + b"}",
    b'{"prompt": "a", "top_p": 1e-300, "stream": false}',
    b'{"prompt": "\\u0000\\u2028", "tokens": 2}',
]
TYPES = [
    "application/json",
    "application/json; charset=utf-16",
    "multipart/form-data",
    "multipart/form-data; boundary=a",
    "multipart/form-data; boundary=a; charset=no-such-one",
    "multipart/form-data; boundary=" + "b" * 2000,
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "image/png",
    "multipart/mixed; boundary=a",
    "a/b/c;;=",
]
PARTS = [
    b'--a\r\nContent-Disposition: form-data; name="files"; filename="../../etc/passwd\xff"\r\n\r\nx\r\n--a--\r\n',
    b'--a\r\nContent-Disposition: form-data; name="top"\r\n\r\n\xb2\r\n--a--\r\n',
    b'--a\r\nContent-Disposition: form-data; name="top"\r\n\r\n0\r\n--a--\r\n',
    b"--a\r\nContent-Disposition: form-data; name*=utf-9''a; filename=\"b\"\r\n\r\nx\r\n--a--\r\n",
    b"--a\r\nContent-Disposition: attachment\r\n\r\nx\r\n--a--\r\n",
    b"--a\r\n\r\n--a--",
    b"--a",
    b"\r\n" * 99,
    b'--a\r\nContent-Disposition: form-data; name="files"; filename="\\ud800"\r\nContent-Type: \x00\r\n\r\n\r\n--a--',
]


@pytest.mark.parametrize("kind", MODELS)
def test_no_body_is_answered_with_500(kind: str, client: Ask, tmp_path: Path) -> None:
    server = client(MODELS[kind](tmp_path / "m.onnx"), tokens=4)
    route = "/generate" if kind == "language" else "/predict"
    bodies = [(body, "application/json") for body in BODIES]
    bodies += [(body, content) for content in TYPES for body in (*PARTS[:3], b'{"inputs": ["a"]}')]
    bodies += [(body, "multipart/form-data; boundary=a") for body in PARTS]
    chance = random.Random(0)
    bodies += [(mutated(chance.choice(BODIES[6:]), chance), "application/json") for _ in range(1000 if FULL else 40)]
    for body, content in bodies:
        found = server.post(route, content=body, headers={"content-type": content} if content else {})
        assert found.status_code in (200, 400, 413, 415, 422), (body[:99], content, found.text)
        found.content.decode()
    assert server.get("/health").status_code == 200


def test_a_body_of_100_mb_is_refused_before_it_has_come(client: Ask, tmp_path: Path) -> None:
    server = client(sum_model(tmp_path / "m.onnx"))
    read = 0

    def parts() -> Any:
        nonlocal read
        for _ in range(100):
            read += 1
            yield bytes(1 << 20)

    headers = {"content-type": "application/json"}
    assert server.post("/predict", content=parts(), headers=headers).status_code == 413
    assert server.post("/predict", content=b"{}", headers=headers | {"content-length": "100000000"}).status_code == 413
