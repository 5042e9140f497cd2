"""Names in messages: the first ones, and how many more there are."""

from __future__ import annotations

from samebits.base.errors import listed


def test_names_are_listed_up_to_a_number() -> None:
    assert listed([]) == ""
    assert listed(["a", 1]) == "a, 1"
    assert listed("abcdefgh") == "a, b, c, d, e, f, g, h"
    assert listed("abcdefghi") == "a, b, c, d, e, f, g, h and 1 more"
    assert listed(range(2_000), most=2) == "0, 1 and 1,998 more"
