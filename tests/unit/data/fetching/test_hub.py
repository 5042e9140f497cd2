"""Files of a model on a hub: fetched once, by commit, and what is said when they cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.files import sha256_bytes
from samebits.data.fetching import http
from samebits.data.fetching.hub import CONFIG, TENSORS, fetch_hub
from tests.helpers.http_site import Site, serve

COMMIT, OTHER = "0a" * 20, "1b" * 20
DATA = b"tensors" * 100


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_PAUSE_SECONDS", 0.0)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site() -> Site:
    files = {f"acme/tiny/resolve/{COMMIT}/{CONFIG}": b"{}", f"acme/tiny/resolve/{OTHER}/{CONFIG}": b'{"a": 1}'}
    return Site(files | {f"acme/tiny/resolve/{COMMIT}/{TENSORS}": DATA})


def get(file: str, revision: str = COMMIT, sha256: str = "") -> Path:
    return fetch_hub("acme/tiny", revision, file, sha256, say=lambda _: None, progress="off")


def test_each_commit_has_its_own_files_and_the_cache_serves_them_offline(
    site: Site, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(site):
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{site.port}/")
        found = [get(CONFIG), get(CONFIG, OTHER), get(TENSORS, sha256=sha256_bytes(DATA))]
        assert [path.read_bytes() for path in found] == [b"{}", b'{"a": 1}', DATA]
        assert len(site.requests) == 3
    assert [get(CONFIG), get(CONFIG, OTHER), get(TENSORS)] == found
    assert all(path.parent == own_cache for path in found)


def test_a_file_that_the_cache_has_damaged_is_fetched_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(site):
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{site.port}")
        get(TENSORS).write_bytes(b"damaged")
        assert get(TENSORS, sha256=sha256_bytes(DATA)).read_bytes() == DATA


def test_what_cannot_be_had_says_why_and_what_to_do(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(site):
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{site.port}")
        with pytest.raises(UserError, match=f"{OTHER}/{TENSORS} could not be had.*HTTP 404"):
            get(TENSORS, OTHER)
        with pytest.raises(UserError, match=f"it has sha256 {sha256_bytes(DATA)}, which does not begin with 0{{64}}"):
            get(TENSORS, sha256="0" * 64)
        site.files[f"acme/tiny/resolve/{'2' * 40}/{CONFIG}"] = bytes(2 << 20)
        with pytest.raises(UserError, match="more than the 1,048,576"):
            get(CONFIG, "2" * 40)
    with pytest.raises(UserError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        get(TENSORS)
    assert "into a folder below data/raw" in caught.value.fix
    monkeypatch.setenv("HF_ENDPOINT", "mirror.example")
    with pytest.raises(UserError, match=r"HF_ENDPOINT is mirror\.example, no address"):
        get(CONFIG)
