"""Splits that a source gives by the names of its folders or cells: one word list for every reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.data.loading.prepared import read_info
from samebits.data.readers.splits import are_splits, split_of
from samebits.params.data import DataParams
from tests.helpers.pictures import encoded, picture, run
from tests.helpers.refusals import raw_folder, refused
from tests.helpers.texts import texts_of

WORDS = {
    "train": ["train", "Training", "TRAIN", " train "],
    "validation": ["val", "Valid", "validation", "dev", "Development"],
    "test": ["test", "Testing", "TEST", "eval", "Evaluation"],
}
PAIRS = [("Training", "Testing"), ("Train", "Test"), ("train", "Test"), ("train", "eval"), ("TRAIN", "evaluation")]


@pytest.mark.parametrize(("split", "word"), [(split, word) for split, words in WORDS.items() for word in words])
def test_words_of_splits_in_any_case(split: str, word: str) -> None:
    assert split_of(word) == split


@pytest.mark.parametrize("word", ["", "cat", "trains", "tests", "train2", "valid/x"])
def test_other_words_are_no_splits(word: str) -> None:
    assert split_of(word) is None


def images(home: Path, *folders: str, count: int = 12) -> None:
    for k, folder in enumerate(folders):
        for number in range(count):
            path = raw_folder(home) / "pets" / folder / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(100 * k + number)))


@pytest.mark.parametrize("pair", PAIRS)
def test_split_folders_of_images_are_no_classes(pair: tuple[str, str], tmp_path: Path) -> None:
    images(tmp_path, *(f"{split}/{label}" for split in pair for label in ("cat", "dog")))
    said: list[str] = []
    info = read_info(run(tmp_path, said))
    assert info.classes == ("cat", "dog")
    assert info.counts["test"] == 24
    assert "2 classes: cat, dog" in said


@pytest.mark.parametrize("pair", PAIRS)
def test_split_folders_of_texts_are_no_classes(pair: tuple[str, str], tmp_path: Path) -> None:
    for split in pair:
        for label in ("neg", "pos"):
            for k in range(4):
                path = tmp_path / "reviews" / split / label / f"{k}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{split} {label} {k}")
    raw = texts_of(tmp_path / "reviews", "text_folder")
    assert raw.classes == ("neg", "pos")
    assert sorted(set(raw.given or ())) == ["test", "train"]


@pytest.mark.parametrize("folders", [("train", "test", "single_prediction"), ("Training", "cat"), ("test", "val")])
@pytest.mark.parametrize("format_name", ["image_folder", "text_folder"])
def test_folders_that_can_be_read_both_ways_are_refused(
    folders: tuple[str, ...], format_name: str, tmp_path: Path
) -> None:
    images(tmp_path, *(f"{folder}/cat" for folder in folders), count=2)
    error = refused(tmp_path, DataParams(source="data/raw/pets", format=format_name))
    assert "data/raw/pets" in error.problem
    assert "if they are splits" in error.fix
    assert "if they are classes" in error.fix


@pytest.mark.parametrize("folders", [("cat", "dog"), ("valid", "invalid"), ("test", "control"), ("trains", "buses")])
def test_other_folders_are_classes(folders: tuple[str, ...]) -> None:
    assert not are_splits("mine", folders)


def test_a_cell_names_a_split_by_the_same_words(tmp_path: Path) -> None:
    images(tmp_path, "cat", "dog", count=20)
    rows = [
        f"{label}/{k}.png,{label},{('Training', 'eval', '', 'DEV')[k % 4]}"
        for label in ("cat", "dog")
        for k in range(20)
    ]
    (raw_folder(tmp_path) / "pets/list.csv").write_text("\n".join(["path,label,split", *rows]))
    info = read_info(run(tmp_path, source="data/raw/pets", format="image_csv"))
    assert info.counts == {"train": 20, "validation": 10, "test": 10}


def test_a_class_that_the_given_training_split_lacks_has_a_fix_that_helps(tmp_path: Path) -> None:
    images(tmp_path, "train/cat", "train/eel", "test/cat", "test/dog", "test/eel")
    with pytest.raises(UserError) as caught:
        run(tmp_path)
    assert "'dog': 12 in test" in caught.value.problem
    assert "fraction" not in caught.value.fix
    assert "stratified" not in caught.value.fix
    assert "training split of the source" in caught.value.fix
