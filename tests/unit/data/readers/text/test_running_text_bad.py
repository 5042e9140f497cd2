"""Broken running text: each case ends in a message that names the place and the fix."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from tests.helpers.books import book, books, settings
from tests.helpers.refusals import raw_folder, refused

Make = Callable[[Path], object]


def sparse(folder: Path) -> None:
    """One line of 2 GiB that takes no room."""
    books(folder)
    with (folder / "books" / "a.txt").open("wb") as file:
        file.truncate(2 << 30)


def file_of(name: str, data: bytes) -> Make:
    def make(folder: Path) -> None:
        books(folder)
        (folder / "books" / name).write_bytes(data)

    return make


def given(data: bytes) -> Make:
    def make(folder: Path) -> None:
        books(folder, a_txt=book(1))
        (folder / "given.json").write_bytes(data)

    return make


def good(folder: Path) -> None:
    books(folder, a_txt=book(1))


def pinned(data: bytes) -> dict[str, Any]:
    return {"text": {"tokenizer": "data/raw/given.json", "tokenizer_sha256": hashlib.sha256(data).hexdigest()}}


MIXED = ("Größe, Maß, Café. " * 20).encode() + "Ende: Übung".encode("cp1252") + book(1).encode()

CASES: dict[str, tuple[Make, dict[str, Any], str]] = {
    "nothing in the folder": (lambda folder: books(folder), {}, r"holds no text file \(0 other files\)"),
    "other files only": (file_of("a.png", b"x"), {}, r"holds no text file \(1 other files\)"),
    "hidden files only": (file_of(".a.txt", b"x"), {}, r"holds no text file"),
    "an empty file": (file_of("a.txt", b""), {}, r"a\.txt: is empty"),
    "white space": (file_of("a.txt", b" \n\n\t\n"), {}, r"a\.txt: holds no text"),
    "a byte order mark alone": (file_of("a.txt", b"\xef\xbb\xbf"), {}, r"a\.txt: is empty"),
    "NUL bytes": (file_of("a.txt", b"text\0text" * 100), {}, r"a\.txt: it holds NUL bytes"),
    "UTF-16 without a mark": (file_of("a.txt", book(1).encode("utf-16-le")), {}, r"NUL bytes: .* UTF-16"),
    "half of UTF-16": (file_of("a.txt", "text".encode("utf-16")[:-1]), {}, r"is no utf-16"),
    "control characters": (file_of("a.txt", b"\x01\x02text" * 50), {}, r"control characters: it is no text"),
    "mixed encodings": (file_of("a.txt", MIXED), {}, r"mixes encodings: 80 characters are UTF-8, 1 bytes are not"),
    "not in the encoding that was named": (
        file_of("a.txt", "Größe".encode("cp1252")),
        {"encoding": "utf-8"},
        r"byte 2 is no utf-8",
    ),
    "an encoding that does not exist": (good, {"encoding": "latin-99"}, r"'latin-99' is no encoding"),
    "a line of 2 GiB": (sparse, {}, r"2,147,483,648 bytes; files of at most 1,073,741,824 are read: split it"),
    "one paragraph": (file_of("a.txt", b"One paragraph.\n"), {}, r"split is empty"),
    "shorter than a row": (
        file_of("a.txt", book(1).encode()),
        {"text": {"length": 60000}},
        r"split has [\d,]+ tokens, one row needs 60,001",
    ),
    "a split by class": (good, {"split": "stratified"}, r"data.split is stratified: running text has no classes"),
    "a column named": (good, {"group_column": "who"}, r"data.group_column is 'who', but .* has no columns"),
    "a split by time": (good, {"split": "time"}, r"data.split is time: .* no times"),
    "one document and a split by document": (good, {"split": "group"}, r"split is empty"),
    "a tokenizer that is not there": (good, {"text": {"tokenizer": "data/raw/lost.json"}}, r"lost.json does not exist"),
    "a tokenizer that is no JSON": (
        given(b"oops"),
        pinned(b"oops"),
        r"is no tokenizer.json",
    ),
    "a tokenizer without a model": (
        given(b"{}"),
        pinned(b"{}"),
        r"is no tokenizer.json",
    ),
    "a tokenizer that nothing pins": (
        given(b"{}"),
        {"text": {"tokenizer": "data/raw/given.json"}},
        r"which nothing pins[^$]*set data\.text\.tokenizer_sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c",
    ),
    "another tokenizer than the pinned one": (
        given(b"[]"),
        pinned(b"{}"),
        r"whose sha256 is not 44136fa355b3",
    ),
    "too much set aside": (
        lambda folder: books(folder, a_txt=book(1, 20), b_txt=b"\0", c_md=b"", d_pdf=b"x"),
        {},
        r"2 of \d+ samples .*cannot be used, data.max_rejected_fraction is 0.01",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_input_is_refused_with_a_fix(tmp_path: Path, case: str) -> None:
    make, changed, said = CASES[case]
    make(raw_folder(tmp_path))
    error = str(refused(tmp_path, settings(**changed)))
    assert re.search(said, error), error


def test_a_single_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    from samebits.data.readers.text.running_text import read
    from tests.helpers.books import source

    (tmp_path / "a.pdf").write_bytes(b"x")
    with pytest.raises(UserError, match=r"a\.pdf is no text file"):
        read(replace(source(tmp_path), path=tmp_path / "a.pdf"))
