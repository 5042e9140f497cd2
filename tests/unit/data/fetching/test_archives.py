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

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.data.fetching import archives
from samebits.data.fetching.archives import list_members, list_tree
from samebits.data.fetching.catalog import Card
from samebits.data.fetching.fetch import fetch_url
from samebits.data.readers.splits import require_filled
from tests.helpers.http_site import Site, serve
from tests.helpers.idx_source import card_dict
from tests.helpers.places import CONTENTS, Member, client, get, good_members, link, tgz


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
    assert "SAMEBITS_DATA" in caught.value.fix


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
    found = list_members(make(tmp_path), scratch)
    assert [each.name for each in found] == sorted(FILES)
    assert {each.name: each.read() for each in found} == FILES
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


# Class folders without a file, and archives that unpack to too much.


def pack_folder(root: Path, entries: dict[str, bytes]) -> Path:
    for name, data in entries.items():
        path = root / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif data.startswith(b"-> "):
            path.symlink_to(data[3:].decode())
        else:
            path.write_bytes(data)
    return root / "pack"


def pack_tgz(root: Path, entries: dict[str, bytes]) -> Path:
    with tarfile.open(root / "pack", "w:gz") as archive:
        for name, data in entries.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
            elif data.startswith(b"-> "):
                entry.type, entry.linkname = tarfile.SYMTYPE, data[3:].decode()
            else:
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return root / "pack"


def pack_zip(root: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(root / "pack", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return root / "pack"


CUT = {f"{split}/{name}": data for split in ("train", "test") for name, data in FILES.items()}

UNFILLED: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({**FILES, "none/": b""}, "none"),
    "folders": ({**FILES, "none/a/b/": b""}, "none"),
    "what desktops leave": ({**FILES, "none/Thumbs.db": b"x"}, "none"),
    "hidden files": ({**FILES, "none/.DS_Store": b"x", "none/.git/config": b"x"}, "none"),
    "no class of train": ({**CUT, "train/none/": b""}, "train/none"),
    "no class of test": ({**CUT, "test/none/.DS_Store": b"x"}, "test/none"),
    "no split": ({**CUT, "val/a/": b"", "val/": b""}, "val"),
    "two": ({**FILES, "none/": b"", "nothing/": b""}, "none, nothing"),
}


@pytest.mark.parametrize("pack", [pack_folder, pack_tgz, pack_zip])
@pytest.mark.parametrize("case", UNFILLED)
def test_a_class_folder_without_a_file_is_named(
    pack: Callable[[Path, dict[str, bytes]], Path], case: str, tmp_path: Path
) -> None:
    entries, lost = UNFILLED[case]
    found, folders = list_tree(pack(tmp_path, dict(sorted(entries.items(), reverse=True))), tmp_path)
    with pytest.raises(UserError) as caught:
        require_filled("mine", found, folders, splits=entries.keys() >= CUT.keys())
    assert caught.value.problem == f"mine: no file in the class folder {lost}"
    assert "remove the folder" in caught.value.fix


@pytest.mark.parametrize("pack", [pack_folder, pack_tgz])
def test_a_class_folder_of_links_has_no_file(pack: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = "none" if pack is pack_folder else "none/1.png"
    found, folders = list_tree(pack(tmp_path, {**FILES, link: b"-> ../elsewhere"}), tmp_path)
    with pytest.raises(UserError, match="no file in the class folder none"):
        require_filled("mine", found, folders, splits=False)


@pytest.mark.parametrize("entries", [FILES, CUT, {**FILES, ".git/": b"", "__MACOSX/a/._1.png": b"x"}])
def test_filled_class_folders_are_let_through(entries: dict[str, bytes], tmp_path: Path) -> None:
    for pack in (pack_folder, pack_tgz, pack_zip):
        root = tmp_path / pack.__name__
        root.mkdir()
        require_filled("mine", *list_tree(pack(root, entries), root), splits=entries is CUT)


@pytest.mark.parametrize("pack", [pack_tgz, pack_zip])
def test_an_archive_that_unpacks_to_too_much_is_refused_in_time(
    pack: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "UNPACKED_LEAST", 1 << 20)
    bomb = pack(tmp_path, {"a/1.png": b"one", "b/zeros.png": bytes(64 << 20), "c/1.png": b"one"})
    assert bomb.stat().st_size < 1 << 17
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(UserError) as caught:
        list_members(bomb, scratch)
    limit = 100 * bomb.stat().st_size
    assert caught.value.problem.startswith(f"pack unpacks to more than {limit:,} bytes")
    assert caught.value.problem.endswith("at its member b/zeros.png")
    assert "unpack it and name the folder" in caught.value.fix
    assert sum(path.stat().st_size for path in scratch.iterdir()) <= limit + (1 << 20)
    # What is within the limit is read.
    monkeypatch.setattr(archives, "UNPACKED_LEAST", 65 << 20)
    assert [each.size for each in list_members(bomb, scratch)] == [3, 64 << 20, 3]


def test_a_gzip_bomb_that_is_no_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED_LEAST", 1 << 20)
    (tmp_path / "pack").write_bytes(gzip.compress(bytes(8 << 20)))
    with pytest.raises(UserError, match=r"unpacks to more than .*and is no tar"):
        list_members(tmp_path / "pack", tmp_path)
