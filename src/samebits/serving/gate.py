"""What every request passes first: who may ask, how many at a time, and the counters."""

from __future__ import annotations

import hmac
import time
from collections.abc import Collection

from starlette.datastructures import Headers, State
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from samebits.serving.metrics import Metrics
from samebits.serving.responses import Refused
from samebits.serving.settings import Settings, is_loopback


class Gate:
    """ASGI middleware. Plain ASGI: Starlette's `BaseHTTPMiddleware` costs a task and two queues per request.

    Args:
        open_routes: paths that are answered without a token and whatever else is in progress.
        state: its `stopping` says whether the server is about to stop: each response then closes its connection, so
            that a client or a proxy takes another server for its next request.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, metrics: Metrics, open_routes: Collection[str], state: State
    ) -> None:
        self._app, self._settings, self._metrics, self._open, self._state = app, settings, metrics, open_routes, state
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._state.stopping:
                    message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        self._in_progress += 1
        self._metrics.in_progress.set(self._in_progress)
        try:
            self._require_admitted(scope)
            await self._app(scope, receive, counted)
        except Refused as refused:
            await refused.response(scope, receive, counted)
        finally:
            self._in_progress -= 1
            self._metrics.in_progress.set(self._in_progress)
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begin)

    def _require_admitted(self, scope: Scope) -> None:
        """Raise Refused for a request without the token, from a page of another site, or beyond the limit."""
        headers, token = Headers(scope=scope), self._settings.token
        if not token and not is_loopback(_host(headers.get("host", ""))):
            # A page on the web may give its own name this machine's address, and then ask and read as itself.
            raise Refused(421, "without a token, this server answers as localhost alone")
        if scope["path"] in self._open:
            return
        if token and not _is_token(headers.get("authorization", ""), token):
            raise Refused(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if self._in_progress > self._settings.limits.requests:
            raise Refused(429, "too many requests are in progress", {"Retry-After": "1"})


def _host(header: str) -> str:
    """The name without the port, and an IPv6 address without its brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def _is_token(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
