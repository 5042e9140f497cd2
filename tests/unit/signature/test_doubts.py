"""Each kind of target: labels as cells and back, and how far answers contradict them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from samebits.signature.classes import ClassTarget
from samebits.signature.labels import LabelsTarget
from samebits.signature.mask import IGNORED as NO_PIXEL
from samebits.signature.mask import MaskTarget, default_colours
from samebits.signature.next_token import NextTokenTarget
from samebits.signature.number import NumberTarget
from samebits.signature.signature import TARGETS
from samebits.signature.tags import IGNORED as NO_WORD
from samebits.signature.tags import TagsTarget
from samebits.signature.target_kind import TargetKind
from samebits.signature.vector import VectorTarget

NAMES = ["cat", "dog", "hen"]

CELLS: list[tuple[type[TargetKind], Any, str]] = [
    (ClassTarget, np.int64(1), "dog"),
    (LabelsTarget, np.array([1, 0, 1], dtype=np.uint8), "cat; hen"),
    (LabelsTarget, np.zeros(3, dtype=np.uint8), ""),
    (NumberTarget, np.float32(0.1), "0.1"),
    (NumberTarget, np.float32(1e30), "1e+30"),
    (VectorTarget, np.array([0.5, -2], dtype=np.float32), "0.5; -2"),
]


@pytest.mark.parametrize(("kind", "target", "cell"), CELLS)
def test_a_cell_says_what_is_stored(kind: type[TargetKind], target: Any, cell: str) -> None:
    assert kind.label_text(target, NAMES) == cell
    assert np.array_equal(np.asarray(kind.corrected(cell, NAMES), dtype=target.dtype), target)


@pytest.mark.parametrize(
    ("kind", "cell", "reason"),
    [
        (ClassTarget, "dgo", "'dgo' is no class of the data; did you mean 'dog'"),
        (ClassTarget, "", "'' is no class of the data; the classes are 'cat', 'dog', 'hen'"),
        (LabelsTarget, "cat; cow", "'cow' is no class"),
        (NumberTarget, "many", "no finite number"),
        (VectorTarget, "1; x", "no finite number"),
        (MaskTarget, "dog", "corrected in the data themselves"),
        (TagsTarget, "O", "corrected in the data themselves"),
    ],
)
def test_a_cell_that_is_no_label(kind: type[TargetKind], cell: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind.corrected(cell, NAMES)


def test_a_class() -> None:
    answers = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32)
    scores, said = ClassTarget(classes=NAMES).doubts(answers, np.array([0, 0]))
    assert scores == pytest.approx([0.25, 0.85])
    assert said == ["cat", "dog"]


def test_several_labels() -> None:
    answers = np.array([[0.9, 0.2, 0.1], [0.9, 0.2, 0.1]], dtype=np.float32)
    targets = np.array([[1, 0, 0], [1, 0, 1]], dtype=np.uint8)
    scores, said = LabelsTarget(classes=NAMES).doubts(answers, targets)
    assert scores == pytest.approx([0.2, 0.9])
    assert said == ["cat", "cat"]


def test_numbers() -> None:
    one = NumberTarget(name="price", mean=0.0, std=2.0)
    scores, said = one.doubts(np.array([1.0, 5.0], dtype=np.float32), np.array([1.5, 1.0], dtype=np.float32))
    assert (scores.tolist(), said) == ([0.25, 2.0], ["1", "5"])
    both = VectorTarget(name="at", mean=[0.0, 0.0], std=[1.0, 10.0])
    scores, said = both.doubts(np.array([[1.0, 20.0]], dtype=np.float32), np.array([[0.5, 0.0]], dtype=np.float32))
    assert (scores.tolist(), said) == ([2.0], ["1; 20"])


def test_a_mask_is_judged_where_it_counts() -> None:
    target = MaskTarget(classes=NAMES, shape=[1, 2], colours=default_colours(3))
    answers = np.array([[[[0.8, 0.1]], [[0.1, 0.8]], [[0.1, 0.1]]]], dtype=np.float32)
    masks = np.array([[[0, NO_PIXEL]], [[0, 0]], [[NO_PIXEL, NO_PIXEL]]], dtype=np.uint8)
    scores, said = target.doubts(answers.repeat(3, axis=0), masks)
    assert scores == pytest.approx([0.2, 0.55, 0.0], abs=1e-6)
    assert said[0].startswith("cat 50.0% of the pixels")


def test_the_most_doubtful_word_counts() -> None:
    target = TagsTarget(classes=["O", "B-X"], length=3)
    answers = np.array([[[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]], dtype=np.float32)
    scores, said = target.doubts(answers, np.array([[0, NO_WORD, 0]]))
    assert scores == pytest.approx([0.8])
    assert said == ["word 2: B-X (given: O)"]
    assert target.doubts(answers, np.array([[0, NO_WORD, 1]]))[1] == ["word 2: B-X (given: B-X)"]


def test_every_other_kind_says_that_it_has_no_labels() -> None:
    assert [name for name, kind in TARGETS.items() if not kind.doubted] == [
        NextTokenTarget.model_fields["kind"].default
    ]
