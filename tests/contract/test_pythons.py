"""requirements.lock serves each supported Python: by its markers here; by an index's wheels in `make test-full`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.helpers.tools import load
from tests.helpers.workspace import ROOT

ENVIRONMENT = load("environment")
PYTHONS = [f"3.{minor}" for minor in range(ENVIRONMENT.OLDEST[1], ENVIRONMENT.NEWEST[1] + 1)]
LOCKED = [Requirement(text.splitlines()[0].rstrip("\\ ")) for _, text in ENVIRONMENT.blocks()]

UV = Path(sys.executable).with_name("uv")
LOCK = ROOT / "requirements.lock"
COMPILE = ["pip", "compile", "--quiet", "--no-deps", "--python-platform", "x86_64-manylinux_2_28"]
COMPILE += ["--only-binary", ":all:", "--no-binary", ENVIRONMENT.SOURCE_ONLY]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_the_same_packages_for_each_python(python: str) -> None:
    """Another set would be other bits, or a package that fails to import on one of them alone."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    left_out = {each.name for each in LOCKED if each.marker and not each.marker.evaluate(environment)}
    oldest = environment | {"python_version": PYTHONS[0], "python_full_version": f"{PYTHONS[0]}.0"}
    assert left_out == {each.name for each in LOCKED if each.marker and not each.marker.evaluate(oldest)}


def test_the_classifiers_name_the_supported_pythons() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r"Programming Language :: Python :: (3\.\d+)", text) == PYTHONS


def test_no_installed_package_refuses_a_supported_python() -> None:
    from importlib import metadata

    refused = []
    for each in metadata.distributions():
        wanted = SpecifierSet(each.metadata.get("Requires-Python") or "")
        refused += [f"{each.name}: {python}" for python in PYTHONS if not wanted.contains(f"{python}.9")]
    assert refused == []


@pytest.mark.slow
@pytest.mark.skipif("TEST_FULL" not in os.environ, reason="asks an index; make test-full")
@pytest.mark.parametrize("python", PYTHONS)
def test_the_index_has_a_wheel_of_each_package_for_each_python(python: str, tmp_path: Path) -> None:
    variables, index = ENVIRONMENT.for_uv()
    result = subprocess.run(
        [
            Path(sys.executable).with_name("uv"),
            *COMPILE,
            *index,
            "--python-version",
            python,
            LOCK,
            "-o",
            tmp_path / "x",
        ],
        env=variables,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
