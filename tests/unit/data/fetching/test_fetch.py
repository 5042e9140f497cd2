"""Fetching from places that work, misbehave, lie or are not there."""

from __future__ import annotations

import errno
import gzip
import io
import multiprocessing
import os
import socket
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.data.fetching import http, packages
from samebits.data.fetching.catalog import Card
from samebits.data.fetching.fetch import cache_folder, fetch
from tests.helpers.http_site import Site, serve
from tests.helpers.idx_source import card_dict
from tests.helpers.places import CONTENTS, Member, client, get, good_members, link, npm_place, tgz

IMAGES = "tr-images"


def card(*places: dict[str, Any]) -> Card:
    return Card.model_validate(card_dict(CONTENTS, list(places)))


def url(site: Site, unpack: str = "none") -> dict[str, Any]:
    return {"kind": "url", "base": site.base, "unpack": unpack}


def check(found: dict[str, Path], cache: Path) -> None:
    """All files are there, right, and nothing else lies in the cache."""
    assert {name: path.read_bytes() for name, path in found.items()} == CONTENTS
    assert {path for path in cache.iterdir() if path.suffix != ".lock"} == set(found.values())
    assert all(path.name == sha256_file(path) for path in found.values())


def test_files_are_fetched_once(own_cache: Path) -> None:
    with serve(Site(CONTENTS)) as site:
        check(get(card(url(site))), own_cache)
        check(get(card(url(site))), own_cache)
        assert sorted(path for path, _ in site.requests) == sorted(f"/{name}" for name in CONTENTS)


def test_gzip_is_unpacked(own_cache: Path) -> None:
    with serve(Site({name: gzip.compress(data) for name, data in CONTENTS.items()})) as site:
        check(get(card(url(site, "gzip"))), own_cache)


def test_without_a_length(own_cache: Path) -> None:
    with serve(Site(CONTENTS, length=False)) as site:
        check(get(card(url(site))), own_cache)


def test_a_dropped_connection_is_resumed(own_cache: Path) -> None:
    with serve(Site(CONTENTS, drop_after=6000, drops=2)) as site:
        check(get(card(url(site))), own_cache)
        asked = [wanted for path, wanted in site.requests if path == f"/{IMAGES}"]
        assert asked == [None, "bytes=6000-", "bytes=12000-"]


def test_what_an_earlier_run_left_is_used(own_cache: Path) -> None:
    with serve(Site(CONTENTS, drop_after=1000)) as site:
        with pytest.raises(UserError, match=r"connection ended after 4,000 of 15,016 bytes \(4 tries\)"):
            get(card(url(site)))
        site.drop_after = None
        check(get(card(url(site))), own_cache)
        assert (f"/{IMAGES}", "bytes=4000-") in site.requests


@pytest.mark.parametrize("fault", [{"ranges": False}, {"wrong_range": True}], ids=["ignored", "another range"])
def test_a_server_without_ranges_starts_again(fault: dict[str, Any], own_cache: Path) -> None:
    with serve(Site(CONTENTS, drop_after=6000, drops=1, **fault)) as site:
        check(get(card(url(site))), own_cache)


@pytest.mark.parametrize("left", [b"x" * 7000, b"x" * 15016, b"x" * 20000], ids=["other bytes", "as long", "longer"])
def test_a_wrong_part_is_thrown_away(left: bytes, own_cache: Path) -> None:
    own_cache.mkdir(parents=True)
    with serve(Site(CONTENTS)) as site:
        wanted = card(url(site))
        (own_cache / f"{wanted.file('train/images').sha256}.part").write_bytes(left)
        check(get(wanted), own_cache)


def test_passing_errors_are_tried_again(own_cache: Path) -> None:
    with serve(Site(CONTENTS, statuses=[503, 429])) as site:
        check(get(card(url(site))), own_cache)


def site_with(**change: Any) -> Site:
    return Site(**{"files": dict(CONTENTS), **change})


def changed(data: bytes) -> dict[str, bytes]:
    return CONTENTS | {IMAGES: data}


right = CONTENTS[IMAGES]
packed = gzip.compress(right, mtime=0)

FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "403": ({"statuses": [403]}, "none", "HTTP 403 Forbidden"),
    "404": ({"files": {}}, "none", "HTTP 404 Not Found"),
    "500 for ever": ({"statuses": [500] * 9}, "none", r"HTTP 500 Internal Server Error \(4 tries\)"),
    "HTML": ({"content_type": "text/html; charset=utf-8"}, "none", "sent an HTML page, not the file"),
    "wrong bytes": ({"files": changed(right[:-1] + b"?")}, "none", "tr-images: wrong sha256 [0-9a-f]{64}, the card"),
    "too short": ({"files": changed(right[:-1])}, "none", "tr-images: 15,015 bytes, the card names 15,016"),
    "too long": ({"files": changed(right + b"?")}, "none", "15,017 bytes, more than the 15,016"),
    "too long, not said": ({"files": changed(right + b"?"), "length": False}, "none", "sends more than the 15,016"),
    "no gzip": ({}, "gzip", "tr-images: no valid gzip data"),
    "half a gzip": ({"files": changed(packed[:-20])}, "gzip", "its gzip data ends early"),
    "gzip bomb": ({"files": changed(gzip.compress(bytes(10**7)))}, "gzip", "longer than the 15,016 bytes"),
    "never the whole": ({"drop_after": 10}, "none", r"connection ended after 40 of 15,016 bytes \(4 tries\)"),
}


@pytest.mark.parametrize("case", list(FAULTS))
def test_a_bad_server_is_named_with_its_reason(case: str, own_cache: Path) -> None:
    fault, unpack, message = FAULTS[case]
    with serve(site_with(**fault)) as site, pytest.raises(UserError, match=message) as caught:
        get(card(url(site, unpack)))
    assert site.base in caught.value.problem
    assert "SAMEBITS_DATA" in caught.value.fix
    assert f"{IMAGES}  (15,016 bytes, sha256 " in caught.value.fix
    # What could be resumed stays; nothing else does, and nothing under a name that says it is right.
    left = {path.suffix for path in own_cache.iterdir()}
    assert left <= ({".lock", ".part"} if case == "never the whole" else {".lock"})


def test_the_next_place_is_tried(own_cache: Path) -> None:
    said: list[str] = []
    with serve(site_with(statuses=[403])) as bad, serve(Site(CONTENTS)) as good:
        check(get(card(url(bad), url(good)), said), own_cache)
    assert "HTTP 403" in "\n".join(said)


def test_a_second_place_completes_the_first(own_cache: Path) -> None:
    some = {name: CONTENTS[name] for name in (IMAGES, "tr-labels")}
    with serve(Site(some)) as first, serve(Site(CONTENTS)) as second:
        check(get(card(url(first), url(second))), own_cache)
        assert all(path != f"/{IMAGES}" for path, _ in second.requests)


