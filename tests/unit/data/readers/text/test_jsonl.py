"""Labelled texts in JSON Lines: what is read, and what each kind of broken file says."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest

from samebits.data.readers import decoding
from tests.helpers.refusals import raw_folder, refused
from tests.helpers.texts import SAMPLES, settings, stored, texts_of

GOOD = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in SAMPLES)


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "reviews.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_texts_and_labels(tmp_path: Path) -> None:
    raw = texts_of(write(tmp_path, "\n" + GOOD.replace("\n", "\r\n")), "text_jsonl")
    assert stored(raw) == [text for text, _ in SAMPLES]
    assert raw.classes == ("neg", "pos")
    assert raw.origins[0] == "reviews.jsonl:2"


def test_whole_numbers_and_truth_values_are_labels_and_numbers_are_in_order(tmp_path: Path) -> None:
    lines = [json.dumps({"body": f"text {k}", "stars": (2, 10, 1)[k % 3]}) for k in range(12)]
    raw = texts_of(write(tmp_path, "\n".join(lines)), "text_jsonl", text="body", label="stars")
    assert raw.classes == ("1", "2", "10")
    truth = "".join(json.dumps({"text": f"{k}", "label": k % 2 == 0}) + "\n" for k in range(4))
    assert texts_of(write(tmp_path, truth), "text_jsonl").classes == ("false", "true")


def test_other_keys_other_encodings(tmp_path: Path) -> None:
    raw = texts_of(write(tmp_path, GOOD.replace('"label"', '"x": [1, {}], "label"').encode("utf-16")), "text_jsonl")
    assert len(raw) == 40


def test_a_file_of_several_encodings_spoils_no_line(tmp_path: Path) -> None:
    lines = GOOD.replace("good", "gut für").encode().split(b"\n")
    lines[3] = lines[3].decode().encode("cp1252")
    raw = texts_of(write(tmp_path, b"\n".join(lines)), "text_jsonl")
    assert all(text.startswith("gut für") for text in stored(raw)[1::2])
    assert raw.encodings == {"utf-8": 39, "cp1252": 1}


def line(value: Any) -> str:
    return GOOD + json.dumps(value) + "\n"


BROKEN: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "empty": ("", {}, "is empty"),
    "blank lines alone": ("\n \n", {}, "is empty"),
    "an array": (json.dumps([{"text": "a", "label": "b"}]), {}, "is a JSON array"),
    "no JSON": (GOOD + "text: a\n", {}, "line 41: no valid JSON"),
    "a line cut off": (GOOD + '{"text": "a", "la\n', {}, "line 41: no valid JSON"),
    "two objects on a line": (GOOD + "{} {}\n", {}, "Extra data"),
    "a number": (line(3), {}, "line 41: a number, not an object"),
    "a text": (line("words"), {}, "line 41: a text, not an object"),
    "no such key": (GOOD, {"text": "body"}, "no key 'body'; its keys: 'text', 'label'"),
    "a text that is an array": (line({"text": ["a"], "label": "pos"}), {}, "'text' is an array, not a text"),
    "a text that is null": (line({"text": None, "label": "pos"}), {}, "'text' is null, not a text"),
    "an empty text": (line({"text": " \n", "label": "pos"}), {}, "the text is empty"),
    "no label": (line({"text": "a"}), {}, "it has no label"),
    "a label that is null": (line({"text": "a", "label": None}), {}, "it has no label"),
    "a label that is NaN": (GOOD + '{"text": "a", "label": NaN}\n', {}, "'label' is a number, neither"),
    "a label that is an object": (line({"text": "a", "label": {}}), {}, "'label' is an object"),
    "a class of broken texts": (
        line({"text": "", "label": "neu"}) + json.dumps({"text": 3, "label": "neu"}),
        {"max_rejected_fraction": 1.0},
        "no usable sample of the class neu; line 41: the text is empty",
    ),
    "a label that occurs once": (line({"text": "a", "label": "ne"}), {}, "was 'neg' meant?"),
    "one class": (GOOD.replace("neg", "pos"), {}, "needs two classes"),
    "half of a surrogate pair": (GOOD + '{"text": "\\ud800", "label": "pos"}\n', {}, "half of a surrogate pair"),
    "nested too deeply": (GOOD + '{"text": ' + "[" * 200_000 + "\n", {}, "line 41"),
    "a number of many digits": (GOOD + '{"label": ' + "9" * 5000 + "}\n", {}, "no valid JSON"),
    "mixed encodings in a line": (
        GOOD.encode() + b'{"text": "' + "Größe ".encode() + b'caf\xe9", "label": "pos"}\n',
        {},
        "line 41: mixes encodings: 2 characters are UTF-8, 1 bytes are not",
    ),
    "NUL bytes": (GOOD.encode() + b'{"text": "a\0"}\n', {}, "line 41: it holds NUL bytes"),
    "half a character at the end": (codecs.BOM_UTF16_LE + GOOD.encode("utf-16-le")[:-1], {}, "no utf-16"),
    "an encoding that does not exist": (GOOD, {"encoding": "latin"[:3]}, "is no encoding"),
    "one key for both": (GOOD, {"label": "text"}, "are both 'text'"),
    "no split": (GOOD, {"split_column": "part"}, "no key 'part' (data.split_column)"),
    "no group": (GOOD, {"group_column": "who"}, "no name under 'who' (data.group_column)"),
    "no time": (GOOD, {"time_column": "at"}, "no date and no number under 'at' (data.time_column)"),
    "a time that is a truth value": (
        GOOD.replace("}", ', "at": true}'),
        {"time_column": "at"},
        "no date and no number under 'at' (data.time_column)",
    ),
    "a time that is NaN": (
        GOOD.replace("}", ', "at": NaN}'),
        {"time_column": "at"},
        "its time is 'nan', neither a date",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_say_what_is_wrong(tmp_path: Path, case: str) -> None:
    content, text, message = BROKEN[case]
    write(raw_folder(tmp_path), content)
    assert message in str(refused(tmp_path, settings("data/raw/reviews.jsonl", "text_jsonl", **text)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(decoding, "LONGEST", 1 << 20)
    write(raw_folder(tmp_path), (line({"text": "a" * (3 << 20), "label": "pos"}) + GOOD).encode(encoding))
    error = str(refused(tmp_path, settings("data/raw/reviews.jsonl", "text_jsonl")))
    assert "1 of 81 samples" in error
    assert "line 41: the line is longer than 1 MiB" in error
