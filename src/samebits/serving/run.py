"""The server's life: it listens, says where, and ends without losing a request."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from samebits.base.errors import UserError
from samebits.serving.app import make_app
from samebits.serving.settings import Settings


def serve(settings: Settings, say: Callable[[str], None] = print, opened: Callable[[str], None] | None = None) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those in progress are answered first.

    Args:
        opened: is told the address once it can be asked.

    Raises:
        UserError: for a model that cannot be served, or an address that is taken.
    """
    app = make_app(settings)
    listening = _socket(settings)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=round(settings.limits.stop_seconds),
            timeout_keep_alive=30,
            server_header=False,
        )
    )
    say(f"{settings.model} is served at http://{shown}:{port} (OpenAPI: /openapi.json; Ctrl-C ends it)")
    if opened is not None:
        listening.listen()  # what asks from here on waits for the server
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
        raise UserError(
            f"{settings.host}:{settings.port} cannot be listened at: {error}", "name another one: --port 8001"
        ) from None
    return found
