"""The learning rate as a function of the step."""

from __future__ import annotations

import pytest

from samebits.params.train import ScheduleParams
from samebits.training.optim.schedules import lr_multiplier, open_steps, parting_step

SHAPES = ["linear", "cosine", "constant", "wsd"]


@pytest.mark.parametrize("name", SHAPES)
def test_warms_up_to_the_peak_and_never_starts_at_zero(name: str) -> None:
    settings = ScheduleParams(name=name, warmup=0.1)  # type: ignore[arg-type]
    rates = [lr_multiplier(settings, step, 100) for step in range(10)]
    assert rates == pytest.approx([(step + 1) / 10 for step in range(10)])


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("final", [0.0, 0.1])
def test_falls_to_the_final_share(name: str, final: float) -> None:
    settings = ScheduleParams(name=name, warmup=0.2, final=final)  # type: ignore[arg-type]
    rates = [lr_multiplier(settings, step, 50) for step in range(10, 50)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(final, abs=1e-12)


def test_linear_and_cosine_meet_half_way() -> None:
    linear = lr_multiplier(ScheduleParams(name="linear", warmup=0.0), 49, 100)
    cosine = lr_multiplier(ScheduleParams(name="cosine", warmup=0.0), 49, 100)
    assert linear == pytest.approx(0.5)
    assert cosine == pytest.approx(0.5)


def test_constant_stays() -> None:
    settings = ScheduleParams(name="constant", warmup=0.0)
    assert {lr_multiplier(settings, step, 20) for step in range(20)} == {1.0}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("warmup", [0.0, 0.99])
def test_a_single_step_has_a_rate(name: str, warmup: float) -> None:
    assert 0.25 <= lr_multiplier(ScheduleParams(name=name, warmup=warmup), 0, 1) <= 1.0  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("total", range(1, 10))
def test_a_short_training_loses_no_update(name: str, total: int) -> None:
    settings = ScheduleParams(name=name)  # type: ignore[arg-type]
    rates = [lr_multiplier(settings, step, total) for step in range(total)]
    assert min(rates) > 0.02
    assert rates == sorted(rates, reverse=True)


def test_a_short_training_ends_at_the_rate_that_was_asked_for() -> None:
    assert lr_multiplier(ScheduleParams(name="linear", warmup=0.0, final=0.5), 0, 1) == 0.5


def test_a_long_training_ends_at_0() -> None:
    assert lr_multiplier(ScheduleParams(name="linear", warmup=0.0), 9, 10) == 0.0


def test_wsd_stays_and_then_falls_over_its_share() -> None:
    settings = ScheduleParams(name="wsd", warmup=0.1, decay=0.2, final=0.5)
    rates = [lr_multiplier(settings, step, 100) for step in range(100)]
    assert set(rates[10:80]) == {1.0}
    assert rates[80:] == pytest.approx([1.0 - 0.5 * (k + 1) / 20 for k in range(20)])


def test_wsd_without_room_to_stay_falls_at_once() -> None:
    settings = ScheduleParams(name="wsd", warmup=0.5, decay=1.0)
    rates = [lr_multiplier(settings, step, 20) for step in range(20)]
    assert rates[9] == 1.0
    assert rates[10:] == pytest.approx([1.0 - (k + 1) / 10 for k in range(10)])


@pytest.mark.parametrize("name", SHAPES)
def test_a_warm_up_in_steps_is_as_long_for_any_number_of_steps(name: str) -> None:
    settings = ScheduleParams(name=name, warmup_steps=4)  # type: ignore[arg-type]
    for total in (3, 10, 1000):
        rates = [lr_multiplier(settings, step, total) for step in range(min(total, 4))]
        assert rates == [0.25, 0.5, 0.75, 1.0][:total]


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"name": "constant", "warmup_steps": 4}, 100), ({"name": "constant", "warmup": 0.0}, 100),
        ({"name": "constant", "warmup": 0.1}, 0), ({"name": "wsd", "warmup_steps": 4, "decay": 0.2}, 80),
        ({"name": "wsd", "warmup": 0.1, "decay": 0.2}, 0), ({"name": "wsd", "warmup_steps": 90, "decay": 0.2}, 90),
        ({"name": "linear", "warmup_steps": 4}, 4), ({"name": "cosine", "warmup": 0.1}, 0),
        ({"name": "constant", "warmup_steps": 1000}, 100), ({"name": "wsd", "warmup": 0.0, "decay": 1.0}, 0),
    ],
)  # fmt: skip
def test_the_steps_up_to_which_any_longer_training_has_the_same_rates(settings: dict[str, object], steps: int) -> None:
    schedule = ScheduleParams.model_validate(settings)
    assert open_steps(schedule, 100) == steps
    for longer in (101, 150, 1000):
        assert parting_step(schedule, 100, schedule, longer) >= steps
    # It is the last such step.
    assert parting_step(schedule, 100, schedule, 10**4) == steps


def test_two_schedules_part_at_the_first_rate_that_differs() -> None:
    constant = ScheduleParams(name="constant", warmup_steps=4)
    wsd = ScheduleParams(name="wsd", warmup_steps=4, decay=0.2)
    assert parting_step(constant, 50, wsd, 100) == 50
    assert parting_step(constant, 100, wsd, 100) == 80
    assert parting_step(constant, 100, ScheduleParams(name="constant", warmup_steps=5), 100) == 0
    assert parting_step(wsd, 100, wsd, 50) == 40
