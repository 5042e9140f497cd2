"""Broken books: each case ends in a message that names the place and the fix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.refusals import raw_folder, refused
from tests.helpers.texts import settings, texts_of


def book(author: str, count: int = 30) -> bytes:
    """Paragraphs of 200 characters and more, each a different one."""
    return "\n\n".join(f"{author} wrote part {k}, " + "and so it went on and on, " * 9 for k in range(count)).encode()


def two(**more: bytes) -> dict[str, bytes]:
    """Books of two authors, and other files; `__` stands for a dash, `_txt` for the suffix."""
    files = {name.replace("__", "-").replace("_txt", ".txt"): data for name, data in more.items()}
    return {"doyle-first.txt": book("doyle"), "wells-first.txt": book("wells"), **files}


MIXED = ("Größe, Maß, Café. " * 20).encode() + "Ende: Übung".encode("cp1252")

CASES: dict[str, tuple[dict[str, bytes], dict[str, Any], str]] = {
    "nothing": ({}, {}, "holds no file"),
    "one author": ({"doyle-a.txt": book("doyle"), "doyle-b.txt": book("Conan")}, {}, "needs two classes"),
    "an author of one paragraph": (two(verne__x_txt=book("verne", 1)), {}, "the only sample of its label 'verne'"),
    "an author of verse": (
        two(verne__x_txt=b"short\n\n" * 99),
        {"max_rejected_fraction": 1.0},
        r"no usable sample of the class verne; verne-x\.txt: no paragraph of 200",
    ),
    "a name without a dash": (two(notes_txt=book("x")), {}, r"notes\.txt: it is not called AUTHOR-title\.txt"),
    "a name without an author": (two(__x_txt=book("x")), {}, r"-x\.txt: it is not called AUTHOR-title\.txt"),
    "another suffix": (two(doyle__x=book("x")), {}, r"doyle-x: it is not called AUTHOR-title\.txt"),
    "an empty book": (two(doyle__x_txt=b""), {}, r"doyle-x\.txt: is empty"),
    "blanks alone": (two(doyle__x_txt=b" \n\n\t\r\n"), {}, r"doyle-x\.txt: holds no text"),
    "lines of verse": (
        two(doyle__x_txt=b"short\n\n" * 99),
        {},
        r"doyle-x\.txt: no paragraph of 200 to 2,000 ",
    ),
    "no empty lines": (two(doyle__x_txt=b"word " * 999), {}, r"doyle-x\.txt: .* between empty lines"),
    "NUL bytes": (two(doyle__x_txt=b"a\0b" * 99), {}, r"doyle-x\.txt: it holds NUL bytes"),
    "UTF-16 without a mark": (two(doyle__x_txt="words".encode("utf-16-le")), {}, "without a byte order mark"),
    "half a character": (two(doyle__x_txt=b"\xff\xfea"), {}, r"doyle-x\.txt: byte 2 is no utf-16"),
    "mixed encodings": (two(doyle__x_txt=MIXED), {}, r"doyle-x\.txt: mixes encodings"),
    "not in the given encoding": (
        two(doyle__x_txt=b"\xff"),
        {"encoding": "ascii"},
        r"x\.txt: byte 0 is no ascii",
    ),
    "a column named": (two(), {"group_column": "who"}, r"data\.group_column is 'who', but .* has no columns"),
    "an encoding that does not exist": (two(), {"encoding": "none"}, "'none' is no encoding"),
    "control characters": (
        two(doyle__x_txt=b"\x01\x02" * 150),
        {},
        r"doyle-x\.txt: more than 1 % .* control",
    ),
    "a tokenizer that is not there": (two(), {"tokenizer": "data/raw/lost.json"}, r"lost\.json does not exist"),
}


@pytest.mark.parametrize("case", CASES)
def test_broken_books_say_what_is_wrong(tmp_path: Path, case: str) -> None:
    files, text, message = CASES[case]
    folder = raw_folder(tmp_path) / "books"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    error = str(refused(tmp_path, settings("data/raw/books", "paragraphs", **text)))
    assert re.search(message, error), error


def test_a_line_of_two_gib(tmp_path: Path) -> None:
    folder = raw_folder(tmp_path) / "books"
    folder.mkdir()
    for name, data in two().items():
        (folder / name).write_bytes(data)
    with (folder / "doyle-long.txt").open("wb") as file:
        file.truncate(2 << 30)  # it takes no room
    error = str(refused(tmp_path, settings("data/raw/books", "paragraphs")))
    assert "doyle-long.txt: 2,147,483,648 bytes; files of at most" in error


def test_paragraphs_of_other_lengths_are_counted_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    for name, data in two().items():
        (folder / name).write_bytes(
            data + b"\n\nChapter I\n\n" + b"x" * 199 + b"\n\n" + b"y" * 200 + b"\n\n" + b"z" * 2001
        )
    raw = texts_of(folder, "paragraphs")
    assert len(raw) == 2 * 31
    assert raw.set_aside == ()
    assert (
        "audit: 6 paragraphs are no samples: 4 of fewer than 200 characters, 2 of more than 2,000"
        in capsys.readouterr().out
    )


def test_books_of_samples_alone_need_no_such_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    for name, data in two().items():
        (folder / name).write_bytes(data)
    texts_of(folder, "paragraphs")
    assert "no samples" not in capsys.readouterr().out
