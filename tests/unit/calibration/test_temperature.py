"""The fitted temperature is the one with the least log loss, whatever the order, or there is none."""

from __future__ import annotations

import numpy as np
import pytest

from samebits.calibration.rows import Rows
from samebits.calibration.temperature import fit_temperature


def drawn(temperature: float, samples: int = 20_000, classes: int = 5) -> Rows:
    """Logits, and classes that are drawn from softmax(logits / temperature)."""
    random = np.random.Generator(np.random.Philox(7))
    logits = 3.0 * random.standard_normal((samples, classes))
    noise = -np.log(-np.log(random.random((samples, classes))))
    return logits, (logits / temperature + noise).argmax(axis=1)


def log_loss(rows: Rows, temperature: float) -> float:
    logits, classes = rows
    scaled = logits / temperature
    of_truth = scaled[np.arange(len(classes)), classes]
    return float((np.log(np.exp(scaled).sum(axis=1)) - of_truth).mean())


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_of_the_data_is_found(temperature: float) -> None:
    rows = drawn(temperature)
    found = fit_temperature([rows])
    assert found is not None
    assert found.temperature == pytest.approx(temperature, rel=0.04)
    assert found.log_loss == pytest.approx(log_loss(rows, found.temperature), abs=1e-6)
    assert found.log_loss_before == pytest.approx(log_loss(rows, 1.0), abs=1e-6)
    for other in (0.98, 1.02):
        assert log_loss(rows, found.temperature) < log_loss(rows, other * found.temperature)


def test_parts_and_their_order_give_the_same_number() -> None:
    logits, classes = drawn(0.5, samples=3000)
    whole = fit_temperature([(logits, classes)])
    parts = [(logits[at : at + 700], classes[at : at + 700]) for at in range(0, 3000, 700)]
    assert fit_temperature(parts[::-1]) == whole


@pytest.mark.parametrize("kind", ["without a mistake", "by chance"])
def test_there_is_none_without_a_mistake_or_better_than_chance(kind: str) -> None:
    logits, classes = drawn(1.0, samples=500)
    classes = logits.argmax(axis=1) if kind == "without a mistake" else logits.argmin(axis=1)
    assert fit_temperature([(logits, classes)]) is None


def test_logits_that_overflow_are_computed_with() -> None:
    logits, classes = drawn(1.0, samples=1000)
    found = fit_temperature([(logits * 15.0 + 5000.0, classes)])
    assert found is not None
    assert found.temperature == pytest.approx(15.0, rel=0.1)
