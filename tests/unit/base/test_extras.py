"""Packages of extras: one message with the command that installs them."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from samebits.base import extras
from samebits.base.boundary import as_user_error
from samebits.base.extras import OPTIONAL, missing_extra


@pytest.mark.parametrize("module", sorted(OPTIONAL))
def test_a_module_that_is_not_there_names_its_extra(module: str) -> None:
    explained = missing_extra(ModuleNotFoundError("No module", name=f"{module}.part"))
    extra, package, user = OPTIONAL[module]
    assert explained is not None
    assert explained.problem == f"{user} needs the package {package}, which cannot be imported: No module"
    assert explained.fix.startswith(f"install the extra `{extra}`: {sys.executable} -m pip install ")


def test_a_plain_import_anywhere_ends_in_the_same_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        import optuna  # noqa: F401
    explained = as_user_error(caught.value, [])
    assert explained is not None
    assert explained.problem.startswith("samebits sweep needs the package optuna")


def test_a_module_of_no_extra_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_user_error(ModuleNotFoundError("No module named 'numqy'", name="numqy"), []) is None
    assert missing_extra(ImportError("x")) is None


def test_what_to_install_is_what_the_project_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=2", "optuna<5,>=4.5 ; extra == 'sweep'", "timm; extra == 'timm'", "x; extra == 'sweeps'"]
    monkeypatch.setattr(metadata, "requires", lambda _: lines)
    assert extras.requirements("sweep", "optuna") == ["optuna<5,>=4.5"]

    def none(_: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", none)
    assert extras.requirements("sweep", "optuna") == ["optuna"], "samebits is not installed, its folder is on the path"


def test_each_extra_that_a_message_names_is_one_of_the_project() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = project["optional-dependencies"]
    for extra, package, _ in OPTIONAL.values():
        assert any(line.startswith(package) for line in known[extra]), (extra, package)
