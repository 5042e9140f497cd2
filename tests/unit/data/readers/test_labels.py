"""Class names that look the same are one class, whatever the source is."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from samebits.data.loading.prepared import read_info
from samebits.data.readers.labels import class_name, differ_in_case
from tests.helpers.pictures import encoded, picture, run
from tests.helpers.refusals import raw_folder
from tests.helpers.texts import texts_of

COMPOSED, APART = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
ALIKE = [COMPOSED, APART, f"{APART} ", f"\ufeff{COMPOSED}", f"caf\u200b{COMPOSED[3]}", f"\u00a0{COMPOSED}\u2060\u200d"]


@pytest.mark.parametrize("label", ALIKE)
def test_one_name_for_what_looks_the_same(label: str) -> None:
    assert class_name(label) == COMPOSED


@pytest.mark.parametrize("label", ["Pos", "a b", "0", "-1", "$x", "می\u200cخواهم", "👩\u200d🔬", "1.0"])
def test_what_differs_to_the_eye_stays(label: str) -> None:
    assert class_name(label) == label


def images(home: Path, *folders: str) -> None:
    for k, folder in enumerate(folders):
        for number in range(12):
            path = raw_folder(home) / "pets" / folder / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(100 * k + number)))


def test_folders_that_look_alike_are_one_class(tmp_path: Path) -> None:
    images(tmp_path, COMPOSED, APART, "bar")
    info = read_info(run(tmp_path))
    assert info.classes == ("bar", COMPOSED)
    assert sum(info.counts.values()) == 36


def test_halves_of_two_systems_fit(tmp_path: Path) -> None:
    images(tmp_path, f"train/{COMPOSED}", "train/bar", f"test/{APART}", "test/bar")
    info = read_info(run(tmp_path))
    assert info.classes == ("bar", COMPOSED)
    assert info.class_counts["test"] == (12, 12)


def test_labels_of_a_list_that_look_alike_are_one_class(tmp_path: Path) -> None:
    images(tmp_path, "x")
    rows = [f"x/{k}.png,{('bar', *ALIKE)[k % 2 * (1 + k // 2 % 6)]}" for k in range(12)]
    (raw_folder(tmp_path) / "pets/list.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    folder = run(tmp_path, source="data/raw/pets", format="image_csv", split="stratified")
    assert read_info(folder).classes == ("bar", COMPOSED)


@pytest.mark.parametrize("format_name", ["text_csv", "text_jsonl", "text_folder"])
def test_labels_of_texts_that_look_alike_are_one_class(format_name: str, tmp_path: Path) -> None:
    path = tmp_path / "reviews"
    rows = [(f"film {k}", ("bar", *ALIKE)[k % 7]) for k in range(42)]
    if format_name == "text_csv":
        path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), encoding="utf-8")
    elif format_name == "text_jsonl":
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    else:
        for text, label in rows:
            (path / label).mkdir(parents=True, exist_ok=True)
            (path / label / f"{text}.txt").write_text(text)
    raw = texts_of(path, format_name)
    assert raw.classes == ("bar", COMPOSED)
    assert len(raw) == 42


def test_a_label_of_nothing_that_is_seen_is_none(tmp_path: Path) -> None:
    rows = [*((f"film {k}", ("bar", "foo")[k % 2]) for k in range(40)), ("film", "\u200b")]
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), encoding="utf-8")
    raw = texts_of(path, "text_csv", max_rejected_fraction=0.1)
    assert [each.reason for each in raw.set_aside] == ["it has no label"]


def test_a_label_of_half_a_character_is_set_aside(tmp_path: Path) -> None:
    rows = [{"text": f"film {k}", "label": ("bar", "foo")[k % 2]} for k in range(40)] + [
        {"text": "a", "label": "\ud800"}
    ]
    path = tmp_path / "reviews.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw = texts_of(path, "text_jsonl", max_rejected_fraction=0.1)
    assert [each.reason for each in raw.set_aside] == ["its label or group holds half of a surrogate pair"]


def test_classes_that_differ_in_case_are_told(tmp_path: Path) -> None:
    assert differ_in_case(["Pos", "neg", "pos"]) == [["Pos", "pos"]]
    images(tmp_path, "cat", "Dog", "dog")
    said: list[str] = []
    assert len(read_info(run(tmp_path, said)).classes) == 3
    assert any("differ in case alone: Dog and dog" in line for line in said)
