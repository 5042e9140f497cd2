"""Labelled texts in CSV files: what is read, and what each kind of broken file says."""

from __future__ import annotations

import codecs
import csv
import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.data.readers import decoding
from tests.helpers.refusals import raw_folder, refused
from tests.helpers.texts import SAMPLES, settings, stored, texts_of


def table(rows: list[tuple[str, ...]], separator: str = ",", header: tuple[str, ...] = ("text", "label")) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator, lineterminator="\n").writerows([header, *rows])
    return buffer.getvalue()


GOOD = table(list(SAMPLES))


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_the_model_will_know_the_column(tmp_path: Path) -> None:
    path = write(tmp_path, table(list(SAMPLES), header=("review", "stars")))
    raw = texts_of(path, "text_csv", text="review", label="stars")
    encoded = raw.encode({"train": np.arange(20), "validation": np.arange(20, 30), "test": np.arange(30, 40)})
    assert encoded.signature.tokens.column == "review"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_fits_the_header(tmp_path: Path, separator: str) -> None:
    rows = [(f"{text}, or; not", label) for text, label in SAMPLES]
    raw = texts_of(write(tmp_path, table(rows, separator)), "text_csv")
    assert stored(raw) == [text for text, _ in rows]
    assert raw.classes == ("neg", "pos")
    assert raw.targets is not None
    assert raw.targets.tolist() == [k % 2 for k in range(40)]


def test_a_given_separator_is_used(tmp_path: Path) -> None:
    raw = texts_of(write(tmp_path, table(list(SAMPLES), "~")), "text_csv", csv={"separator": "~"})
    assert len(raw) == 40


@pytest.mark.parametrize(
    ("encode", "encoding", "counted"),
    [
        (lambda text: codecs.BOM_UTF8 + text.encode(), None, None),
        (lambda text: text.encode("utf-16"), None, "utf-16"),
        (lambda text: text.encode("utf-32"), None, "utf-32"),
        (lambda text: text.encode("cp1252"), None, "cp1252"),
        (lambda text: text.encode("utf-16-be"), "utf-16-be", "utf-16-be"),
        (lambda text: text.encode("cp1251", "replace"), "cp1251", "cp1251"),
    ],
)
def test_encodings_are_found_or_given(tmp_path: Path, encode: Any, encoding: str | None, counted: str | None) -> None:
    text = GOOD.replace("good", "gut für €5") if encoding != "cp1251" else GOOD.replace("good", "хорошо")
    raw = texts_of(write(tmp_path, encode(text)), "text_csv", encoding=encoding)
    assert stored(raw)[1].startswith("хорошо" if encoding == "cp1251" else "gut für €5")
    assert counted is None or counted in raw.encodings


def test_a_file_of_several_encodings_spoils_no_line(tmp_path: Path) -> None:
    lines = GOOD.replace("good", "gut für").encode().split(b"\n")
    lines[4] = lines[4].decode().encode("cp1252")
    raw = texts_of(write(tmp_path, b"\n".join(lines)), "text_csv")
    assert all(text.startswith("gut für") for text in stored(raw)[1::2])
    assert raw.encodings == {"utf-8": 40, "cp1252": 1}


def test_quotes_hold_line_ends_and_separators(tmp_path: Path) -> None:
    raw = texts_of(write(tmp_path, table([('one\ntwo, "three"\r\n\tfour', "pos"), *SAMPLES])), "text_csv")
    assert stored(raw)[0] == 'one\ntwo, "three"\nfour'
    assert raw.origins[1] == "reviews.csv:5"


def test_given_splits_and_groups(tmp_path: Path) -> None:
    rows = [(text, label, ("train", "val", "test")[k % 3], f"g{k % 5}") for k, (text, label) in enumerate(SAMPLES)]
    path = write(tmp_path, table(rows, header=("text", "label", "part", "who")))
    raw = texts_of(path, "text_csv", split_column="part", group_column="who")
    assert raw.given is not None
    assert list(raw.given[:3]) == ["train", "validation", "test"]
    assert raw.groups is not None
    assert list(raw.groups[:2]) == ["g0", "g1"]


