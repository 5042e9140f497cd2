"""Mails and texts that take time without end, or that a library cannot take apart: read or set aside, in time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.data.readers import cells
from samebits.data.readers.decoding import NotText, clean
from samebits.data.readers.labels import LONGEST_NAME
from samebits.data.readers.text.mail import mail_text
from tests.helpers.hostile import bounded
from tests.helpers.texts import SAMPLES, texts_of

HTML = b"Content-Type: text/html\n\n"
SIZE = 200_000


def many(part: bytes, size: int = SIZE) -> bytes:
    return part * (size // len(part))


READ = {
    "<": HTML + many(b"<"),
    "hidden in hidden": HTML + b"x" + many(b"<head>") + many(b"</title>"),
    "a subject of encoded words": b"Subject: " + many(b"=?utf-8?q?a?= ") + b"\n\nx",
    "a subject of blanks": b"Subject: =?utf-8?q?a?=" + many(b" ") + b"x\n\nx",
    "codecs that are no text": b"Subject: =?base64?q?a?= =?rot13?q?a?= =?undefined?q?a?= =?a\0b?q?x?=\n\nx",
    "parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + many(b"--b\n\nx\n"),
    "newlines": b"Subject: x\n" + many(b"\n") + b"x",
    **{
        f"charset {name.decode('latin-1')}": b"Content-Type: text/plain; charset=" + name + b"\n\nx"
        for name in (b"base64", b"zlib", b"rot13", b"undefined", b"a\0b", b"\xe9", b"idna", b"hex", b"uu", b"bz2")
    },
}

SET_ASIDE = {
    "sections that do not end": HTML + many(b"<![CDATA[x"),
    "tags that do not end": HTML + many(b"<a "),
    "quotes that do not end": HTML + b"<a b='" + many(b"<a b='"),
    "a section of no known kind": HTML + b"<html><![foo[ x ]]> hello",
    "a character of 200,000 digits": HTML + b"&#" + many(b"9"),
    "parts in parts": b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (k, k) for k in range(2000)),
    "mails in mails": many(b"Content-Type: message/rfc822\n\n", 30_000) + b"Subject: x\n\nhello",
    "a part of a parameter without number": b"Content-Type: text/plain; a*0=x; a*=y\n\nx",
    "a parameter of 5,000 digits": b"Content-Type: text/plain; charset*" + b"9" * 5000 + b"=x\n\nx",
}


@pytest.mark.parametrize("kind", list(READ))
def test_a_hostile_mail_is_read_in_time(kind: str) -> None:
    with bounded():
        assert mail_text(READ[kind])


@pytest.mark.parametrize("kind", list(SET_ASIDE))
def test_a_mail_that_cannot_be_read_is_no_text(kind: str) -> None:
    with bounded(), pytest.raises(NotText, match=r"cannot be taken apart|do not end"):
        mail_text(SET_ASIDE[kind])


def test_stacked_marks_are_no_text() -> None:
    assert len(clean("a" + "\u0301" * 500 + "b")) == 501
    for stack in ("\u0301" * 501, "\u0301\u0327" * 100_000, "\u0301\x01\u0327" * 5000):
        for before in ("", "\u4e00" * 777):
            with bounded(), pytest.raises(NotText, match="more than 500 combining marks"):
                clean(f"{before}a{stack}")
    with bounded():
        assert len(clean("\u4e00\u0301" * 200_000)) == 400_000
        assert clean("\n" * (8 << 20)) == ""


def test_a_cell_of_a_million_characters_is_no_number_and_no_date() -> None:
    for cell in ("1" * 1_000_000 + "x", "1,234" * 200_000 + "x", " " * 1_000_000 + "x"):
        with bounded():
            assert cells.number(cell) is None
            assert cells.number(cell, ",") is None
            assert not cells.is_grouped(cell, ".")
            assert cells.one_text(cell) == cell
            assert cells.moment(cell) is None
            assert cells.moment(cell, "%d %b %Y   %H %M") is None


def test_labels_groups_and_numbers_of_hostile_json_lines_are_set_aside(tmp_path: Path) -> None:
    def line(**keys: object) -> str:
        return json.dumps({"text": "hello", "label": "pos", "group": "a"} | keys)

    good = [json.dumps({"text": text, "label": label, "group": f"g{k % 5}"}) for k, (text, label) in enumerate(SAMPLES)]
    bad = [
        line(label="\ud800"),
        line(group="\ud800"),
        line(text="\ud800"),
        line(label="x" * 1_000_000),
        line(label="\u0301\u0327" * 100_000),
        line(group="x" * (LONGEST_NAME + 1)),
        line(label="\u0301" * 100_000, text=5),
        '{"text": "x", "label": ' + "9" * 5000 + "}",
        '{"text": "x", "label": NaN}',
        '{"text": "x", "label": -Infinity}',
        "[" * 100_000,
        '{"a": ' * 100_000,
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(good + bad), encoding="utf-8")
    with bounded(10):
        raw = texts_of(path, "text_jsonl", max_rejected_fraction=0.5, split="group", group_column="group")
    assert len(raw) == len(good)
    assert [each.id for each in raw.set_aside] == [f"line {len(good) + k}" for k in range(1, len(bad) + 1)]
    assert raw.classes == ("neg", "pos")


@pytest.mark.parametrize("name", ["base64", "zlib", "rot13", "undefined", "a\0b", "hex", "uu", "no-such", "é"])
@pytest.mark.parametrize("kind", ["text_jsonl", "text_csv", "text_folder", "running_text", "paragraphs"])
def test_an_encoding_that_is_no_text_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("text,label\nx,a\n")
    with pytest.raises(UserError, match="is no encoding that Python knows"):
        texts_of(tmp_path if kind in ("text_folder", "paragraphs") else path, kind, encoding=name)


@pytest.mark.parametrize("name", ["idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf_7", "cp037"])
def test_a_text_codec_of_another_use_is_refused_with_a_message(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"text,label\n\\ud800,a\n+2AA-,b\nxn--\xff,c\n")
    with bounded(), pytest.raises(UserError):
        texts_of(tmp_path / "x.txt", "text_csv", encoding=name)
