"""What a server is told, and the limits that it keeps."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from samebits.base.errors import UserError

SHORTEST_TOKEN = 16
_LAST_PORT = 65535


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take.

    Attributes:
        requests: in progress at a time, each with its body in memory; beyond, 429.
        body: bytes of a request's body.
        inputs: samples of one request.
        pixels: of an image; a small file may hold many.
        waiting: samples that wait for the model; beyond, a request is answered with 429.
        seconds: until an answer, else 504; for a text, until its last token.
        tokens: of one generated text.
        texts: that are written at the same time; beyond, 429.
        drain_seconds: after SIGTERM in which requests are still taken, while /ready answers 503.
        stop_seconds: that requests in progress have then.
    """

    requests: int = 128
    body: int = 16 << 20
    inputs: int = 256
    pixels: int = 25_000_000
    waiting: int = 1024
    seconds: float = 30.0
    tokens: int = 1024
    texts: int = 4
    drain_seconds: float = 1.0
    stop_seconds: float = 30.0


@dataclass(frozen=True)
class Settings:
    """Of one server.

    Attributes:
        model: an .onnx file of the export stage, or `models:/NAME@ALIAS`, `models:/NAME/VERSION` of a registry.
        host, port: to listen at.
        token: that a request must bring (`Authorization: Bearer TOKEN`); empty: none is asked for.
        reload_seconds: between two looks for another file or version, which then answers; 0: never.
        registry: MLflow's tracking URI, for a model of a registry.
        page: whether people find a page at `/`.

    Raises:
        UserError: for a number that is no port, an address that others reach without a token, a token that can be
            guessed.
    """

    model: Path
    host: str = "127.0.0.1"
    port: int = 8000
    token: str = field(default="", repr=False)
    reload_seconds: float = 5.0
    registry: str = ""
    page: bool = True
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= _LAST_PORT:
            raise UserError(f"--port is {self.port}", f"it is a number from 0 to {_LAST_PORT}; 0 takes a free one")
        if not self.token and not is_loopback(self.host):
            raise UserError(
                f"--host {self.host} lets other machines ask this model, and no token is set",
                "put one into a file: --token-file FILE; or listen here alone: --host 127.0.0.1",
            )
        if self.token and len(self.token) < SHORTEST_TOKEN:
            raise UserError(
                f"the token has {len(self.token)} characters, which can be guessed",
                f"take {SHORTEST_TOKEN} or more: openssl rand -hex 24",
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
