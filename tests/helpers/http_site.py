"""An HTTP server with faults, on loopback."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server answers: files by path, and how it misbehaves.

    Attributes:
        ranges: honours Range.
        drop_after: cuts a connection after so many bytes, in the first `drops` answers.
        statuses: codes answered before the first file.
    """

    files: dict[str, bytes]
    port: int = 0
    ranges: bool = True
    drop_after: int | None = None
    drops: int = 10**9
    statuses: list[int] = field(default_factory=list)
    content_type: str = "application/octet-stream"
    length: bool = True
    wrong_range: bool = False
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/{{name}}"


@contextlib.contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Serve `site` while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.requests.append((self.path, wanted))
            data = site.files.get(self.path.lstrip("/"))
            if site.statuses or data is None:
                self.send_error(site.statuses.pop(0) if site.statuses else 404)
                return
            start, match = 0, re.fullmatch(r"bytes=(\d+)-", wanted or "")
            if site.ranges and match:
                start = int(match[1])
                if start >= len(data):
                    self.send_error(416)
                    return
                self.send_response(206)
                shown = 0 if site.wrong_range else start
                self.send_header("Content-Range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            self.send_header("Content-Type", site.content_type)
            if site.length:
                self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            body = data[start:]
            if site.drop_after is not None and site.drops > 0:
                site.drops -= 1
                body = body[: site.drop_after]
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
