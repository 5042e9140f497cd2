"""What a sweep tries: a list of values or a range for each parameter, and the point of a trial's number.

Grid and random points are functions of (seed, number), so that a sweep that was killed, or that several machines
share, tries the same points as one that was not.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from pydantic import Field

from samebits.base.nested import value_at
from samebits.params.section import Section

LARGEST_GRID = 10_000
_DIGITS = 6


class Range(Section):
    """A range of numbers, both ends included.

    Attributes:
        log: spread evenly over orders of magnitude.
        step: only low, low + step, …
        points: in a grid, so many values from low to high.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = Field(default=None, gt=0.0)
    points: int | None = Field(default=None, ge=2)


@dataclass(frozen=True)
class Dimension:
    """One parameter, or one section.

    Attributes:
        key: as `train.optimizer.lr`, or `train.optimizer` for whole sections.
        choices: the values to choose from, mappings for a section; empty for a range.
        whole: whether a range is of whole numbers.
    """

    key: str
    choices: tuple[Any, ...] = ()
    range: Range | None = None
    whole: bool = False

    def steps(self) -> int:
        """How often `step` (1 without one) fits between low and high."""
        assert self.range is not None
        return math.floor((self.range.high - self.range.low) / (self.range.step or 1.0) + 1e-9)

    def highest(self) -> float:
        """The value of the last step, where `step` is given; else the range's end."""
        assert self.range is not None
        if self.range.step is None:
            return self.range.high
        # In decimal, as Optuna reckons: 6 * 0.05 is 0.30000000000000004 in floats, no multiple of 0.05 to it.
        return float(Decimal(str(self.range.low)) + self.steps() * Decimal(str(self.range.step)))

    def grid(self) -> list[Any]:
        """The values of a grid, in order."""
        if self.range is None:
            return list(self.choices)
        low, high = self.range.low, self.range.high
        if self.range.points is not None:
            spaced = np.geomspace if self.range.log else np.linspace
            return list(
                dict.fromkeys(self.round_to_digits(float(value)) for value in spaced(low, high, self.range.points))
            )
        step = self.range.step or 1.0
        return [self.round_to_digits(low + index * step) for index in range(self.steps() + 1)]

    def ends(self) -> list[Any]:
        """The values that validation has to see: all choices, or both ends."""
        return (
            list(self.choices)
            if self.range is None
            else [self.round_to_digits(self.range.low), self.round_to_digits(self.range.high)]
        )

    def draw(self, uniform: float) -> Any:
        """The value at a share in [0, 1) of the choices or the range."""
        if self.range is None:
            return self.choices[int(uniform * len(self.choices))]
        low, high = self.range.low, self.range.high
        if self.range.step is not None or (self.whole and not self.range.log):
            step = self.range.step or 1.0
            return self.round_to_digits(low + int(uniform * (self.steps() + 1)) * step)
        if self.range.log:
            return self.round_to_digits(math.exp(math.log(low) + uniform * (math.log(high) - math.log(low))))
        return self.round_to_digits(low + uniform * (high - low))

    def round_to_digits(self, value: float) -> int | float:
        """At most six significant digits, and inside the range: `lr=0.0316228` can be read and typed."""
        assert self.range is not None
        if self.whole:
            return int(min(max(round(value), self.range.low), self.range.high))
        return min(max(float(f"{value:.{_DIGITS}g}"), self.range.low), self.range.high)

    def coded(self) -> list[str]:
        """The choices as JSON texts: Optuna keeps texts and numbers, but not lists."""
        return [json.dumps(choice) for choice in self.choices]

    def describe(self) -> dict[str, Any]:
        """Plain values, to be compared with those of the sweep's beginning."""
        return {"choices": list(self.choices)} if self.range is None else self.range.model_dump()


Point = dict[str, Any]
"""Parameter to value."""


def grid_size(dimensions: list[Dimension]) -> int:
    return math.prod(len(dimension.grid()) for dimension in dimensions)


def combinations(dimensions: list[Dimension], of: Callable[[Dimension], list[Any]]) -> Iterator[Point]:
    """Every combination of the values; the last parameter changes fastest."""
    keys = [dimension.key for dimension in dimensions]
    for values in itertools.product(*(of(dimension) for dimension in dimensions)):
        yield dict(zip(keys, values, strict=True))


def grid_point(dimensions: list[Dimension], number: int) -> Point:
    """The combination of this number, as `combinations` counts them."""
    point: Point = {}
    for dimension in reversed(dimensions):
        values = dimension.grid()
        number, index = divmod(number, len(values))
        point[dimension.key] = values[index]
    return {dimension.key: point[dimension.key] for dimension in dimensions}


def random_point(dimensions: list[Dimension], seed: int, number: int) -> Point:
    """The point of this number: Philox keyed by (seed, number), one draw a dimension."""
    draws = np.random.Generator(np.random.Philox(key=[seed, number])).random(len(dimensions))
    return {dimension.key: dimension.draw(float(draw)) for dimension, draw in zip(dimensions, draws, strict=True)}


def override(value: Any) -> str:
    """A value as `dvc exp run -S key=VALUE` takes it (OmegaConf's grammar; lists are flow style)."""
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ",".join(override(each) for each in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{override(each)}" for key, each in value.items()) + "}"
    text = str(value)
    plain = text.replace("_", "").replace("-", "").replace(".", "").isalnum() and not text[0].isdigit()
    if plain and text.lower() not in ("null", "true", "false", "nan", "inf"):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def overrides(params: Mapping[str, Any], point: Mapping[str, Any]) -> list[str]:
    """What `dvc exp run` is given with `-S` to make a point of these parameters.

    A whole section as a value takes the section's place: keys that it does not have are taken out. By itself, `-S`
    would merge the two.
    """
    found: list[str] = []
    for key, value in point.items():
        found += _replacing(key, value_at(params, key), value)
    return found


def _replacing(key: str, old: Any, new: Any) -> Iterator[str]:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        yield f"{key}={override(new)}"
        return
    yield from (f"~{key}.{each}" for each in old if each not in new)
    for each, value in new.items():
        if each in old:
            yield from _replacing(f"{key}.{each}", old[each], value)
        else:
            yield f"+{key}.{each}={override(value)}"


Method = Literal["grid", "random", "tpe"]


def put(params: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested parameters with values put at their dotted keys, all of which exist."""
    copied: dict[str, Any] = json.loads(json.dumps(params, default=str))
    for key, value in point.items():
        *sections, last = key.split(".")
        here = copied
        for section in sections:
            here = here[section]
        here[last] = value
    return copied
