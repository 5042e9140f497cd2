"""The server's life: it listens, says where, and ends without losing a request."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from samebits.base.errors import UserError
from samebits.serving.app import make_app
from samebits.serving.settings import Settings


class _Server(uvicorn.Server):
    """After SIGTERM it takes requests for `drain` seconds more, and tells the app; after Ctrl-C, or a second signal, it
    takes none. Those in progress are answered."""

    def __init__(self, config: uvicorn.Config, drain: float, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain, self._tell = drain, stopping
        self._end = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own: that dies of the signal once all is done, and 0 says that it ended well.
        self._tell()
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        elif sig == signal.SIGTERM and self._end == float("inf"):
            self._end = time.monotonic() + self._drain
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or time.monotonic() >= self._end


def serve(
    settings: Settings, say: Callable[[str], None] = print, opened: Callable[[str], None] = lambda url: None
) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those in progress are answered first.

    Args:
        opened: is told the address once it can be asked.

    Raises:
        UserError: for a model that cannot be served, or an address that is taken.
    """
    listening = _socket(settings)
    app = make_app(settings)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=round(settings.limits.stop_seconds),
        timeout_keep_alive=30,
        server_header=False,
    )
    server = _Server(config, settings.limits.drain_seconds, lambda: setattr(app.state, "stopping", True))
    listening.listen(config.backlog)  # whoever reads the line and asks at once waits for the server
    say(f"{settings.model} is served at http://{shown}:{port} (examples: /docs; Ctrl-C ends it)")
    opened(f"http://{shown}:{port}/")
    server.run(sockets=[listening])


def _socket(settings: Settings) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"--host {settings.host} --port {settings.port} cannot be listened at: {reason}",
            "name another one, as --port 8001; --port 0 takes a free one",
        ) from None
    return found