BROKEN: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "empty": ("", {}, "is empty"),
    "blank lines alone": ("\n\n\n", {}, "is empty"),
    "a header alone": ("text,label\n", {}, "no usable sample"),
    "no text column": (GOOD.replace("text,", "body,", 1), {}, "no column 'text'"),
    "no label column": (GOOD.replace(",label", ",Label", 1), {}, "is it 'Label'"),
    "a wrong separator": (GOOD, {"csv": {"separator": ";"}}, "data.csv.separator"),
    "no header": (GOOD.split("\n", 1)[1], {}, "no column 'text'"),
    "a column twice": (GOOD.replace("text,label", "text,label,text", 1), {}, "two columns are called text"),
    "one column for both": (GOOD, {"label": "text"}, "are both 'text'"),
    "a field too many": (GOOD + "a,b,c\n", {}, "3 fields, the header has 2"),
    "a field too few": (GOOD + "alone\n", {}, "1 fields, the header has 2"),
    "text after a quote": (GOOD + '"a"b,pos\n', {}, "no valid CSV"),
    "a quote that is never closed": (GOOD + '"a,pos\nb,neg\n', {}, "line 42"),
    "an empty text": (GOOD + " ,pos\n", {}, "line 42: the text is empty"),
    "no label": (GOOD + "words,\n", {}, "line 42: it has no label"),
    "a class of empty texts": (
        GOOD + " ,neu\n,neu\n",
        {"max_rejected_fraction": 1.0},
        "sample of the class neu; line 42: the text is empty",
    ),
    "a label that occurs once": (GOOD + "words,posi\n", {}, "the only sample of its label 'posi'; was 'pos' meant?"),
    "one class": (table([(text, "pos") for text, _ in SAMPLES]), {}, "needs two classes"),
    "texts as labels": (table([(b, a) for a, b in SAMPLES * 3] + [(str(k), str(k)) for k in range(200)]), {}, "own"),
    "mixed encodings in a line": (
        GOOD.encode() + "Größe, ".encode() + b"caf\xe9,pos\n",
        {},
        "line 42: mixes encodings",
    ),
    "NUL bytes": (GOOD.encode() + b"a\0b,pos\n", {}, "line 42: it holds NUL bytes"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), {}, "UTF-16 without a byte order mark"),
    "half a character at the end": (
        codecs.BOM_UTF16_LE + GOOD.encode("utf-16-le")[:-1],
        {},
        "bytes that are no utf-16",
    ),
    "not in the given encoding": (GOOD.encode() + b"\xff,pos\n", {"encoding": "utf-8"}, "byte 0 is no utf-8"),
    "an encoding that does not exist": (GOOD, {"encoding": "utf-9"}, "'utf-9' is no encoding"),
    "an encoding of bytes": (GOOD, {"encoding": "base64"}, "'base64' is no encoding"),
    "a split of another name": (
        table([(*row, "train") for row in SAMPLES] + [("w", "pos", "later")], header=("text", "label", "part")),
        {"split_column": "part"},
        "its split is 'later'",
    ),
    "no such group": (GOOD, {"group_column": "who"}, "no column 'who'"),
    "a text of no group": (
        table([*[(*row, "g") for row in SAMPLES], ("w", "pos", " ")], header=("text", "label", "who")),
        {"group_column": "who"},
        "line 42: it has no group (data.group_column)",
    ),
    "no such time": (GOOD, {"time_column": "when"}, "no column 'when'"),
    "a time that is none": (
        table([*[(*row, "2025-01-02") for row in SAMPLES], ("w", "pos", "2025-13-01")], header=("text", "label", "at")),
        {"time_column": "at"},
        "line 42: its time is '2025-13-01', neither a date such as 2025-12-31 nor a number (data.time_column)",
    ),
    "dates among numbers": (
        table([(*row, "17" if k else "1.2.2025") for k, row in enumerate(SAMPLES)], header=("text", "label", "at")),
        {"time_column": "at"},
        "times are dates, such as '1.2.2025', and numbers, such as '17'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_say_what_is_wrong(tmp_path: Path, case: str) -> None:
    content, text, message = BROKEN[case]
    write(raw_folder(tmp_path), content)
    assert message in str(refused(tmp_path, settings("data/raw/reviews.csv", "text_csv", **text)))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        texts_of(tmp_path / "folder", "text_csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_without_end_takes_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(decoding, "LONGEST", 1 << 20)
    path = tmp_path / "reviews.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        file.write(GOOD)
        for _ in range(32):
            file.write("x" * (1 << 20))
        file.write(",pos\n" + GOOD.split("\n", 1)[1].replace("number", "count"))
    tracemalloc.start()
    raw = texts_of(path, "text_csv", max_rejected_fraction=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [each.id for each in raw.set_aside] == ["line 42"]
    assert "longer than 1 MiB" in raw.set_aside[0].reason
    assert len(raw) == 80
    assert peak < 16 << 20


def test_a_label_of_one_broken_row_is_set_aside_with_it(tmp_path: Path) -> None:
    raw = texts_of(write(tmp_path, GOOD + " ,posi\n"), "text_csv", max_rejected_fraction=0.1)
    assert [(each.id, each.reason) for each in raw.set_aside] == [("line 42", "the text is empty")]
    assert raw.classes == ("neg", "pos")
