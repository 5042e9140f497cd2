"""Results of commands: their document, and the lines of commands that talk while they work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samebits.base.result import Said, json_text


def test_what_was_said_is_printed_at_once_and_kept() -> None:
    printed: list[str] = []
    said = Said()
    say = said.noting(printed.append)
    say("one")
    assert printed == ["one"]
    assert (list(said.lines()), said.exit_code) == ([], 0)
    assert said.ended(same=False).exit_code == 1
    assert said.json() == {"same": False, "messages": ["one"]}


def test_values_that_json_lacks() -> None:
    text = json_text({"a": float("nan"), "b": (1, float("inf")), "c": Path("x/y"), "d": {1: True}, "e": "µ"})
    assert json.loads(text) == {"a": None, "b": [1, None], "c": "x/y", "d": {"1": True}, "e": "µ"}
    with pytest.raises(TypeError, match="object has no form in JSON"):
        json_text({"a": object()})
