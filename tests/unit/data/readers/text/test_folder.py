"""Labelled texts as files, mails and books: what is read, and what each kind of broken folder says."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.data.fetching.catalog import Card
from samebits.data.readers.decoding import NotText
from samebits.data.readers.reader import Source, read_source
from samebits.data.readers.text import folder
from samebits.data.readers.text.mail import mail_text, visible_text
from samebits.data.readers.text.paragraphs import paragraphs
from tests.helpers.idx_source import card_dict
from tests.helpers.refusals import raw_folder, refused
from tests.helpers.texts import SAMPLES, settings, stored, texts_of

Files = dict[str, bytes]
GOOD: Files = {f"{label}/{k:02d}.txt": text.encode() for k, (text, label) in enumerate(SAMPLES)}


def write(tmp_path: Path, files: Files) -> Path:
    folder = tmp_path / "reviews"
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(content)
    return folder


def test_a_folder_is_a_class(tmp_path: Path) -> None:
    raw = texts_of(write(tmp_path, {**GOOD, "pos/deeper/x.md": "ü".encode("utf-16")}), "text_folder")
    assert raw.classes == ("neg", "pos")
    assert "ü" in stored(raw)
    assert raw.encodings == {"utf-8": 40, "utf-16": 1}
    assert raw.given is None


def test_a_file_that_is_no_utf_8_is_windows_1252_and_counted(tmp_path: Path) -> None:
    raw = texts_of(write(tmp_path, {**GOOD, "pos/x.txt": "für €5 im Café".encode("cp1252")}), "text_folder")
    assert "für €5 im Café" in stored(raw)
    assert raw.encodings == {"utf-8": 40, "cp1252": 1}
    given = texts_of(tmp_path / "reviews", "text_folder", encoding="cp1252")
    assert given.encodings == {"cp1252": 41}


def test_train_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    raw = texts_of(write(tmp_path, CUT), "text_folder")
    assert raw.given is not None
    assert list(raw.given).count("test") == 10
    assert raw.classes == ("neg", "pos")


def test_an_archive_is_read_like_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "reviews.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in GOOD.items():
            archive.writestr(name, data)
    assert sorted(stored(texts_of(path, "text_folder"))) == sorted(text for text, _ in SAMPLES)


CUT: Files = {f"{'test' if k % 4 == 0 else 'train'}/{name}": data for k, (name, data) in enumerate(GOOD.items())}

MIXED = ("Größe, Maß, Café. " * 20).encode() + "Ende: Übung".encode("cp1252")

BROKEN: dict[str, tuple[Files, dict[str, Any], str]] = {
    "nothing": ({}, {}, "holds no file"),
    "files in no class": ({f"{k}.txt": b"a" for k in range(5)}, {}, "it lies in no folder of a class"),
    "a file beside the classes": ({**GOOD, "notes.txt": b"a"}, {}, "notes.txt: it lies in no folder of a class"),
    "a class without a file": ({**GOOD, "none/": b""}, {}, "no file in the class folder none"),
    "a class of hidden files": ({**GOOD, "none/.DS_Store": b"x", "none/Thumbs.db": b"x"}, {}, "class folder none"),
    "a class of train without a file": ({**CUT, "train/none/": b""}, {}, "no file in the class folder train/none"),
    "a class of broken files": (
        {**GOOD, "none/x.txt": b"a\0", "none/y.txt": b""},
        {"max_rejected_fraction": 1.0},
        "no usable sample of the class none; none/x.txt: it holds NUL bytes",
    ),
    "a class of one broken file": (
        {**GOOD, "none/x.txt": b""},
        {"max_rejected_fraction": 1.0},
        "class none; none/x.txt: the text is",
    ),
    "one class": ({name: data for name, data in GOOD.items() if name[0] == "p"}, {}, "needs two classes"),
    "one text of a class": ({**GOOD, "neu/x.txt": b"words"}, {}, "the only sample of its label 'neu'"),
    "an empty file": ({**GOOD, "pos/x.txt": b""}, {}, "pos/x.txt: the text is empty"),
    "blanks alone": ({**GOOD, "pos/x.txt": b" \n\t\r\n"}, {}, "pos/x.txt: the text is empty"),
    "control characters alone": ({**GOOD, "pos/x.txt": b"\x01\x02"}, {}, "pos/x.txt: the text is empty"),
    "a picture": ({**GOOD, "pos/x.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"}, {}, "pos/x.png: it holds NUL bytes"),
    "UTF-16 without a mark": ({**GOOD, "pos/x.txt": "words".encode("utf-16-le")}, {}, "without a byte order mark"),
    "mixed encodings": (
        {**GOOD, "pos/x.txt": MIXED},
        {},
        "pos/x.txt: mixes encodings: 80 characters are UTF-8, 1 bytes",
    ),
    "half a character": ({**GOOD, "pos/x.txt": b"\xff\xfea"}, {}, "byte 2 is no utf-16"),
    "NUL in UTF-16": ({**GOOD, "pos/x.txt": "a\0b".encode("utf-16")}, {}, "it holds NUL bytes"),
    "not in the given encoding": ({**GOOD, "pos/x.txt": b"\xff"}, {"encoding": "ascii"}, "byte 0 is no ascii"),
    "an encoding that does not exist": (GOOD, {"encoding": "none"}, "'none' is no encoding"),
    "too large": ({**GOOD, "pos/x.txt": b"a" * 2000}, {}, "more than the"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folders_say_what_is_wrong(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files, text, message = BROKEN[case]
    monkeypatch.setattr(folder, "LONGEST", 1000)
    write(raw_folder(tmp_path), files)
    assert message in str(refused(tmp_path, settings("data/raw/reviews", "text_folder", **text)))


@pytest.mark.parametrize("extra", ["none/", "none/.DS_Store"])
def test_a_class_of_an_archive_without_a_file_is_named(tmp_path: Path, extra: str) -> None:
    with zipfile.ZipFile(raw_folder(tmp_path) / "reviews.zip", "w") as archive:
        for name, data in {**GOOD, extra: b""}.items():
            archive.writestr(name, data)
    error = refused(tmp_path, settings("data/raw/reviews.zip", "text_folder"))
    assert error.problem == "reviews: no file in the class folder none"


def test_whatever_a_library_raises_on_one_file_sets_it_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = folder.decode

    def failing(data: bytes, encoding: str | None) -> tuple[str, str]:
        if data == b"odd":
            raise AssertionError("unknown status keyword")
        return read(data, encoding)

    monkeypatch.setattr(folder, "decode", failing)
    raw = texts_of(write(tmp_path, {**GOOD, "pos/odd.txt": b"odd"}), "text_folder", max_rejected_fraction=0.1)
    assert {each.id: each.reason for each in raw.set_aside} == {
        "pos/odd.txt": "it cannot be read (AssertionError: unknown status keyword)"
    }


def test_each_class_of_a_card_needs_a_text(tmp_path: Path) -> None:
    made = card_dict({"tr-images": b"x"}) | {"format": "text_folder"}
    folder = write(tmp_path, {f"my-{name}": data for name, data in GOOD.items()} | {"my-neu/.hidden": b"x"})

    def read(*classes: str) -> tuple[str, ...]:
        card = Card.model_validate(made | {"classes": list(classes)})
        data = settings("tiny", "text_folder", max_rejected_fraction=1.0)
        source = Source("tiny", data, card, {"tr-images": folder}, None, tmp_path, print)
        return read_source("text_folder", source).classes

    with pytest.raises(UserError, match="tiny: no usable sample of the class neu") as caught:
        read("neg", "neu", "pos")
    assert "`classes`" in caught.value.fix
    (tmp_path / "texts").unlink()
    assert read("neg", "pos") == ("neg", "pos")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04damaged", b"\x1f\x8b\x08damaged", b"words"])
def test_files_that_are_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reviews.zip"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"reviews\.zip"):
        texts_of(path, "text_folder")


MAIL = b"""From sender@example.org Thu Aug 22 13:17:22 2002
Received: from list.example.org by secret-giveaway
From: someone@example.org
Subject: =?utf-8?q?F=C3=BCr_you?=
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Caf=E9
--b
Content-Type: text/html

