"""The user's own files: what DVC would not see of them, what changes meanwhile, and what systems leave beside them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.data.fetching.leftovers import PATTERNS, is_leftover
from samebits.data.loading.prepared import read_info
from samebits.data.preparation import prepare as stage
from samebits.data.readers.own_files import OwnFiles
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams
from tests.helpers.idx_source import Source, make_source
from tests.helpers.pictures import encoded, picture, run
from tests.helpers.refusals import raw_folder, refused
from tests.helpers.texts import SAMPLES
from tests.helpers.workspace import ROOT

IMAGES = {f"{('cat', 'dog')[k % 2]}/{k:02d}.png": encoded(picture(k)) for k in range(60)}
TEXTS = {f"{label}/{k:02d}.txt": text.encode() for k, (text, label) in enumerate(SAMPLES)}
BOOKS = {f"{k}.txt": f"{text}\n\n".encode() * 40 for k, (text, _) in enumerate(SAMPLES)}
LISTED = "\n".join(["path,label", *(f"{name},{name[:3]}" for name in IMAGES)]).encode()
ROWS = "\n".join(["text,label", *(f"{text},{label}" for text, label in SAMPLES)]).encode()

SOURCES: dict[str, tuple[str, dict[str, bytes], str]] = {
    # format: data.source below data/raw, files, and one that changes
    "image_folder": ("own", IMAGES, "own/cat/00.png"),
    "image_csv": ("own", {**IMAGES, "list.csv": LISTED}, "own/cat/00.png"),
    "text_folder": ("own", TEXTS, "own/neg/00.txt"),
    "mail": ("own", TEXTS, "own/neg/00.txt"),
    "text_csv": ("own/rows.csv", {"rows.csv": ROWS}, "own/rows.csv"),
    "running_text": ("own", BOOKS, "own/0.txt"),
    "table": ("own/rows.csv", {"rows.csv": b"a,b\n" + b"".join(b"%d,%d\n" % (k, k * k) for k in range(99))}, ""),
}


def make(home: Path, format_name: str) -> DataParams:
    source, files, _ = SOURCES[format_name]
    for name, data in files.items():
        path = raw_folder(home) / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return DataParams.model_validate(
        {
            "source": f"data/raw/{source}",
            "format": format_name,
            "validation_fraction": 0.2,
            "test_fraction": 0.2,
            "image": {"resolution": 8, "smallest": 4},
            "text": {"vocabulary": 300, "length": 8},
        }
    )


def prepare(home: Path, data: DataParams) -> None:
    context = SimpleNamespace(project=Project(home, home), runtime=RuntimeParams(progress="off"), say=lambda line: None)
    stage.prepare(data, context=context)  # type: ignore[arg-type]


@pytest.mark.parametrize("format_name", list(SOURCES))
def test_files_that_change_while_they_are_read(
    format_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make(tmp_path, format_name)
    prepare(tmp_path, data)
    read, changed = stage.read_source, raw_folder(tmp_path) / (SOURCES[format_name][2] or SOURCES[format_name][0])

    def meanwhile(*args: object) -> object:
        raw = read(*args)  # type: ignore[arg-type]
        changed.write_bytes(changed.read_bytes() + b"\n")
        return raw

    monkeypatch.setattr(stage, "read_source", meanwhile)
    with pytest.raises(UserError) as caught:
        prepare(tmp_path, data)
    assert caught.value.problem == f"{changed.relative_to(tmp_path)} changed while prepare ran"
    assert caught.value.fix == "run dvc repro again"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda own: (own / "cat/late.png").write_bytes(b"x"), "cat/late.png"),
        (lambda own: (own / "cat/00.png").unlink(), "cat/00.png"),
        (lambda own: (own / "cat/00.png").rename(own / "dog/00.png"), "cat/00.png and 1 more"),
        (lambda own: os.utime(own / "cat/00.png"), "cat/00.png"),
    ],
)
def test_every_change_of_a_folder_is_seen(change: Callable[[Path], object], named: str, tmp_path: Path) -> None:
    make(tmp_path, "image_folder")
    own = raw_folder(tmp_path) / "own"
    files = OwnFiles(tmp_path, raw_folder(tmp_path))
    files.add(own)
    (own / "Thumbs.db").write_bytes(b"x")
    files.require_unchanged()
    change(own)
    with pytest.raises(UserError, match=f"data/raw/own/?{named} changed while prepare ran"):
        files.require_unchanged()


def test_a_card_that_is_edited_meanwhile(run_prepare: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    made: Source = make_source()
    card = run_prepare(made).parents[1] / "data/catalog/tiny.yaml"
    read = stage.read_source
    monkeypatch.setattr(stage, "read_source", lambda *args: (read(*args), card.write_text(card.read_text() + "\n"))[0])
    with pytest.raises(UserError, match=r"data/catalog/tiny\.yaml changed while prepare ran"):
        run_prepare(made)


@pytest.mark.parametrize("format_name", list(SOURCES))
def test_a_link_to_a_folder_is_refused(format_name: str, tmp_path: Path) -> None:
    data = make(tmp_path, format_name)
    own = raw_folder(tmp_path) / "own"
    own.rename(tmp_path / "elsewhere")
    own.symlink_to(tmp_path / "elsewhere")
    error = refused(tmp_path, data)
    assert error.problem.startswith(f"data/raw/own is a link to the folder {tmp_path}/elsewhere")
    assert "rm data/raw/own" in error.fix


@pytest.mark.parametrize("format_name", ["image_folder", "image_csv", "text_folder", "mail", "running_text"])
def test_a_link_to_a_folder_below_is_refused(format_name: str, tmp_path: Path) -> None:
    data = make(tmp_path, format_name)
    own = raw_folder(tmp_path) / "own"
    (tmp_path / "more").mkdir()
    place = own / ("deep" if format_name == "running_text" else next(iter(SOURCES[format_name][1]))[:3])
    if place.is_dir():
        place.rename(tmp_path / "more/real")
    place.symlink_to(tmp_path / "more/real" if (tmp_path / "more/real").exists() else tmp_path / "more")
    assert f"{place.relative_to(tmp_path)} is a link to the folder" in refused(tmp_path, data).problem


def test_data_raw_itself_may_be_a_link_and_so_may_files(tmp_path: Path) -> None:
    make(tmp_path, "image_folder")
    (raw_folder(tmp_path) / "own").rename(raw_folder(tmp_path) / "pets")
    raw_folder(tmp_path).rename(tmp_path / "disk")
    (tmp_path / "data/raw").symlink_to(tmp_path / "disk")
    (tmp_path / "one.png").write_bytes(encoded(picture(99)))
    (tmp_path / "disk/pets/cat/one.png").symlink_to(tmp_path / "one.png")
    assert sum(read_info(run(tmp_path)).counts.values()) == 61


@pytest.mark.parametrize("place", ["own", "own/cat/pipe"])
def test_a_pipe_is_refused(place: str, tmp_path: Path) -> None:
    path = raw_folder(tmp_path) / place
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    for format_name in ("image_folder", "text_folder", "table", "text_csv", "running_text"):
        error = refused(tmp_path, DataParams(source="data/raw/own", format=format_name))
        assert error.problem == f"data/raw/{place} is a pipe, a socket or a device, no file"


def test_a_device_and_a_link_to_nothing_are_refused(tmp_path: Path) -> None:
    (raw_folder(tmp_path) / "null").symlink_to("/dev/null")
    assert (
        "/dev/null, which is no file" in refused(tmp_path, DataParams(source="data/raw/null", format="table")).problem
    )
    make(tmp_path, "image_folder")
    (raw_folder(tmp_path) / "own/cat/x.png").symlink_to("/nowhere")
    assert (
        "own/cat/x.png is a link to /nowhere"
        in refused(tmp_path, DataParams(source="data/raw/own", format="image_folder")).problem
    )


@pytest.mark.parametrize(
    "path",
    [
        "$RECYCLE.BIN/x.png",
        "$Recycle.Bin/S-1/x",
        "a/@eaDir/x.png/T.png",
        "__MACOSX/a/._1.png",
        "a/.DS_Store",
        "thumbs.db",
        "Thumbs.db",
        "DESKTOP.INI",
        "System Volume Information/x",
        "#recycle/cat/1.png",
        "a/b.txt~",
        "lost+found/1",
    ],
)
def test_what_systems_leave(path: str) -> None:
    assert is_leftover(path)


@pytest.mark.parametrize("path", ["cat/1.png", "recycle/1", "thumbs/1", "a~/b/1", "found/1"])
def test_what_is_ones_own(path: str) -> None:
    assert is_leftover(path) == ("~" in path)


@pytest.mark.parametrize("format_name", ["image_folder", "text_folder", "mail", "running_text"])
def test_leftovers_are_no_samples_and_change_nothing(format_name: str, tmp_path: Path) -> None:
    data = make(tmp_path, format_name)
    prepare(tmp_path, data)
    before = read_info(tmp_path / "data/prepared")
    content = next(iter(SOURCES[format_name][1].values()))
    for name in ("$RECYCLE.BIN/1", "cat/@eaDir/1.png", "neg/@eaDir/0.txt", "Thumbs.db", "#recycle/0.txt", ".x/0.txt"):
        path = raw_folder(tmp_path) / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for path in [each for each in (raw_folder(tmp_path) / "own").iterdir() if each.name in {"cat", "neg"}]:
        if not any(each.is_file() for each in path.iterdir()):
            (path / "@eaDir" / ("1.png" if path.name == "cat" else "0.txt")).unlink()
            (path / "@eaDir").rmdir()
            path.rmdir()
    prepare(tmp_path, data)
    assert read_info(tmp_path / "data/prepared") == before


def test_dvc_ignores_what_is_never_read() -> None:
    lines = [line for line in (ROOT / ".dvcignore").read_text().splitlines() if line and not line.startswith("# ")]
    assert {each.replace("#", "\\#", 1) if each.startswith("#") else each for each in PATTERNS} <= set(lines)
    everywhere = [line.lstrip("\\") for line in lines if not line.startswith(("/", "!/"))]
    assert [name for name in everywhere if not is_leftover(name.replace("[co]", "c").replace("*", "x"))] == []


def test_git_keeps_the_bytes_of_data_of_ones_own() -> None:
    asked = ["git", "check-attr", "text", "--", "data/raw/x.csv", "data/raw/a/b.txt", "README.md"]
    found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.rpartition(" ")[2] for line in found] == ["unset", "unset", "auto"]
