"""Another Python than this one, where the machine has one: the lock installs, and a training has the same bits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.tools import load
from tests.helpers.workspace import ROOT, make_workspace, outputs, run_stage, stage_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

UV = Path(sys.executable).with_name("uv")
PROBE = "import sys; assert sys.implementation.name == 'cpython'; print('%d.%d' % sys.version_info[:2])"


def other_python() -> Path | None:
    """The newest other CPython that is supported: on PATH, or of pyenv, whose own commands answer for one alone."""
    environment = load("environment")
    for minor in range(environment.NEWEST[1], environment.OLDEST[1] - 1, -1):
        found = [shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3")]
        for python in map(Path, filter(None, found)):
            done = subprocess.run([python, "-I", "-c", PROBE], capture_output=True, text=True)
            if done.stdout.strip() == f"3.{minor}" and minor != sys.version_info.minor:
                return python
    return None


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the lock, for another Python.

    CUDA's packages, which are no code of Python, are those of this environment.
    """
    base = other_python()
    if base is None:
        pytest.skip("no other supported Python on this machine")
    environment = load("environment")
    folder = tmp_path_factory.mktemp("other-python")
    variables, index = environment.for_uv()
    variables |= {"UV_LINK_MODE": "hardlink"}  # nothing is edited there
    blocks = [text for name, text in environment.blocks() if not re.fullmatch(environment.CUDA, name)]
    (folder / "lock").write_text("".join(blocks), encoding="utf-8")
    subprocess.run([UV, "venv", "--quiet", "--seed", "--python", base, folder / "env"], env=variables, check=True)
    found = folder / "env" / "bin" / "python"
    install = [UV, "pip", "install", "--quiet", "--python", found, "--no-deps", "--require-hashes", *index]
    installed = subprocess.run([*install, "-r", folder / "lock"], env=variables, capture_output=True, text=True)
    if installed.returncode and "Failed to fetch" in installed.stderr:
        pytest.skip(f"the packages for {base} cannot be had: {installed.stderr[-300:]}")
    assert installed.returncode == 0, installed.stderr
    packages = next((folder / "env" / "lib").glob("python3.*/site-packages"))
    for name in ("nvidia", "cuda", "triton"):
        here = Path(sys.prefix, "lib", f"python3.{sys.version_info.minor}", "site-packages", name)
        if here.is_dir():
            (packages / name).symlink_to(here)
    return found


def test_a_training_has_the_same_bits(python: Path, tmp_path: Path, few_mnist: Path) -> None:
    here, there = (make_workspace(tmp_path / name, few_mnist) for name in ("here", "there"))
    ran = run_stage(here, "train")
    assert ran.returncode == 0, ran.stderr
    other = subprocess.run(
        [python, "stages/train.py"], cwd=there, env=stage_environment(), capture_output=True, text=True, timeout=600
    )
    assert other.returncode == 0, other.stderr
    assert outputs(here) == outputs(there)


@pytest.mark.skipif("TEST_FULL" not in os.environ, reason="half a minute more; make test-full")
def test_unit_tests_pass(python: Path) -> None:
    """Of the layers at the bottom, which the standard library's changes meet first."""
    tests = [f"tests/unit/{name}" for name in ("base", "params")]
    ran = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(each for each in tests if (ROOT / each).is_dir())],
        cwd=ROOT,
        env=stage_environment(PYTEST_ADDOPTS=""),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
    assert " passed" in ran.stdout
