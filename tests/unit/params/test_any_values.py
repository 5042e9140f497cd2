"""Whatever stands in params.yaml or in a cell, it is a value or a message."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from samebits.base.errors import UserError
from samebits.data.readers import cells
from samebits.data.readers.times import no_time
from samebits.params.schema import SECTIONS, parse_params
from tests.helpers.hostile import rounds

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.datetimes()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "optimizer", "image", "lr", "x"]) | SCALARS, inner, max_size=4)
    ),
    max_leaves=8,
)
NAMED = st.fixed_dictionaries({"name": st.sampled_from(["sgd", "adamw", "convnet", "classification"]) | VALUES})
CELLS = st.text(max_size=60) | st.from_regex(r"[-+ 0-9.,'eE:/TZ%\u00a0]{0,60}")


@settings(max_examples=rounds(40), deadline=None)
@given(st.dictionaries(st.sampled_from(["seed", "reproducibility", "task", "model", *SECTIONS]), VALUES | NAMED))
def test_any_parameters_are_taken_or_refused(raw: dict[str, Any]) -> None:
    with contextlib.suppress(UserError):
        parse_params(raw)


@settings(max_examples=rounds(100), deadline=None)
@given(CELLS, st.sampled_from([None, "%Y", "%d %b %Y", "%Y-%m-%dT%H:%M:%S%z", "%j %U %w"]))
def test_any_cell_is_a_value_or_none(cell: str, form: str | None) -> None:
    for mark in (".", ","):
        found = cells.number(cell, mark)
        assert found is None or isinstance(found, float)
        assert cells.one_text(cells.one_text(cell, mark)) == cells.one_text(cell, mark) or mark == ","
    date = cells.moment(cell)
    assert date is None or date.tzinfo is None
    assert no_time(cell) is None or isinstance(no_time(cell), str)
    cells.moment(cell, form)