<p>other</p>
--b--
"""


def test_a_mail_is_its_subject_and_body_without_other_headers() -> None:
    assert mail_text(MAIL) == "Für you\n\nCafé"


def test_a_mail_of_html_is_what_is_shown() -> None:
    html = "<html><head><title>t</title><style>p {}</style></head><body>a &amp; b<br>c<script>x()</script><p>d</body>"
    assert visible_text(html) == "a & b\nc\nd"
    assert mail_text(b"Content-Type: text/html\n\n<b>now</b>") == "now"


@pytest.mark.parametrize(
    "start", [b"<html>", b"\n <!-- saved from url --><HTML>", b"<!DOCTYPE  html>", b"<P align=left>"]
)
def test_a_mail_that_begins_as_a_page_is_html_whatever_it_says(start: bytes) -> None:
    assert mail_text(b"Subject: s\nContent-Type: text/plain\n\n" + start + b"<b>now</b>") == "s\n\nnow"


@pytest.mark.parametrize(
    "text", ["<abbr> is a tag", "see <html> there", "< html>", "<pre>", "<jane@example.org> wrote"]
)
def test_a_text_that_mentions_tags_stays_text(text: str) -> None:
    assert mail_text(f"Subject: s\n\n{text}".encode()) == f"s\n\n{text}"


def test_a_mail_of_an_unknown_charset_is_read_all_the_same() -> None:
    assert mail_text(b"Subject: s\nContent-Type: text/plain; charset=unheard-of\n\nbody") == "s\n\nbody"
    with pytest.raises(NotText, match="neither subject nor text"):
        mail_text(b"From: a@example.org\n\n")


MAILS: Files = {f"{label}/{k:02d}.eml": f"Subject: {k}\n\n{text}".encode() for k, (text, label) in enumerate(SAMPLES)}


def mail(**headers: str) -> bytes:
    """A mail without a text of its own."""
    return "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items()).encode() + b"\n"


NOTHING = "pos/x.eml: it has neither subject nor text"

BROKEN_MAILS: dict[str, tuple[Files, str]] = {
    "nothing": ({}, "holds no file"),
    "notes beside mails alone": ({"pos/a.json": b"{}", "neg/b.json": b"{}"}, "holds no usable sample"),
    "mails in no class": ({f"{k}.eml": b"Subject: a\n\n" for k in range(5)}, "it lies in no folder of a class"),
    "a mail beside the classes": ({**MAILS, "x.eml": b"Subject: a\n\n"}, "x.eml: it lies in no folder of a class"),
    "a class without a mail": ({**MAILS, "none/": b""}, "no file in the class folder none"),
    "a class of notes beside mails": ({**MAILS, "none/x.json": b"{}"}, "no file in the class folder none"),
    "a class of broken mails": ({**MAILS, "none/x.eml": b""}, "no usable sample of the class none; none/x.eml: it has"),
    "one class": ({name: data for name, data in MAILS.items() if name[0] == "p"}, "needs two classes"),
    "one mail of a class": ({**MAILS, "neu/x.eml": b"Subject: a\n\n"}, "the only sample of its label 'neu'"),
    "too large": ({**MAILS, "pos/x.eml": b"Subject: a\n\n" + b"a" * 2000}, "more than the"),
    "an empty file": ({**MAILS, "pos/x.eml": b""}, NOTHING),
    "headers alone": ({**MAILS, "pos/x.eml": mail(From="a@example.org", To="b@example.org")}, NOTHING),
    "blanks alone": ({**MAILS, "pos/x.eml": mail(Subject=" ") + b" \r\n\t\r\n"}, NOTHING),
    "a subject of an encoded blank": ({**MAILS, "pos/x.eml": mail(Subject="=?utf-8?q?_?=")}, NOTHING),
    "an attachment alone": (
        {**MAILS, "pos/x.eml": mail(Content_Type="text/plain", Content_Disposition="attachment") + b"words"},
        NOTHING,
    ),
    "a picture alone": ({**MAILS, "pos/x.eml": mail(Content_Type="image/png") + b"\x89PNG"}, NOTHING),
    "HTML that shows nothing": (
        {**MAILS, "pos/x.eml": mail(Content_Type="text/html") + b"<head><title>t</title></head><script>x()</script>"},
        NOTHING,
    ),
    "parts that are missing": (
        {**MAILS, "pos/x.eml": mail(Content_Type="multipart/mixed; boundary=b") + b"--b--\n"},
        NOTHING,
    ),
    "control characters alone": ({**MAILS, "pos/x.eml": b"\n\x01\x02"}, "pos/x.eml: the text is empty"),
}


@pytest.mark.parametrize("case", BROKEN_MAILS)
def test_broken_mails_say_what_is_wrong(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files, message = BROKEN_MAILS[case]
    monkeypatch.setattr(folder, "LONGEST", 1000)
    write(raw_folder(tmp_path), files)
    assert message in str(refused(tmp_path, settings("data/raw/reviews", "mail")))


@pytest.mark.parametrize("case", ["as they say", "guessed"])
def test_mails_whose_encoding_was_guessed_are_counted(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = b"Subject: a\nContent-Type: text/plain; charset="
    files = {
        "as they say": {"a.eml": plain + b"latin-1\n\ncaf\xe9", "b.eml": plain + b"unheard-of\n\nwords"},
        "guessed": {
            "a.eml": b"Subject: a\n\ncaf\xe9",
            "b.eml": plain + b"us-ascii\n\n" + "Größe".encode(),
            "c.eml": b"Subject: a\n\n" + MIXED,
        },
    }[case]
    raw = texts_of(write(tmp_path, {**MAILS, **{f"pos/{name}": data for name, data in files.items()}}), "mail")
    assert len(raw) == 40 + len(files)
    # It is said, and not kept: `dataset.json` of mails stays what it was.
    assert raw.encodings == {}
    line = "audit: parts of mails whose encoding was guessed: 3 as cp1252; UTF-8 is garbled in 2 of them"
    assert (line in capsys.readouterr().out) == (case == "guessed")


def test_paragraphs_stand_between_empty_lines() -> None:
    assert list(paragraphs("one\ntwo\n \n\nthree\n")) == ["one two", "three"]


def test_books_with_other_line_ends_have_the_same_paragraphs(tmp_path: Path) -> None:
    parts = [f"{author} {k} {'went on and on ' * 20}" for author in ("doyle", "wells") for k in range(4)]
    for name, end in (("lf", "\n"), ("crlf", "\r\n")):
        (tmp_path / name).mkdir()
        books = {"doyle-a.txt": parts[:4], "wells-b.txt": parts[4:]}
        for file, own in books.items():
            (tmp_path / name / file).write_bytes(f"{end} {end}".join(own).encode())
    assert len(stored(texts_of(tmp_path / "lf", "paragraphs"))) == 8
    assert stored(texts_of(tmp_path / "crlf", "paragraphs")) == stored(texts_of(tmp_path / "lf", "paragraphs"))
