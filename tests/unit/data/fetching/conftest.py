"""No pauses between tries, no proxy of this machine's, and a stand-in for npm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.data.fetching import http
from tests.helpers.places import Member, client, npm_place, tgz


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_PAUSE_SECONDS", 0.0)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Member]], dict[str, Any]]:
    def make(members: list[Member]) -> dict[str, Any]:
        archive = tgz(tmp_path / "made.tgz", members)
        # The last argument is the package asked for.
        script = (
            f'[ "$1" = view ] && exit\nfor last; do :; done\n[ "$last" = tiny-data@1.2.3 ] && cp {archive} t-1.2.3.tgz'
        )
        client(tmp_path / "bin", "npm", script, monkeypatch)
        return npm_place(archive)

    return make
