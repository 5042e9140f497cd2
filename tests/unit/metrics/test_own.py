"""A metric of the user's own has the number and the interval that one of ours has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.metrics.bootstrap import Interval
from samebits.metrics.classification import METRICS, Predictions, predictions_from_logits
from samebits.metrics.metric import measure
from samebits.metrics.own import OwnMetric, own_metrics
from samebits.metrics.own_interval import as_metric
from samebits.params.own import OwnPart

CODE = """
import numpy as np
class Right:
    name, better = "right", "higher"
    def __call__(self, predictions, targets):
        return predictions.argmax(axis=1) == targets
class Share(Right):
    name = "share"
    def __call__(self, predictions, targets):
        return super().__call__(predictions, targets).mean()
class Fails(Right):
    name = "fails"
    def __call__(self, predictions, targets):
        if len(set(targets)) < 2:
            raise ValueError("only one class")
        return targets.mean()
class Undefined(Right):
    name = "undefined"
    def __call__(self, predictions, targets):
        return float("nan")
class Nameless:
    better = "lower"
class Spaced(Right):
    name = "my cost"
class Ours(Right):
    name = "accuracy"
class TopTwo(Right):
    name = "top_2_accuracy"
class Endless(Right):
    better = None
class Silent:
    name, better = "silent", "lower"
class Pair(Right):
    def __call__(self, predictions, targets):
        return 1.0, 2.0
class Text(Right):
    def __call__(self, predictions, targets):
        return "good"
class Writes(Right):
    def __call__(self, predictions, targets):
        predictions[:] = 0
def function(predictions, targets):
    return 1.0
"""


@pytest.fixture(autouse=True)
def _code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "mine.py").write_text(CODE)


def own(*names: str) -> tuple[OwnMetric, ...]:
    return own_metrics([OwnPart(file="custom/mine.py", class_name=name) for name in names])


def predictions(count: int = 40) -> Predictions:
    random = np.random.default_rng(0)
    return predictions_from_logits(random.normal(size=(count, 3)), random.integers(0, 3, count))


def test_the_interval_is_that_of_ours() -> None:
    found = measure([*METRICS, *map(as_metric, own("Right", "Share"))], predictions(), bootstrap=50)
    for name in ("right", "share"):
        assert found.values[name] == found.values["accuracy"]
        assert found.intervals[name] == found.intervals["accuracy"]


def test_resamples_that_it_fails_for_are_left_out() -> None:
    random = np.random.default_rng(0)
    few = predictions_from_logits(random.normal(size=(3, 3)), np.array([0, 0, 1]))
    found = measure([as_metric(each) for each in own("Fails", "Undefined")], few, bootstrap=50)
    assert found.values == {"fails": 1 / 3, "undefined": None}
    assert found.intervals == {"fails": Interval(1 / 3, 2 / 3)}  # 0 and 1 are undefined


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Nameless", "Nameless of custom/mine.py has no name"),
        ("Spaced", "has the name 'my cost'"),
        ("Ours", "has the name accuracy, which a metric of samebits has"),
        ("TopTwo", "has the name top_2_accuracy, which"),
        ("Endless", "does not say which end is better"),
        ("Silent", "Silent of custom/mine.py cannot be called"),
        ("function", "function of custom/mine.py has no name"),
    ],
)
def test_what_is_no_metric(name: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        own(name)
    assert caught.value.fix


def test_one_name_twice_is_refused() -> None:
    with pytest.raises(UserError, match="more than one of the name right"):
        own("Right", "Right")


@pytest.mark.parametrize(
    ("name", "problem"),
    [("Pair", r"Pair of custom/mine.py gives float64 \[2\] for 40 samples"), ("Text", "gives <U4")],
)
def test_what_is_no_number(name: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        own(name)[0].of(*predictions().pair)


def test_it_cannot_change_what_the_others_are_computed_of() -> None:
    given: tuple[Any, Any] = predictions().pair
    with pytest.raises(ValueError, match="read-only"):
        own("Writes")[0].of(*given)
