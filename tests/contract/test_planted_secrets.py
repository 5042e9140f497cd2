"""The pre-commit check against credentials planted where they get in by accident."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.workspace import ROOT

NOTEBOOK = {"cells": [{"source": ["import os\n", "x = 1"], "outputs": [{"text": ["password: planted-77\n"]}]}]}

PLANTED = {
    ".dvc/config": "['remote \"team\"']\n    url = s3://bucket\n    secret_access_key = short\n",
    "sub/.dvc/config": "['remote \"team\"']\n    url = webdav://ann:" + "planted-77@dav.org/x\n",
    "params.yaml": "seed: 1\ntracking:\n  password: planted-77\n",
    "recipes/mine.yaml": "api_key: planted-77-abc\n",
    "notebooks/try.ipynb": json.dumps(NOTEBOOK),
    "uncommitted.patch": "+++ b/x.py\n+secret_key = 'planted-77-abc'\n",
    "code.py": "KEY = 'AKIA" + "ABCDEFGHIJKLMNOP'\n",
    ".env": "AWS_SECRET_ACCESS_KEY=planted77abcdef\n",
}


def check(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "check_commit.py"), "secrets", str(path)], capture_output=True, text=True
    )


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_credential_is_refused_and_not_repeated(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PLANTED[name])
    done = check(path)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "planted-77" not in done.stderr
    assert "planted77" not in done.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".dvc/config", "[core]\n    remote = team\n['remote \"team\"']\n    url = s3://bucket/path\n"),
        ("params.yaml", "model:\n  tokens: 1024\n  name: convnet2024\n"),
        ("notebooks/try.ipynb", json.dumps({"cells": [{"source": "print(1)", "outputs": []}]})),
        ("code.py", "password = options['password1']\n"),
    ],
)
def test_what_holds_none_passes(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert check(path).returncode == 0
