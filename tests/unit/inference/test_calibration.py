"""What a calibration says of answers: intervals, sets, and how unlike the training data a sample is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.base.files import write_json
from samebits.inference.answer import Reading, answer_of
from samebits.inference.calibration import Calibration, entropy, load_calibration
from samebits.signature.classes import ClassTarget
from samebits.signature.number import NumberTarget
from samebits.signature.vector import VectorTarget

SHA = "0" * 64
TARGET = ClassTarget(classes=["cat", "dog", "eel"])
NUMBER = NumberTarget(name="price", mean=0.0, std=1.0)


def calibration(**values: Any) -> Calibration:
    return Calibration(weights_sha256=SHA, samples=500, **values)


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_score_is_the_entropy_before_the_temperature(temperature: float) -> None:
    logits = np.random.Generator(np.random.Philox(1)).normal(size=(50, 3)) * 4
    raw = softmax(logits)
    wanted = -(raw * np.log(raw)).sum(axis=1) / np.log(3)
    calibrated = softmax(logits / temperature).astype(np.float32)
    np.testing.assert_allclose(entropy(calibrated, temperature), wanted, atol=2e-5)


def test_certain_and_undecided_answers_are_the_ends_of_the_score() -> None:
    found = entropy(np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]], dtype=np.float32), 0.5)
    np.testing.assert_allclose(found, [0.0, 1.0], atol=1e-6)


def test_a_sample_above_the_threshold_gets_a_note() -> None:
    found = calibration(ood_rate=0.01, ood_threshold=0.5)
    sure, unsure = np.array([0.98, 0.01, 0.01], np.float32), np.array([0.4, 0.3, 0.3], np.float32)
    quiet = answer_of("a", sure, Reading(TARGET, 2, calibration=found), ("flat",), found.ood_score(sure))
    assert quiet.notes == ("flat",)
    assert quiet.ood_score is not None
    assert quiet.ood_score < 0.5
    told = answer_of("b", unsure, Reading(TARGET, 2, calibration=found), (), found.ood_score(unsure))
    assert told.notes == ("unlike the training data: 0.99, above 0.50",)
    assert found.are_unlike(np.stack([sure, unsure])).tolist() == [False, True]  # type: ignore[union-attr]


def test_a_set_holds_the_best_class_and_those_above_the_limit() -> None:
    found = calibration(coverage=0.9, set_probability=0.3)
    answers = np.array([[0.2, 0.45, 0.35], [0.9, 0.05, 0.05]], np.float32)
    assert [found.label_set(answer, TARGET) for answer in answers] == [("dog", "eel"), ("cat",)]
    assert found.cells(answers, TARGET, [None] * 2) == [["dog; eel", "cat"]]
    narrow = calibration(coverage=0.9, set_probability=0.999)
    assert narrow.label_set(answers[0], TARGET) == ("dog",)
    assert answer_of("a", answers[0], Reading(TARGET, 1, calibration=found), ()).shown == "dog 45.0%   (0.9: dog, eel)"


def test_a_number_has_its_interval() -> None:
    found = calibration(coverage=0.95, half_widths=[2.5])
    answer = answer_of("a", np.float32(10.0), Reading(NUMBER, 3, calibration=found), ())  # type: ignore[arg-type]
    assert answer.interval == ((7.5, 12.5),)
    assert answer.shown == "price 10   (0.95: 7.5 to 12.5)"
    assert answer.json()["interval"] == [[7.5, 12.5]]
    assert found.columns(NUMBER) == {"low": "number", "high": "number"}
    assert found.cells(np.array([10.0, 0.0], np.float32), NUMBER, [None] * 2) == [[7.5, -2.5], [12.5, 2.5]]


def test_each_number_of_a_vector_has_its_own() -> None:
    target = VectorTarget(name="place", mean=[0.0, 0.0], std=[1.0, 1.0], names=["x", "y"])
    found = calibration(coverage=0.9, half_widths=[1.0, 20.0])
    assert found.interval(np.array([5.0, 100.0], np.float32)) == ((4.0, 6.0), (80.0, 120.0))
    assert list(found.columns(target)) == ["low of x", "high of x", "low of y", "high of y"]
    answers = np.array([[5.0, 100.0], [6.0, 0.0]], np.float32)
    assert found.cells(answers, target, [None] * 2) == [[4.0, 5.0], [6.0, 7.0], [80.0, -20.0], [120.0, 20.0]]


def test_without_a_calibration_nothing_is_said() -> None:
    answer = answer_of("a", np.array([0.4, 0.3, 0.3], np.float32), Reading(TARGET, 1))
    assert (answer.interval, answer.label_set, answer.ood_score, answer.notes) == ((), (), None, ())
    empty = calibration()
    assert (empty.columns(TARGET), empty.cells(np.array([[0.4, 0.3, 0.3]]), TARGET, [None])) == ({}, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_sha256": "1" * 64}, "fitted to weights 1111111111111111, the checkpoint holds 0000000000000000"),
        ({"temperature": 0.0}, "is not what evaluate writes"),
        ({"temperature": float("inf")}, "is not what evaluate writes"),
        ({"format_version": 9}, "has format 9, this code reads 1"),
        ({"colour": 1}, "is not what evaluate writes"),
    ],
)
def test_a_file_that_is_not_the_weights_own_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    values = calibration(temperature=0.5).model_dump() | change
    if change.get("temperature") == float("inf"):
        path.write_text(f'{{"format_version": 1, "weights_sha256": "{SHA}", "samples": 1, "temperature": 1e999}}')
    else:
        write_json(path, values)
    with pytest.raises(UserError, match=message):
        load_calibration(path, SHA)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert load_calibration(path, SHA) is None
    found = calibration(temperature=0.5, coverage=0.9, half_widths=[1.0], reasons={"sets": "none"})
    write_json(path, found.model_dump())
    assert load_calibration(path, SHA) == found


@pytest.mark.parametrize(
    ("values", "target", "fits"),
    [
        ({"coverage": 0.9, "half_widths": [1.0]}, NUMBER, True),
        ({"coverage": 0.9, "half_widths": [1.0, 2.0]}, NUMBER, False),
        ({"coverage": 0.9, "half_widths": [1.0]}, TARGET, False),
        ({"coverage": 0.9, "set_probability": 0.5}, NUMBER, False),
        ({"ood_rate": 0.1, "ood_threshold": 0.5}, TARGET, True),
        ({"temperature": 0.5}, TARGET, True),
    ],
)
def test_numbers_of_another_kind_of_target_are_a_problem(values: dict[str, Any], target: Any, fits: bool) -> None:
    assert (calibration(**values).problem(target) == "") == fits
