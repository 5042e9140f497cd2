"""The answer for a sample: the same for people and for programs."""

from __future__ import annotations

import json

import numpy as np

from samebits.base.result import json_text
from samebits.inference.answer import Answer, Answers, answer_of
from samebits.inference.tags import Span
from samebits.signature.classes import ClassTarget
from samebits.signature.number import NumberTarget

CLASSES, NUMBER = ClassTarget(classes=["cat", "dog"]), NumberTarget(name="price", mean=0.0, std=1.0)
PAIR = np.array([0.25, 0.75], np.float32)
SPAN = Span(0, 3, "Ann", "PER", 0.9)


def test_notes_stand_below_the_answer() -> None:
    assert list(Answers([answer_of("a.png", PAIR, CLASSES, 1, ["dark"])]).lines()) == [
        "a.png: dog 75.0%", "  note: dark",
    ]  # fmt: skip


def test_answers_have_numbers_not_texts() -> None:
    of_class = answer_of("a", PAIR, CLASSES, 1).json()
    assert of_class["classes"] == [{"label": "dog", "probability": 0.75}]
    assert of_class["values"] == ()
    assert answer_of("a", np.float32(0.1), NUMBER, 1).json()["values"] == (0.1,)
    (span,) = json.loads(json_text(Answer("a", "", spans=(SPAN,)).json()))["spans"]
    assert span == {"begin": 0, "end": 3, "text": "Ann", "label": "PER", "probability": 0.9}
