from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.helpers.http_client import Ask, client_of


@pytest.fixture
def client() -> Iterator[Ask]:
    """Makes clients of models' servers."""
    with ExitStack() as running:

        def ask(model: Path, **values: Any) -> TestClient:
            return running.enter_context(client_of(model, **values))

        yield ask
