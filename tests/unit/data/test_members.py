"""Whole packages as files of a card, published files by their address, and the members of folders and archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.data.catalog import Card
from samebits.data.fetch import fetch_url
from samebits.data.members import list_members
from samebits.errors import UserError
from samebits.files import sha256_file
from tests.unit.data.conftest import card_dict
from tests.unit.data.server import Site, serve
from tests.unit.data.test_fetch import CONTENTS, Member, client, get, good_members, link, no_pauses, npm, tgz

__all__ = ["no_pauses", "npm"]  # fixtures


def whole(archive: Path, place: dict[str, Any]) -> Card:
    """A card of one file, the package itself."""
    one = {"name": "tiny.pack", "role": "images", "sha256": sha256_file(archive), "bytes": archive.stat().st_size}
    made = card_dict(CONTENTS, [{key: value for key, value in place.items() if key != "member"}])
    return Card.model_validate(made | {"format": "image_folder", "files": [one]})


def test_a_package_as_it_is(npm: Callable[[list[Member]], dict[str, Any]], tmp_path: Path) -> None:
    place = npm(good_members())
    archive = tmp_path / "made.tgz"
    assert get(whole(archive, place))["tiny.pack"].read_bytes() == archive.read_bytes()


def test_the_files_of_a_debian_package_are_a_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tgz(tmp_path / "made.tgz", good_members())
    tar = tmp_path / "made.tar"
    tar.write_bytes(gzip.decompress(archive.read_bytes()))
    # What apt-get leaves is compressed, what dpkg-deb gives is not.
    client(tmp_path / "bin", "apt-get", f"cp {archive} tiny_1_all.deb", monkeypatch)
    client(tmp_path / "bin", "dpkg-deb", 'gzip -dc "$2"', monkeypatch)
    found = get(whole(tar, {"kind": "debian", "package": "tiny"}))
    assert found["tiny.pack"].read_bytes() == tar.read_bytes()


def test_another_package_than_the_card_names(npm: Callable[[list[Member]], dict[str, Any]], tmp_path: Path) -> None:
    wanted = whole(tmp_path / "made.tgz", npm(good_members()))
    place = npm([*good_members(), ("package/extra", b"x")])
    other = wanted.model_copy(update={"places": whole(tmp_path / "made.tgz", place).places})
    with pytest.raises(UserError, match=r"wrong sha256|longer than|the card names"):
        get(other)


# Published files, known by their address.


def test_a_published_file_by_the_beginning_of_its_hash(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = b"weights" * 100
    digest = hashlib.sha256(content).hexdigest()
    with serve(Site({"net.pth": content})) as site:
        url = site.base.format(name="net.pth")
        path = fetch_url(url, digest[:8], limit=1000, progress="off")
        assert path.read_bytes() == content
        assert fetch_url(url, digest, limit=1000, progress="off") == path
        assert capsys.readouterr().out.count("fetching") == 1
        with pytest.raises(UserError, match=r"does not begin with 0{8}"):
            fetch_url(url, "0" * 8, limit=1000, progress="off")
    assert path.read_bytes() == content


def test_a_published_file_without_a_network(own_cache: Path) -> None:
    with serve(Site({})) as site:
        pass
    with pytest.raises(UserError, match="could not be had") as caught:
        fetch_url(site.base.format(name="net.pth"), "0" * 8, limit=1000, progress="off")
    assert "SAMEBITS_DATA" in caught.value.cure


# What lies in a folder or an archive.

FILES = {"b/2.png": b"two", "a/1.png": b"one", "a/3.png": b""}


def make_folder(root: Path) -> Path:
    for name, data in FILES.items():
        (root / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "pack" / name).write_bytes(data)
    return root / "pack"


def make_tar(root: Path) -> Path:
    packed = tgz(root / "pack.tgz", [(f"./{name}", data) for name, data in FILES.items()])
    (root / "pack.tar").write_bytes(gzip.decompress(packed.read_bytes()))
    return root / "pack.tar"


def make_tgz(root: Path) -> Path:
    return tgz(root / "pack", [*FILES.items(), link("a/link.png", "/etc/passwd"), ("../up.png", b"x")])


def make_zip(root: Path) -> Path:
    with zipfile.ZipFile(root / "pack", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [*FILES.items(), ("../../up.png", b"x"), ("a/.hidden", b"x"), ("__MACOSX/a/1.png", b"x")]:
            archive.writestr(name, data)
    return root / "pack"


@pytest.mark.parametrize("make", [make_folder, make_tar, make_tgz, make_zip])
def test_members_are_the_same_wherever_they_lie(make: Callable[[Path], Path], tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    members = list_members(make(tmp_path), scratch)
    assert [each.name for each in members] == sorted(FILES)
    assert {each.name: each.read() for each in members} == FILES
    assert not (tmp_path.parent / "up.png").exists()
    below = list_members(make(tmp_path), scratch, root="a")
    assert {each.name: each.read() for each in below} == {"1.png": b"one", "3.png": b""}


def test_what_desktops_leave_is_no_member(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    for name in (".DS_Store", "a/Thumbs.db", ".git/config"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "a" / "gone.png").symlink_to("/nowhere/at/all")
    assert [each.name for each in list_members(folder, tmp_path)] == sorted(FILES)


def _locked_zip(root: Path) -> bytes:
    data = bytearray(make_zip(root).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag of a password
    return bytes(data)


BROKEN: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "text": (lambda root: b"a,b\n1,2\n", "is no folder, tar or zip archive"),
    "empty": (lambda root: b"", "is no folder, tar or zip archive"),
    "half a zip": (lambda root: make_zip(root).read_bytes()[:150], "cannot be unpacked"),
    "zip with a password": (_locked_zip, "cannot be unpacked: .*encrypted"),
    "half a tgz": (lambda root: make_tgz(root).read_bytes()[:150], "cannot be unpacked"),
    "gzip of no tar": (lambda root: gzip.compress(b"x" * 2000), "cannot be unpacked"),
    "tar of nothing": (lambda root: gzip.compress(_empty_tar()), "holds no file"),
}


def _empty_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w"):
        pass
    return buffer.getvalue()


@pytest.mark.parametrize("case", list(BROKEN))
def test_a_broken_archive_is_named(case: str, tmp_path: Path) -> None:
    make, message = BROKEN[case]
    path = tmp_path / "broken.pack"
    path.write_bytes(make(tmp_path))
    with pytest.raises(UserError, match=message) as caught:
        list_members(path, tmp_path)
    assert "broken.pack" in caught.value.problem
