"""`samebits serve` beside `mlflow models serve`: the same exported model, inputs, client and number of connections.

    python bench/serve.py              three minutes; writes bench/results/serve.json and the table of docs/serve.md
    python bench/serve.py --quick      half a minute, to see that it works; writes nothing
    python bench/serve.py --page       writes the table anew

Each connection sends its next request when it has the answer to the one before. Both servers are one process with the
settings that they come with; the client is a process of its own on the same machine. One sample per request.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench")]

import numpy as np
from parts.base import RESULTS, facts, table
from parts.page import about_line
from predict import COLUMNS, image_model, make_images, table_model

from samebits.base.files import read_json, write_json

RESULT = RESULTS / "serve.json"
PAGE = ROOT / "docs" / "serve.md"
_BEGIN, _END = "<!-- bench: serve -->\n", "<!-- /bench -->"
_SERVERS = ("samebits", "mlflow")
_UP_S = 120.0
Row = dict[str, Any]


def inputs(kind: str, folder: Path, count: int) -> list[Any]:
    """Samples as JSON has them: rows of a table, or image files in base64."""
    if kind == "table":
        values = np.random.default_rng(0).normal(size=(count, COLUMNS)).round(4).tolist()
        return [{f"c{place}": cell for place, cell in enumerate(row)} for row in values]
    make_images(folder / "images", count)
    return [base64.b64encode(path.read_bytes()).decode() for path in sorted((folder / "images").iterdir())]


def request(server: str, kind: str, sample: Any, port: int) -> bytes:
    """One sample as the server wants it."""
    if server == "samebits":
        path, body = "/predict", {"inputs": [sample]}
    else:
        path, body = "/invocations", {"dataframe_records": [sample if kind == "table" else {"image": sample}]}
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def label(server: str, answer: bytes) -> str:
    """The class that was answered."""
    found = json.loads(answer)
    if server == "samebits":
        return str(found["predictions"][0]["classes"][0]["label"])
    return str(found["predictions"][0]["prediction"])


async def _ask(port: int, requests: Sequence[bytes], end: float, seconds: list[float]) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    for number in range(sys.maxsize):
        begin = time.perf_counter()
        if begin > end:
            break
        writer.write(requests[number % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode() + (await reader.read(500)).decode())
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        seconds.append(time.perf_counter() - begin)
    writer.close()
    return answer


async def _load(port: int, requests: Sequence[bytes], connections: int, duration: float) -> list[float]:
    seconds: list[float] = []
    shift = len(requests) // connections
    end = time.perf_counter() + duration
    await asyncio.gather(
        *(_ask(port, [*requests[n * shift :], *requests[: n * shift]], end, seconds) for n in range(connections))
    )
    return seconds


def measure(port: int, requests: Sequence[bytes], connections: int, duration: float) -> Row:
    """Requests per second and milliseconds of one load, after a short one that warms up."""
    asyncio.run(_load(port, requests, connections, min(1.0, duration / 2)))
    begin = time.perf_counter()
    seconds = asyncio.run(_load(port, requests, connections, duration))
    passed = time.perf_counter() - begin
    cuts = statistics.quantiles(seconds, n=100)
    return {
        "connections": connections,
        "requests_per_s": round(len(seconds) / passed, 1),
        "p50_ms": round(1000 * cuts[49], 2),
        "p99_ms": round(1000 * cuts[98], 2),
    }


@contextmanager
def running(server: str, model: Path, folder: Path, port: int) -> Iterator[None]:
    """A server that answers."""
    if server == "samebits":
        command = [sys.executable, "-m", "samebits.cli.main", "serve", "--model", str(model), "--port", str(port)]
        ready = "ready"
    else:
        command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder)]
        command += ["--env-manager", "local", "--port", str(port)]
        ready = "ping"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        end = time.monotonic() + _UP_S
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/{ready}", timeout=5):
                break
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{server} does not come up: {' '.join(command)}")
            time.sleep(0.2)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def render(found: dict[str, Any]) -> str:
    """The table of the page."""
    rows = []
    for kind, text in (("table", "a row of 20 numbers"), ("image", "an image of 64 x 64 pixels")):
        for connections in sorted({row["connections"] for row in found["rows"]}):
            picked = {server: _median(found["rows"], kind, server, connections) for server in _SERVERS}
            ours, theirs = picked["samebits"], picked["mlflow"]
            rows.append([
                text, str(connections),
                *(f"{each['requests_per_s']:,.0f}" for each in (ours, theirs)),
                f"{ours['requests_per_s'] / theirs['requests_per_s']:.1f}",
                *(f"{each['p50_ms']:.1f} / {each['p99_ms']:.1f}" for each in (ours, theirs)),
            ])  # fmt: skip
    head = ["one sample", "connections", "requests/s", "of MLflow", "ratio", "p50 / p99, ms", "of MLflow"]
    return "\n".join([*table(head, rows), "", about_line(found["about"]), ""])


def _median(rows: Sequence[Row], kind: str, server: str, connections: int) -> Row:
    mine = [row for row in rows if (row["kind"], row["server"], row["connections"]) == (kind, server, connections)]
    return {key: statistics.median(row[key] for row in mine) for key in ("requests_per_s", "p50_ms", "p99_ms")}


def write_page(found: dict[str, Any], page: Path) -> None:
    """Put the table between its marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n{render(found)}\n{_END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    if arguments.page:
        write_page(read_json(RESULT), PAGE)
        return
    from samebits.model_registry.model_folder import save_model

    begin = time.monotonic()
    rounds, duration, loads = (1, 1.0, (4,)) if arguments.quick else (2, 5.0, (1, 16))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        for kind in ("table", "image"):
            here = Path(name) / kind
            here.mkdir()
            model = here / "export" / "model.onnx"
            model.parent.mkdir()
            table_model(model) if kind == "table" else image_model(model, 8)
            save_model(model, here / "registered")
            samples = inputs(kind, here, 64)
            for number in range(rounds):
                told = {}
                for place, server in enumerate(_SERVERS[:: 1 if number % 2 == 0 else -1]):
                    port = 18000 + 10 * number + place
                    with running(server, model, here / "registered", port):
                        requests = [request(server, kind, sample, port) for sample in samples]
                        one = asyncio.run(_ask(port, requests[:1], time.perf_counter() + 0.01, []))
                        told[server] = label(server, one)
                        for connections in loads:
                            rows.append({"kind": kind, "server": server, "round": number})
                            rows[-1] |= measure(port, requests, connections, duration)
                            print(json.dumps(rows[-1]), flush=True)
                if len(set(told.values())) != 1:
                    raise SystemExit(f"the servers do not give the same answer: {told}")
    if not arguments.quick:
        about = facts() | {
            "minutes": round((time.monotonic() - begin) / 60, 1), "command": "python bench/serve.py", "peers": {},
        }  # fmt: skip
        found = {"about": about, "rows": rows}
        write_json(RESULT, found)
        write_page(found, PAGE)


if __name__ == "__main__":
    main()
