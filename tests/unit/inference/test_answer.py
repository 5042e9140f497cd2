"""The answer for a sample: the same for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from samebits.base.result import json_text
from samebits.inference.answer import Answer, Reading, cells_of
from samebits.inference.answer import answer_of as of_reading
from samebits.inference.calibration import Calibration
from samebits.inference.tags import Span
from samebits.signature.classes import ClassTarget
from samebits.signature.labels import LabelsTarget
from samebits.signature.mask import MaskTarget
from samebits.signature.number import NumberTarget
from samebits.signature.target_kind import TargetKind
from samebits.signature.vector import VectorTarget

CLASSES, NUMBER = ClassTarget(classes=["cat", "dog"]), NumberTarget(name="price", mean=0.0, std=1.0)
PAIR = np.array([0.25, 0.75], np.float32)
SPAN = Span(0, 3, "Ann", "PER", 0.9)


def answer_of(name: str, given: Any, target: TargetKind, top: int, notes: Sequence[str] = ()) -> Answer:
    return of_reading(name, given, Reading(target, top), notes)


def test_notes_stand_below_the_answer() -> None:
    assert answer_of("a.png", PAIR, CLASSES, 1, ["dark"]).lines() == ["a.png: dog 75.0%", "  note: dark"]


def test_an_error_stands_in_the_place_of_the_answer() -> None:
    failed = Answer("a.png", error="it is empty")
    assert failed.lines() == ["a.png: error: it is empty"]
    assert (failed.json()["error"], answer_of("a", PAIR, CLASSES, 1).json()["error"]) == ("it is empty", None)


def test_programs_get_the_digits_that_float32_holds() -> None:
    third = np.array([1 / 3, 2 / 3], np.float32)
    assert [each["probability"] for each in answer_of("a", third, CLASSES, 2).json()["classes"]] == [0.6667, 0.3333]
    assert answer_of("a", np.float32(1 / 3e4), NUMBER, 1).json()["values"] == [3.3333e-05]
    assert answer_of("a", np.float32(345678), NUMBER, 1).shown == "price 345680"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("price", "price 1.5"), ("price [EUR]", "price 1.5 EUR"), ("speed (km/h)", "speed 1.5 km/h"),
        ("label[0]", "label[0] 1.5"), ("[EUR]", "[EUR] 1.5"), ("area[m2]", "area 1.5 m2"),
    ],
)  # fmt: skip
def test_a_number_has_the_unit_of_its_column(name: str, shown: str) -> None:
    number = NumberTarget(name=name, mean=0.0, std=1.0)
    vector = VectorTarget(name="v", names=[name], mean=[0.0], std=[1.0])
    assert answer_of("a", np.float32(1.5), number, 1).shown == shown
    assert answer_of("a", np.array([1.5], np.float32), vector, 1).shown == shown


def test_answers_have_numbers_not_texts() -> None:
    of_class = answer_of("a", PAIR, CLASSES, 1).json()
    assert of_class["classes"] == [{"label": "dog", "probability": 0.75}]
    assert of_class["values"] == []
    assert answer_of("a", np.float32(0.1), NUMBER, 1).json()["values"] == [0.1]
    (span,) = json.loads(json_text(Answer("a", spans=(SPAN,)).json()))["spans"]
    assert span == {"begin": 0, "end": 3, "text": "Ann", "label": "PER", "probability": 0.9}


@pytest.mark.parametrize(
    ("target", "shape"),
    [
        (ClassTarget(classes=["cat", "dog", "eel"]), (3,)),
        (LabelsTarget(classes=["cat", "dog"]), (2,)),
        (NUMBER, ()),
        (VectorTarget(name="at", mean=[0.0, 0.0], std=[1.0, 1.0], names=["x", "name"]), (2,)),
        (MaskTarget(classes=["a", "b"], shape=[3, 4], colours=[[0, 0, 0], [255, 255, 255]]), (2, 3, 4)),
    ],
    ids=lambda each: getattr(each, "kind", None),
)
def test_a_table_of_many_answers_says_what_each_says_alone(
    target: TargetKind, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = np.random.default_rng(0).random((40, *shape), dtype=np.float32)
    answers[:5] = answers[0]
    if target.labels and target.one_class:
        answers[7] = 1 / 3  # the first class, of equal ones
    one_class = target.one_class
    calibration = Calibration(
        weights_sha256="0" * 64,
        samples=9,
        coverage=0.9 if one_class or not target.labels else None,
        set_probability=0.5 if one_class else None,
        ood_threshold=0.9 if one_class else None,
        half_widths=None if target.labels else [1.0] * int(np.prod(shape)),
    )
    reading = Reading(target, 3, 2, calibration)
    scores = calibration.ood_scores_of(list(answers))
    made = [
        of_reading(str(k), each, reading, ood_score=score)
        for k, (each, score) in enumerate(zip(answers, scores, strict=True))
    ]
    made[3:3] = [Answer("bad", error="it is empty"), Answer("tagged", more={next(iter(reading.names)): "more"})]
    names = [*reading.names, "other"]
    monkeypatch.setattr("samebits.inference.answer._AT_ONCE", 7 * max(1, int(np.prod(shape))))
    rows = list(zip(*cells_of(made, names), strict=True))
    for answer, row in zip(made, rows, strict=True):
        cells = dict(zip(names, row, strict=True))
        assert cells.pop("other") is None
        if answer.given is None:
            assert list(cells.values()) == [answer.more.get(name) for name in reading.names]
            continue
        assert cells.pop("ood_score", None) == answer.ood_score
        if one_class:
            assert answer.ood_score == calibration.ood_score(answer.given)
            assert cells.pop("set") == "; ".join(answer.label_set)
            told = [each for pair in answer.classes[:2] for each in pair]
        elif target.kind == "labels":
            told = ["; ".join(n for n, p in zip(target.labels, answer.given, strict=True) if p > 0.5), *answer.given]
        elif target.labels:
            shares = dict(target.ranked(answer.given, 9))
            told = [shares.get(name, 0.0) for name in target.labels]
        else:
            told = [*answer.values, *(end for ends in answer.interval for end in ends)]
        assert list(cells.values()) == told
