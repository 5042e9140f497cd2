"""Images decoded in parts: the same files in `data/prepared`, whatever parts there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from samebits.data.fetching.archives import Member, list_folder
from samebits.data.preparation.prepare import PARTS
from samebits.data.readers.image.parts import Parts, conditions, folder_of, members_of, write_part
from samebits.params.image import ImageParams
from tests.helpers.pictures import SIDE, encoded, picture, run, saved, values

SETTINGS = ImageParams(resolution=SIDE, smallest=4)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Sixty pictures of two classes, a file that is none, an empty one, and a copy."""
    for k in range(60):
        path = tmp_path / "data/raw/pets" / ("cat", "dog")[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(k % 59, (12 + k % 5, 12))))
    (tmp_path / "data/raw/pets/cat/bad.png").write_bytes(b"no picture")
    (tmp_path / "data/raw/pets/dog/empty.png").write_bytes(b"")
    return tmp_path


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _members(home: Path) -> list[Member]:
    return list_folder(home / "data/raw/pets")


def _write(home: Path, part: int, parts: int) -> Path:
    return write_part(
        folder_of(home / ".samebits" / PARTS, SETTINGS), part, parts, members_of(part, parts, _members(home)), SETTINGS
    )


def _prepare(home: Path, said: list[str] | None = None) -> dict[str, bytes]:
    return _files(run(home, said, max_rejected_fraction=0.2))


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_any_number_of_parts_gives_the_same_files(home: Path, parts: int) -> None:
    alone, said = _prepare(home), list[str]()
    for part in range(parts, 0, -1):
        _write(home, part, parts)
    assert _prepare(home, said) == alone
    assert "62 images are from parts, 0 were decoded here" in said
    assert not list((home / ".samebits" / PARTS).rglob("*.parquet"))


def _lost(file: Path) -> None:
    file.unlink()


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def _flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("harm", [_lost, _cut, _flipped])
def test_what_a_part_lacks_is_decoded_again(home: Path, harm: Callable[[Path], None]) -> None:
    alone, said = _prepare(home), list[str]()
    kept, harmed = _write(home, 1, 2), _write(home, 2, 2)
    harm(harmed)
    assert kept.exists()
    assert _prepare(home, said) == alone
    count = len(members_of(1, 2, _members(home)))
    assert f"{count} images are from parts, {62 - count} were decoded here" in said
    assert any("is damaged, and not used" in line for line in said) == (harm is not _lost)


def test_parts_of_files_that_changed_since_are_not_used_for_them(home: Path) -> None:
    _write(home, 1, 1)
    changed = home / "data/raw/pets/cat/4.png"
    changed.write_bytes(encoded(picture(999)))
    said = list[str]()
    found = _prepare(home, said)
    assert "61 images are from parts, 1 were decoded here" in said
    assert found == _prepare(home)


def test_a_part_is_made_once(home: Path) -> None:
    first = _write(home, 1, 2)
    stamp = first.stat().st_mtime_ns
    assert _write(home, 1, 2) == first
    assert first.stat().st_mtime_ns == stamp
    _cut(first)
    assert _write(home, 1, 2) == first
    changed = members_of(1, 2, _members(home))[0].path
    changed.write_bytes(encoded(picture(1000)))
    other = _write(home, 1, 2)
    assert other != first
    assert list(other.parent.iterdir()) == [other]


def test_a_killed_part_leaves_no_part(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("samebits.data.readers.image.parts.os.replace", stop)
        with pytest.raises(KeyboardInterrupt):
            _write(home, 1, 2)
    assert not list((home / ".samebits" / PARTS).rglob("*.*"))


def test_every_image_is_in_one_part_and_the_parts_are_even(tmp_path: Path) -> None:
    members = [Member(f"cat/{k}.png", tmp_path, 0, 1) for k in range(4000)]
    cut = [members_of(part, 8, members) for part in range(1, 9)]
    assert sorted(each.name for part in cut for each in part) == sorted(each.name for each in members)
    assert all(400 < len(part) < 600 for part in cut)


def test_what_a_file_says_beside_its_pixels_is_kept(tmp_path: Path) -> None:
    """Of images of 16 bits the largest value, of those without a range their values, of shallow ones that they are."""
    settings = ImageParams(resolution=SIDE, smallest=4, channels=1, bits=16)
    for name, array in {
        "deep": values(1, 1, top=3000),
        "shallow": values(2, 1),
        "float": values(3, 1).astype(np.float32),
    }.items():
        (tmp_path / f"{name}.npy").write_bytes(saved(array))
    members = list_folder(tmp_path)
    before = list(Parts(tmp_path / "none", print).images(members, settings, None))
    write_part(tmp_path / "parts", 1, 1, members, settings)
    parts = Parts(tmp_path / "parts", print)
    after = list(parts.images(members, settings, None))
    assert (parts.used, parts.decoded) == (3, 0)
    assert [{k: np.asarray(v).tolist() for k, v in _fields(image).items()} for image in after] == [
        {k: np.asarray(v).tolist() for k, v in _fields(image).items()} for image in before
    ]
    assert len({type(image) for image in after}) == 2


def _fields(image: object) -> dict[str, object]:
    return {
        name: getattr(image, name)
        for name in ("pixels", "largest", "size", "reason", "values", "shallow")
        if hasattr(image, name)
    }


def test_other_settings_have_other_parts() -> None:
    settings = [
        SETTINGS,
        ImageParams(resolution=9, smallest=4),
        ImageParams(resolution=SIDE, smallest=4, resize="crop"),
    ]
    assert len({folder_of(Path("p"), each) for each in settings}) == 3
    assert folder_of(Path("p"), SETTINGS) == folder_of(
        Path("p"), SETTINGS.model_copy(update={"near_duplicates": "drop"})
    )
    assert set(conditions(SETTINGS)) == {"data.image", "pillow", "numpy", "machine", "code"}