def test_a_closed_port_is_asked_once(own_cache: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    place = {"kind": "url", "base": f"http://127.0.0.1:{port}/{{name}}"}
    with pytest.raises(UserError, match=r"127\.0\.0\.1 cannot be reached \(Connection refused\)"):
        get(card(place))


def test_a_name_server_that_hangs_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def hang(address: tuple[str, int], **_: object) -> socket.socket:
        asked.append(address[0])
        time.sleep(3)
        raise OSError("too late")

    monkeypatch.setattr(http.socket, "create_connection", hang)
    monkeypatch.setattr(http, "CONNECT_SECONDS", 0.05)
    places = [
        {"kind": "url", "base": f"http://{host}/{{name}}"} for host in ("a.invalid/x", "a.invalid/y", "b.invalid")
    ]
    with pytest.raises(UserError, match=r"a\.invalid cannot be reached \(no answer within 0\.05 s\)"):
        get(card(*places))
    assert asked == ["a.invalid", "b.invalid"]


def test_a_server_that_never_answers_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_READ_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place = {"kind": "url", "base": f"http://127.0.0.1:{silent.getsockname()[1]}/{{name}}"}
        with pytest.raises(UserError, match=r"no answer within .* s \(2 tries\)"):
            get(card(place))


def test_a_damaged_cache_is_fixed(own_cache: Path) -> None:
    with serve(Site(CONTENTS)) as site:
        found = get(card(url(site)))
        found[IMAGES].write_bytes(right[:-1] + b"?")
        said: list[str] = []
        check(get(card(url(site)), said), own_cache)
    assert said == ["tr-images is damaged in the cache; fetching it again"]


def test_a_folder_of_the_environment_comes_first(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine/tiny").mkdir(parents=True)
    for name, data in CONTENTS.items():
        (tmp_path / "mine/tiny" / name).write_bytes(data)
    monkeypatch.setenv("SAMEBITS_DATA", f"/not/there{os.pathsep}{tmp_path / 'mine'}")
    found = get(card({"kind": "folder", "path": "/nowhere"}))
    assert found == {name: tmp_path / "mine/tiny" / name for name in CONTENTS}
    assert not own_cache.exists()


def test_what_a_killed_process_left_is_removed(own_cache: Path) -> None:
    (own_cache / "fetching-tiny-abc/package").mkdir(parents=True)
    with serve(Site(CONTENTS)) as site:
        check(get(card(url(site))), own_cache)


def test_a_folder_with_other_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, data in CONTENTS.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / IMAGES).write_bytes(right[:-1] + b"?")
    (tmp_path / "te-labels").unlink()
    (tmp_path / "te-labels").mkdir()
    monkeypatch.setenv("SAMEBITS_DATA", str(tmp_path))
    with pytest.raises(UserError, match="2 of 4 files") as caught:
        get(card({"kind": "folder", "path": "/nowhere"}))
    assert f"folder {tmp_path}: {IMAGES}: wrong sha256 " in caught.value.problem
    assert f"folder {tmp_path}: te-labels: Is a directory" in caught.value.problem


def test_all_places_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMEBITS_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", "/nonexistent")
    npm = {"kind": "npm", "package": "p", "version": "1.0", "sha256": "0" * 64, "member": "package/{name}"}
    debian = {"kind": "debian", "package": "some-data", "member": "usr/{name}"}
    pypi = {**npm, "kind": "pypi"}
    with serve(Site({})) as site, pytest.raises(UserError) as caught:
        get(card({"kind": "folder", "path": str(tmp_path)}, url(site), npm, debian, pypi))
    lines = caught.value.problem.splitlines()
    assert lines[0] == "Tiny: 4 of 4 files could not be had. Places tried:"
    text = "\n".join(lines[1:])
    for part in (
        f"folder {tmp_path / 'empty'}: does not exist",
        f"folder {tmp_path}: tr-images: No such file or directory",
        f"{site.base}: ",
        "npm p 1.0: npm is not installed",
        "debian some-data: apt-get is not installed",
        "pypi p 1.0: pip3 is not installed",
    ):
        assert part in text


# Package registries, by clients that are scripts of this test.


def test_npm(npm: Callable[[list[Member]], dict[str, Any]], own_cache: Path) -> None:
    check(get(card(npm(good_members()))), own_cache)


def test_two_packages_with_some_of_the_files_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(CONTENTS)
    archives = {f"p{k}": tgz(tmp_path / f"p{k}-1.0.tgz", good_members()[1 + k :: 2]) for k in range(2)}
    held = {f"p{k}": [name.rpartition("/")[2] for name, _ in good_members()[1 + k :: 2]] for k in range(2)}
    client(
        tmp_path / "bin", "npm", f'[ "$1" = view ] || cp {tmp_path}/$(echo "$@" | grep -o "p[01]@").tgz .', monkeypatch
    )
    for name, path in archives.items():
        path.rename(tmp_path / f"{name}@.tgz")
    places = [
        npm_place(tmp_path / f"{name}@.tgz") | {"package": name, "version": "1.0", "files": held[name]}
        for name in archives
    ]
    assert sorted(get(card(*places))) == names
    with pytest.raises(ValueError, match="a place has files that the card does not name: x"):
        card(places[0] | {"files": ["x"]})


def test_members_that_would_escape_do_nothing(
    npm: Callable[[list[Member]], dict[str, Any]], own_cache: Path, tmp_path: Path
) -> None:
    evil: list[Member] = [
        ("../../../../../../../../../../../tmp/samebits-escaped", b"x"),
        (str(tmp_path / "absolute"), b"x"),
        link("package/out", str(tmp_path)),
        ("package/out/through-a-link", b"x"),
        link("package/hard", "/etc/passwd", tarfile.LNKTYPE),
    ]
    check(get(card(npm([*evil, *good_members()]))), own_cache)
    assert not (tmp_path / "absolute").exists()
    assert not (tmp_path / "through-a-link").exists()
    assert not Path("/tmp/samebits-escaped").exists()


wanted_name = f"package/data/{IMAGES}"
others = [member for member in good_members() if not isinstance(member, tarfile.TarInfo) and member[0] != wanted_name]

BAD_PACKAGES: dict[str, tuple[list[Member], str]] = {
    "file missing": ([*others], f"t-1.2.3.tgz has no file {wanted_name}"),
    "link for a file": (
        [link(wanted_name, "/etc/passwd"), *others],
        f"{wanted_name} in the archive is no regular file",
    ),
    "hard link for a file": ([link(wanted_name, "x", tarfile.LNKTYPE), *others], "is no regular file"),
    "folder for a file": ([link(wanted_name, "", tarfile.DIRTYPE), *others], "is no regular file"),
    "other content": ([(wanted_name, right[:-1] + b"?"), *others], "tr-images: wrong sha256"),
    "longer content": ([(wanted_name, right * 100), *others], "tr-images: longer than the 15,016 bytes"),
}


@pytest.mark.parametrize("case", list(BAD_PACKAGES))
def test_a_bad_package_is_refused(case: str, npm: Callable[[list[Member]], dict[str, Any]], own_cache: Path) -> None:
    members, message = BAD_PACKAGES[case]
    wanted = card(npm(members))
    with pytest.raises(UserError, match=message):
        get(wanted)
    assert not (own_cache / wanted.file("train/images").sha256).exists()
    assert not [path for path in own_cache.iterdir() if path.name.startswith("fetching")]


def test_another_package_than_the_pinned_one(npm: Callable[[list[Member]], dict[str, Any]]) -> None:
    place = npm(good_members()) | {"sha256": "0" * 64}
    with pytest.raises(UserError, match=r"t-1\.2\.3\.tgz: wrong sha256"):
        get(card(place))


NPM_FAULTS: dict[str, tuple[str, str]] = {
    "client fails": (
        "echo npm error code ENOTFOUND; echo npm error network x; exit 1",
        "npm failed: npm error code EN",
    ),
    "client fails silently": ("exit 3", "npm failed: no output"),
    "client leaves nothing": ("exit 0", "left 0 archives"),
    "no archive": ("echo x > tiny.tgz", "wrong sha256"),
}


@pytest.mark.parametrize("case", list(NPM_FAULTS))
def test_a_client_that_fails(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, message = NPM_FAULTS[case]
    client(tmp_path / "bin", "npm", script, monkeypatch)
    with pytest.raises(UserError, match=message):
        get(card(npm_place(tgz(tmp_path / "x.tgz", []))))


def test_a_client_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_SECONDS", 0.3)
    monkeypatch.setattr(packages, "_LINE_SECONDS", 0.1)
    client(tmp_path / "bin", "npm", f"sleep 60 & echo $! > {tmp_path}/child; wait", monkeypatch)
    said: list[str] = []
    with pytest.raises(UserError, match="npm did not end within"):
        get(card(npm_place(tgz(tmp_path / "x.tgz", []))), said)
    assert any("npm is still at work" in line for line in said)
    child = int((tmp_path / "child").read_text(encoding="utf-8"))
    state = Path(f"/proc/{child}/stat")
    # Killed is not yet gone: on a busy machine the kernel takes its time to let it die.
    for _ in range(200):
        if not state.exists() or state.read_text(encoding="utf-8").split()[2] in "ZX":
            return
        time.sleep(0.1)
    pytest.fail("the child of the client is still alive")


def test_debian(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members: list[Member] = [(f"./usr/share/{name}.gz", gzip.compress(data)) for name, data in CONTENTS.items()]
    archive = tmp_path / "made.tar"
    with tarfile.open(tgz(tmp_path / "made.tgz", members)) as packed_tar:
        assert len(packed_tar.getnames()) == 4
    archive.write_bytes(gzip.decompress((tmp_path / "made.tgz").read_bytes()))
    client(tmp_path / "bin", "apt-get", f"cp {archive} tiny_1_all.deb", monkeypatch)
    client(tmp_path / "bin", "dpkg-deb", 'cat "$2"', monkeypatch)
    place = {"kind": "debian", "package": "tiny", "member": "usr/share/{name}.gz", "unpack": "gzip"}
    check(get(card(place)), own_cache)


def test_pypi(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "made.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("../../escaped", b"x")
        for name, data in CONTENTS.items():
            wheel.writestr(f"tiny/{name}", data)
    client(tmp_path / "bin", "pip", f"cp {archive} tiny-1.0-py3-none-any.whl", monkeypatch)
    place = {
        "kind": "pypi",
        "package": "tiny",
        "version": "1.0",
        "sha256": sha256_file(archive),
        "member": "tiny/{name}",
    }
    check(get(card(place)), own_cache)


# The cache itself.


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMEBITS_CACHE", "/c")
    assert cache_folder() == Path("/c/data")
    monkeypatch.delenv("SAMEBITS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/samebits/data")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert cache_folder() == Path("/h/.cache/samebits/data")


def test_a_cache_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    monkeypatch.setenv("SAMEBITS_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be used") as caught:
        get(card({"kind": "folder", "path": "/nowhere"}))
    assert "SAMEBITS_CACHE" in caught.value.fix


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_cache(own_cache: Path) -> None:
    with serve(Site(CONTENTS)) as site:
        found = get(card(url(site)))
        own_cache.chmod(0o555)
        try:
            assert get(card(url(site))) == found
            own_cache.chmod(0o755)
            found[IMAGES].unlink()
            own_cache.chmod(0o555)
            with pytest.raises(UserError, match="Permission denied"):
                get(card(url(site)))
        finally:
            own_cache.chmod(0o755)


class _FullDisk(io.FileIO):
    """A file on a disk that holds 5,000 more bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 5000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("where", ["part", "unpacked"])
def test_a_full_disk(where: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def limited(self: Path, mode: str = "r", *args: Any, **settings: Any) -> Any:
        is_target = self.suffix == ".part" if where == "part" else self.parent.name.startswith("fetching-")
        return _FullDisk(self, mode) if is_target and mode in ("wb", "ab") else real(self, mode, *args, **settings)

    monkeypatch.setattr(Path, "open", limited)
    with serve(Site(CONTENTS)) as site, serve(Site(CONTENTS)) as second:
        with pytest.raises(UserError, match="cannot be used: No space left on device"):
            get(card(url(site), url(second)))
        assert not second.requests
    assert {path.suffix for path in own_cache.iterdir()} <= {".lock"}


def _fetch_in_process(wanted: dict[str, Any], cache: str, results: Any) -> None:
    os.environ["SAMEBITS_CACHE"] = cache
    os.environ.pop("SAMEBITS_DATA", None)
    found = fetch(Card.model_validate(wanted), say=lambda line: None, progress="off")
    results.put(sorted(path.name for path in found.values()))


def test_processes_do_not_clash(own_cache: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    results = spawn.Queue()
    with serve(Site(CONTENTS)) as site:
        wanted = card_dict(CONTENTS, [url(site)])
        started = [
            spawn.Process(target=_fetch_in_process, args=(wanted, str(own_cache.parent), results)) for _ in range(4)
        ]
        for process in started:
            process.start()
        names = [results.get(timeout=60) for _ in started]
        for process in started:
            process.join()
        assert names == [sorted(sha for sha in (f["sha256"] for f in wanted["files"]))] * 4
        # The others waited, and found the files.
        assert len(site.requests) == 4
