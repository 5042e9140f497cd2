"""Archives that are damaged or oddly made: what one member costs, and what the whole archive."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.data.fetching import archives
from samebits.data.fetching.archives import list_members
from samebits.data.loading.prepared import read_info
from tests.helpers.archives import tarred, zipped
from tests.helpers.pictures import encoded, picture, rejected, run
from tests.helpers.refusals import raw_folder
from tests.helpers.texts import SAMPLES, texts_of

FILES = {f"{('cat', 'dog')[k % 2]}/{k:02d}.png": encoded(picture(k)) for k in range(40)}


KINDS = {"stored": zipfile.ZIP_STORED, "deflate": zipfile.ZIP_DEFLATED, "bz2": zipfile.ZIP_BZIP2,
         "lzma": zipfile.ZIP_LZMA}  # fmt: skip


def spoil(data: bytearray, name: str) -> bytearray:
    """Overwrite the middle of a member's content."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo(name)
    start = info.header_offset + 30 + len(name)
    middle = start + info.compress_size // 2
    data[middle : middle + 12] = bytes(byte ^ 0xFF for byte in data[middle : middle + 12])
    return data


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_damaged_member_is_set_aside_and_named(kind: str, tmp_path: Path) -> None:
    path = raw_folder(tmp_path) / "mine.zip"
    path.write_bytes(spoil(zipped(FILES, KINDS[kind]), "dog/05.png"))
    folder = run(tmp_path, source="data/raw/mine.zip", max_rejected_fraction=0.1)
    found = rejected(folder)
    assert list(found) == ["dog/05.png"]
    assert found["dog/05.png"].startswith("it is damaged: ")
    assert sum(read_info(folder).counts.values()) == 39


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_damaged_text_is_set_aside_too(kind: str, tmp_path: Path) -> None:
    files = {f"{label}/{k:02d}.txt": text.encode() * 9 for k, (text, label) in enumerate(SAMPLES)}
    (tmp_path / "mine.zip").write_bytes(spoil(zipped(files, KINDS[kind]), "pos/05.txt"))
    raw = texts_of(tmp_path / "mine.zip", "text_folder", max_rejected_fraction=0.1)
    assert [each.id for each in raw.set_aside] == ["pos/05.txt"]
    assert "it is damaged: " in raw.set_aside[0].reason


def test_an_archive_whose_every_member_is_damaged_is_refused(tmp_path: Path) -> None:
    data = zipped({"cat/1.png": FILES["cat/00.png"]})
    (tmp_path / "mine.zip").write_bytes(spoil(data, "cat/1.png"))
    with pytest.raises(UserError, match=r"mine\.zip cannot be unpacked: cat/1\.png: it is damaged: Bad CRC-32"):
        list_members(tmp_path / "mine.zip", tmp_path)


# Fields of an entry of the central directory, and where they lie in it.
FIELDS = {"sizes": (20, 8), "name length": (28, 2), "extra length": (30, 2), "offset": (42, 4), "method": (10, 2),
          "version": (6, 2), "flags": (8, 2)}  # fmt: skip


@pytest.mark.parametrize("field", list(FIELDS))
@pytest.mark.parametrize("value", [0x00, 0x01, 0x7F, 0xFF])
def test_a_lying_directory_ends_in_no_traceback(field: str, value: int, tmp_path: Path) -> None:
    at, length = FIELDS[field]
    data = zipped(FILES, zipfile.ZIP_DEFLATED)
    entry = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[entry + at : entry + at + length] = bytes([value]) * length
    (tmp_path / "mine.zip").write_bytes(data)
    found = []
    with contextlib.suppress(UserError):
        found = list_members(tmp_path / "mine.zip", tmp_path)
    assert not [each.name for each in found if not each.damage and each.read() != FILES.get(each.name)]


def test_a_damaged_header_in_the_middle_of_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    data = tarred(FILES)
    place = data.index(b"cat/20.png")
    data[place + 150] ^= 0xFF
    (tmp_path / "mine.tar").write_bytes(data)
    with pytest.raises(UserError, match=r"mine\.tar cannot be unpacked: .*after its member dog/19\.png"):
        list_members(tmp_path / "mine.tar", tmp_path)
    data[place : place + 512] = bytes(512)
    (tmp_path / "mine.tar").write_bytes(data)
    with pytest.raises(UserError, match=r"after its member dog/19\.png"):
        list_members(tmp_path / "mine.tar", tmp_path)


@pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"LC_ALL": "C.UTF-8"}])
def test_names_are_utf_8_in_any_locale(locale: dict[str, str], tmp_path: Path) -> None:
    files = {"café/1.png": b"x", "größe/2.png": b"y"}
    (tmp_path / "a.tar").write_bytes(tarred(files))
    (tmp_path / "a.zip").write_bytes(zipped(files))
    for name in files:
        (tmp_path / "a" / name).parent.mkdir(parents=True)
        (tmp_path / "a" / name).write_bytes(b"x")
    code = (
        "import sys; from pathlib import Path; from samebits.data.fetching.archives import list_members\n"
        "for name in ('a', 'a.tar', 'a.zip'): print(ascii([each.name for each in list_members(Path(name), Path())]))"
    )
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    source = {"PYTHONPATH": str(Path(archives.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ | locale | source, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [ascii(sorted(files))] * 3, done.stderr


def test_of_two_members_of_one_name_the_later_counts(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/1.txt", b"old")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a/1.txt", b"newer")
    (tmp_path / "mine.zip").write_bytes(buffer.getvalue())
    assert [each.read() for each in list_members(tmp_path / "mine.zip", tmp_path)] == [b"newer"]


def test_backslashes_in_a_zip_separate_folders(tmp_path: Path) -> None:
    data = zipped({name.replace("/", "\\"): content for name, content in FILES.items()} | {"..\\up.png": b"x"})
    (raw_folder(tmp_path) / "back.zip").write_bytes(data)
    info = read_info(run(tmp_path, source="data/raw/back.zip"))
    assert info.classes == ("cat", "dog")
    assert sum(info.counts.values()) == 40


@pytest.mark.parametrize("beside", [{}, {"pets/README.md": b"x"}])
def test_a_folder_packed_whole_is_read_from_inside(beside: dict[str, bytes], tmp_path: Path) -> None:
    (raw_folder(tmp_path) / "pets.zip").write_bytes(
        zipped({f"pets/{name}": data for name, data in FILES.items()} | beside)
    )
    folder = run(tmp_path, source="data/raw/pets.zip", max_rejected_fraction=0.1)
    packed = read_info(folder)
    assert packed.classes == ("cat", "dog")
    (raw_folder(tmp_path) / "flat.zip").write_bytes(zipped(FILES))
    assert beside or read_info(run(tmp_path, source="data/raw/flat.zip")).digest == packed.digest


def test_a_folder_above_the_classes_has_a_fix_that_helps(tmp_path: Path) -> None:
    (raw_folder(tmp_path) / "mine.zip").write_bytes(zipped({f"pets/{name}": data for name, data in FILES.items()}))
    with pytest.raises(UserError, match="one class, 'pets'") as caught:
        run(tmp_path, source="data/raw/mine.zip")
    assert "if cat, dog are the classes, pack them without the folder pets" in caught.value.fix
    for name, data in FILES.items():
        path = raw_folder(tmp_path) / "outer/pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with pytest.raises(UserError, match="one class, 'pets'") as caught:
        run(tmp_path, source="data/raw/outer")
    assert "if cat, dog are the classes: data/raw/outer/pets" in caught.value.fix
