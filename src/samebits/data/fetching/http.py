"""Download over HTTP: resumable, bounded in time and size, quick to notice that there is no network."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from samebits import __version__
from samebits.data.fetching.verified import BLOCK, Meter, PlaceError, ProgressMode

CONNECT_SECONDS = 5.0
_READ_SECONDS = 10.0
_NO_ANSWER = f"no answer within {_READ_SECONDS:g} s"
_TRIES = 4
_PAUSE_SECONDS = 0.5
_SLOW_SECONDS = 30.0
_SLOW_BYTES_PER_SECOND = 1024
_OK, _PARTIAL, _RANGE_REFUSED = 200, 206, 416
# Worth another try: timeout, too many requests, and whatever the server says is its own fault.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Network:
    """Asks once a host whether it can be reached at all."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, int], str | None] = {}

    def require(self, url: str) -> None:
        """Raise PlaceError if the host of `url` does not accept a connection within a few seconds."""
        parts = urlsplit(url)
        if urllib.request.getproxies().get(parts.scheme) and not urllib.request.proxy_bypass(parts.hostname or ""):
            return
        host = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        if host not in self._answers:
            self._answers[host] = _probe(*host)
        reason = self._answers[host]
        if reason is not None:
            raise PlaceError(f"{host[0]} cannot be reached ({reason})")


def _probe(host: str, port: int) -> str | None:
    """Why a host does not accept a connection; None if it does."""
    answer: list[str | None] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            answer.append(error.strerror or str(error) or type(error).__name__)
        else:
            answer.append(None)

    # A name server that does not answer holds getaddrinfo for half a minute, whatever the socket's timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS + 0.5)
    return answer[0] if answer else f"no answer within {CONNECT_SECONDS:g} s"


class _Again(Exception):
    """The link failed in a way that may pass."""


class _Silent(_Again):
    """The server took the question and never answered: one more try, not three."""


def download(
    url: str,
    part: Path,
    *,
    limit: int,
    name: str,
    progress: ProgressMode,
    say: Callable[[str], None],
    resume: bool = True,
) -> None:
    """Download `url` to `part`, going on where an earlier try stopped.

    Args:
        part: what has arrived; kept when the link fails, so that the next call goes on from there.
        limit: most bytes to accept.
        resume: False starts from the first byte.

    Raises:
        PlaceError: the server refuses, the link keeps failing, or what comes is no file.
        OSError: if the disk is full; `part` is removed then.
    """
    if not resume:
        part.unlink(missing_ok=True)
    reason, turn, silent = "", 0, 0
    for turn in range(_TRIES):
        if turn:
            time.sleep(_PAUSE_SECONDS * 2 ** (turn - 1))
        try:
            _receive(url, part, limit=limit, name=name, progress=progress, say=say)
            return
        except urllib.error.HTTPError as error:
            if error.code == _RANGE_REFUSED and part.exists():
                part.unlink()
                reason = "the server refuses the range asked for"
            elif error.code in _PASSING:
                reason = f"HTTP {error.code} {error.reason}"
            else:
                raise PlaceError(f"{url}: HTTP {error.code} {error.reason}") from None
        except _Again as error:
            silent += isinstance(error, _Silent)
            reason = str(error)
            if silent > 1:
                break
    raise PlaceError(f"{url}: {reason} ({turn + 1} tries)")


def _receive(
    url: str, part: Path, *, limit: int, name: str, progress: ProgressMode, say: Callable[[str], None]
) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"samebits/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_READ_SECONDS)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = _reason(error)
        raise (_Silent if reason == _NO_ANSWER else _Again)(reason) from None
    with response:
        if response.headers.get_content_type() in {"text/html", "application/xhtml+xml"}:
            raise PlaceError(f"{url}: sent an HTML page, not the file (a login, proxy or error page?)")
        total = _total(response, have)
        if response.status == _PARTIAL and total is None:
            part.unlink(missing_ok=True)
            raise _Again("the server answers another range than the one asked for")
        if response.status != _PARTIAL:
            # The server ignores Range and sends the whole file.
            have = 0
        if total is not None and total > limit:
            raise PlaceError(f"{url}: {total:,} bytes, more than the {limit:,} that the file can have")
        meter = Meter(progress, name, total, say, done=have)
        try:
            have = _append(response, part, have, limit, url, meter)
        finally:
            meter.close()
    if total is not None and have < total:
        raise _Again(f"the connection ended after {have:,} of {total:,} bytes")


def _append(response: http.client.HTTPResponse, part: Path, have: int, limit: int, url: str, meter: Meter) -> int:
    began, first = time.monotonic(), have
    with part.open("ab" if have else "wb") as out:
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _Again(f"the connection failed after {have:,} bytes ({_reason(error)})") from None
            if not block:
                return have
            have += len(block)
            if have > limit:
                part.unlink()
                raise PlaceError(f"{url}: sends more than the {limit:,} bytes that the file can have")
            try:
                out.write(block)
            except OSError:
                part.unlink(missing_ok=True)
                raise
            meter.add(len(block))
            seconds = time.monotonic() - began
            if seconds > _SLOW_SECONDS and (have - first) / seconds < _SLOW_BYTES_PER_SECOND:
                raise PlaceError(f"{url}: less than 1 KiB/s for {seconds:.0f} s")


def _total(response: http.client.HTTPResponse, have: int) -> int | None:
    """Length of the whole file as the server states it; None if it does not, or answers another range."""
    if response.status == _PARTIAL:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        return int(found[2]) if found and int(found[1]) == have else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return _NO_ANSWER
    return (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__
