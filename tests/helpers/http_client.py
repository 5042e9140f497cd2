"""Clients of an exported model's server, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from samebits.serving.app import make_app
from samebits.serving.settings import Limits, Settings

Ask = Callable[..., TestClient]
"""Of a model's path and values of `Settings` and `Limits`, a client of its server, which runs until the test ends."""


def client_of(model: Path, **values: Any) -> TestClient:
    limits = Limits(**{name: values.pop(name) for name in list(values) if name in Limits.__dataclass_fields__})
    app = make_app(Settings(model, limits=limits, **values))
    return TestClient(app, "http://localhost", raise_server_exceptions=False)


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
