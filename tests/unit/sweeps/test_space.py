from __future__ import annotations

import math
from typing import Any

import pytest
from ruamel.yaml import YAML

from samebits.sweeps.space import Dimension, Range, combinations, grid_point, override, overrides, put, random_point

LR = Dimension("train.optimizer.lr", range=Range(low=0.001, high=1.0, log=True, points=4))
SIZE = Dimension("train.batch_size", range=Range(low=32, high=128, step=32), whole=True)
KIND = Dimension("train.precision", choices=("bf16", "fp32"))


def test_grids() -> None:
    assert LR.grid() == [0.001, 0.01, 0.1, 1.0]
    assert SIZE.grid() == [32, 64, 96, 128]
    assert all(isinstance(value, int) for value in SIZE.grid())
    tenths = Dimension("x", range=Range(low=0.0, high=0.3, step=0.1))
    assert tenths.grid() == [0.0, 0.1, 0.2, 0.3]


def test_a_points_number_is_its_place_among_the_combinations() -> None:
    dimensions = [LR, SIZE, KIND]
    listed = list(combinations(dimensions, Dimension.grid))
    assert len(listed) == 32
    assert [grid_point(dimensions, number) for number in range(32)] == listed


def test_drawn_points_depend_on_seed_and_number_alone_and_fill_the_range() -> None:
    wide = Dimension("x", range=Range(low=1e-4, high=1.0, log=True))
    dimensions = [wide, SIZE, KIND]
    points = [random_point(dimensions, 7, number) for number in range(400)]
    assert points == [random_point(dimensions, 7, number) for number in reversed(range(400))][::-1]
    assert points[0] != random_point(dimensions, 8, 0)
    logs = sorted(math.log10(point["x"]) for point in points)
    assert logs[0] > -4.0
    assert logs[-1] < 0.0
    assert abs(logs[200] + 2.0) < 0.25  # the median of a log-uniform draw, 400 of them
    assert {point["train.batch_size"] for point in points} == {32, 64, 96, 128}
    assert {point["train.precision"] for point in points} == {"bf16", "fp32"}


def test_values_have_six_digits_and_stay_inside() -> None:
    third = Dimension("x", range=Range(low=0.0, high=1 / 3))
    assert third.round_to_digits(0.123456789) == 0.123457
    assert third.round_to_digits(0.33333333) <= 1 / 3


@pytest.mark.parametrize(
    "value",
    [0.1, 1e-05, 3, -2, True, None, "bf16", "null", "1e3", "it's", "a b", "2x", [[8, 8], [16]], ["a", None], "x-1.y"],
)
def test_an_override_is_read_back_as_the_same_value(value: Any) -> None:
    from dvc.utils.hydra import to_hydra_overrides

    (parsed,) = to_hydra_overrides([f"a.b={override(value)}"])
    assert not parsed.is_sweep_override()
    got = parsed.value()
    got = str(got)[1:-1] if type(got).__name__ == "QuotedString" else got
    text = YAML(typ="safe").load(str(got)) if isinstance(got, float) else got
    unquoted = getattr(got, "text", text)
    assert unquoted == value


def test_put_leaves_the_original_alone() -> None:
    params = {"train": {"optimizer": {"lr": 1.0, "name": "sgd"}}}
    assert put(params, {"train.optimizer.lr": 2.0}) == {"train": {"optimizer": {"lr": 2.0, "name": "sgd"}}}
    assert params["train"]["optimizer"]["lr"] == 1.0


def test_a_section_takes_the_place_of_the_one_that_is_there() -> None:
    params = {"train": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}}}
    point = {"train.epochs": 3, "train.optimizer": {"name": "adamw", "lr": 1e-3, "beta1": 0.8, "x": {"a": [1, "b c"]}}}
    assert overrides(params, point) == [
        "train.epochs=3",
        "~train.optimizer.momentum",
        "train.optimizer.name=adamw",
        "train.optimizer.lr=0.001",
        "+train.optimizer.beta1=0.8",
        "+train.optimizer.x={a:[1,'b c']}",
    ]
    assert put(params, point)["train"] == {"epochs": 3, "optimizer": point["train.optimizer"]}
