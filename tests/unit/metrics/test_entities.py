"""Entities in tags: counted as conlleval counts them, whatever a model says."""

from __future__ import annotations

import random

import numpy as np
import pytest

from samebits.metrics.bootstrap import whole
from samebits.metrics.entities import IGNORED, Scheme, are_entities, f1, to_iob2, words_only
from samebits.metrics.metric import measure
from samebits.metrics.tags import METRICS, Overlaps, TagPredictions

TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def rows(sentences: list[str]) -> np.ndarray:
    split = [each.split() for each in sentences]
    found = np.full((len(split), max(map(len, split))), IGNORED, dtype=np.int16)
    for row, tags in zip(found, split, strict=True):
        row[: len(tags)] = [TAGS.index(tag) for tag in tags]
    return found


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("I-PER I-PER O I-LOC", "B-PER I-PER O B-LOC"),  # IOB1
        ("I-PER B-PER I-PER I-LOC", "B-PER B-PER I-PER B-LOC"),  # IOB1, neighbours of one type
        ("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC"),  # IOB2
        ("B-PER E-PER S-LOC S-LOC O", "B-PER I-PER B-LOC B-LOC O"),  # IOBES
        ("B-PER I-PER L-PER U-LOC U-PER", "B-PER I-PER I-PER B-LOC B-PER"),  # BILOU
        ("B-PER M-PER E-PER E-PER", "B-PER I-PER I-PER B-PER"),  # BMES, and one that ends what never began
        ("O I-PER I-LOC I-LOC", "O B-PER B-LOC I-LOC"),
    ],
)
def test_every_scheme_becomes_iob2(written: str, stored: str) -> None:
    assert to_iob2(written.split()) == stored.split()


def test_what_marks_entities() -> None:
    assert are_entities({"O", "B-X", "I-X"})
    assert are_entities({"I-NP", "B-NP", "O"})
    assert are_entities({"B-NP", "I-NP"})  # chunks that leave no word out
    assert are_entities({"O", "S-PER"})  # all of one word
    assert not are_entities({"NOUN", "VERB", "O"})
    assert not are_entities({"O", "B-X", "NOUN"})
    assert not are_entities({"S-a", "L-b"})  # nothing begins or goes on
    assert not are_entities({"O"})


def entities(tags: list[str]) -> set[tuple[int, int, str]]:
    """Written as the rule is said: a word begins an entity if its tag is B, or goes on with another type."""
    found, begun, kind = set(), 0, ""
    for at, tag in enumerate([*tags, "O"]):
        if kind and (tag == "O" or tag[0] == "B" or tag[2:] != kind):
            found.add((begun, at, kind))
            kind = ""
        if tag != "O" and not kind:
            begun, kind = at, tag[2:]
    return found


def test_counts_are_those_of_sets_of_entities() -> None:
    drawn, scheme = random.Random(0), Scheme.of(TAGS)
    for _ in range(200):
        true = [[drawn.choice(TAGS) for _ in range(drawn.randint(1, 8))] for _ in range(5)]
        said = [[drawn.choice(TAGS) if drawn.random() < 0.3 else tag for tag in each] for each in true]
        right, there, claimed = scheme.counts(rows([" ".join(x) for x in said]), rows([" ".join(x) for x in true]))
        for place, kind in enumerate(scheme.types):
            of_true, of_said = (
                [{each for each in entities(tags) if each[2] == kind} for tags in side] for side in (true, said)
            )
            assert there[:, place].tolist() == [len(each) for each in of_true]
            assert claimed[:, place].tolist() == [len(each) for each in of_said]
            assert right[:, place].tolist() == [len(a & b) for a, b in zip(of_true, of_said, strict=True)]


def test_only_the_first_token_of_a_word_counts() -> None:
    targets = np.array([[-100, 3, -100, 4, -100, 0], [-100, -100, 1, -100, -100, -100]])
    said = np.array([[1, 3, 1, 4, 1, 0], [2, 2, 1, 2, 2, 2]])
    true, tags = words_only(targets, said)
    assert true.tolist() == [[3, 4, 0], [1, -100, -100]]
    assert tags.tolist() == [[3, 4, 0], [1, -100, -100]]


def test_no_word_at_all() -> None:
    (none,) = words_only(np.full((2, 4), IGNORED))
    assert none.tolist() == [[IGNORED], [IGNORED]]
    assert [each.sum() for each in Scheme.of(TAGS).counts(none, none)] == [0, 0, 0]
    assert f1(0, 0, 0) is None


def measured(true: list[str], said: list[str]) -> dict[str, float | None]:
    scheme = Scheme.of(TAGS)
    a, b = rows(true), rows(said)
    counts = [np.array([[(row == k).sum() for k in range(5)] for row in each]) for each in (a, b)]
    both = np.array([[((x == k) & (y == k)).sum() for k in range(5)] for x, y in zip(a, b, strict=True)])
    tags = Overlaps(both, *counts)
    return measure(METRICS, TagPredictions(tags, Overlaps(*scheme.counts(b, a)), np.array([1.0, 2.0]), (b, a))).values


def test_numbers_of_two_texts() -> None:
    # Right: LOC of the first text. PER: one word short. Of the second: a PER too many.
    found = measured(["B-PER I-PER O B-LOC", "O O"], ["B-PER O O B-LOC", "B-PER O"])
    assert found["entity_precision"] == pytest.approx(1 / 3)
    assert found["entity_recall"] == pytest.approx(1 / 2)
    assert found["entity_f1"] == pytest.approx(2 / 5)
    assert found["entity_macro_f1"] == pytest.approx((1.0 + 0.0) / 2)
    assert found["tag_accuracy"] == pytest.approx(4 / 6)
    assert found["tag_log_loss"] == pytest.approx(3 / 6)


def test_undefined_without_entities() -> None:
    found = measured(["O O", "O O"], ["O O", "O O"])
    assert found["entity_f1"] is None
    assert found["tag_accuracy"] == 1.0


def test_tags_that_mark_no_entities_have_none() -> None:
    assert Scheme.of(["NOUN", "VERB"]).types == ()
    one = np.array([[1, 1]])
    values = measure(METRICS, TagPredictions(Overlaps(one, one, one), None, None, (one, one))).values
    assert set(values) == {"tag_accuracy", "tag_macro_f1"}
    assert len(whole(1).picks) == 1
