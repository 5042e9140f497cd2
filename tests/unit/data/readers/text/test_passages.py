"""Texts without paragraphs are cut at the ends of sentences; a file's name begins with the label."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.data.readers.text.passages import FULL, passages
from tests.helpers.texts import texts_of

SENTENCE = "The year of {} was a good one for the union, said the president."


def speech(year: int, sentences: int = 60) -> str:
    return " ".join(SENTENCE.format(f"{year} and {k}") for k in range(sentences))


def test_whole_sentences_of_a_few_hundred_characters() -> None:
    text = speech(1850)
    found = list(passages(text))
    assert " ".join(found) == text
    assert all(FULL <= len(each) < 2 * FULL for each in found[:-1])
    assert all(each.endswith("president.") for each in found)
    assert list(passages("  ")) == []
    assert list(passages("no end " * 300)) == [" ".join(["no end"] * 300)]


def test_numbers_of_file_names_and_groups(tmp_path: Path) -> None:
    folder = tmp_path / "speeches"
    folder.mkdir()
    for year in (1850, 1903, 1950):
        (folder / f"{year}_somebody_x.txt").write_text(speech(year))
    raw = texts_of(folder, "passages", target_kind="number", split="group")
    assert raw.target_kind == "number"
    assert raw.targets is not None
    assert sorted(set(raw.targets.tolist())) == [1850.0, 1903.0, 1950.0]
    assert set(raw.groups or ()) == {"1850_somebody_x", "1903_somebody_x", "1950_somebody_x"}
    assert raw.origins[0] == "1850_somebody_x.txt, passage 1"


def test_a_name_that_begins_with_no_number_is_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "speeches"
    folder.mkdir()
    for name in ("1850_a", "1903_b", "once_c"):
        (folder / f"{name}.txt").write_text(speech(1850))
    raw = texts_of(folder, "passages", target_kind="number", max_rejected_fraction=0.5)
    assert {each.reason for each in raw.set_aside} == {"'once' is no finite number"}
    (folder / "1850_a.txt").write_text("Short.")
    (folder / "1903_b.txt").unlink()
    with pytest.raises(UserError, match=r"1850_a\.txt: no passage of 200 to 2,000 characters is in it"):
        texts_of(folder, "passages", target_kind="number")
