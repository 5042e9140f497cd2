"""Names to modules: loaded only when used, and an unknown name is told the nearest known one."""

from __future__ import annotations

import sys

import pytest

from samebits.base.errors import UserError
from samebits.base.registry import load_module, nearest

KNOWN = {"tools": "tabnanny", "convnet": "no.such.module", "convnext": "neither.this"}


def test_only_the_module_that_is_named_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    nearest("tools", list(KNOWN))
    assert "tabnanny" not in sys.modules
    assert load_module("model", "tools", KNOWN) is sys.modules["tabnanny"]


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(UserError) as error:
        load_module("model", "convmet", KNOWN)
    assert error.value.problem == "'convmet' is no model"
    assert error.value.fix == "did you mean convnet? known: convnet, convnext, tools"


def test_nothing_is_guessed_for_a_name_like_none() -> None:
    with pytest.raises(UserError) as error:
        load_module("task", "zzzz", KNOWN)
    assert error.value.fix.startswith("known: ")


@pytest.mark.parametrize(("name", "found"), [("minst", "mnist"), ("fashion-mnist", "fashion_mnist"), ("qq", None)])
def test_nearest(name: str, found: str | None) -> None:
    assert nearest(name, ["mnist", "fashion_mnist"]) == found
