"""Credentials planted where a run or a commit could pick them up; through a real run and the real hook."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.tiny import TinyRepository, make_tiny
from tests.helpers.workspace import ROOT

pytestmark = pytest.mark.slow

PLANTED = ["planted-key-EE55", "planted-token-FF66", "planted-word-GG77", "planted-patch-HH88", "planted-url-II99"]


def runs_of(tiny: TinyRepository) -> list[dict[str, Any]]:
    """The runs in MLflow, once everything is there: a process of its own sends it, and makes the store first."""
    deadline = time.monotonic() + 120
    while (done := tiny.run(sys.executable, "-m", "samebits.cli.main", "runs", "sync")).returncode:
        assert time.monotonic() < deadline, done.stdout + done.stderr
        time.sleep(1)
    return tiny.runs()


def test_a_run_records_no_credential(tmp_path: Path) -> None:
    """In the environment, in .dvc/config.local, in an uncommitted file, in the address of a git remote."""
    key, token, word, patch, url = PLANTED
    tiny = make_tiny(tmp_path / "tiny")
    (tiny.folder / ".dvc" / "config.local").write_text(
        f"['remote \"team\"']\n    url = webdav://h/x\n    password = {word}\n"
    )
    (tiny.folder / "new.py").write_text(f'password = "{patch}"\n')
    tiny.git("add", "--intent-to-add", "new.py")
    tiny.git("remote", "add", "origin", f"https://ann:{url}@git.acme.net/x.git")
    environment = {"AWS_SECRET_ACCESS_KEY": key, "AWS_SESSION_TOKEN": token, "MLFLOW_TRACKING_PASSWORD": word}
    done = tiny.dvc("repro", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = runs_of(tiny)
    assert run["status"] == "FINISHED"
    assert "looks like a key" in run["tags"]["git.patch"]
    # And one that fails, whose error goes into the record, too.
    code = (tiny.folder / "tiny.py").read_text()
    error = f'raise OSError("cannot open https://ann:{url}@data.acme.net/x")'
    (tiny.folder / "tiny.py").write_text(code.replace("    for epoch in", f"    {error}\n    for epoch in"))
    failed = tiny.dvc("repro", **environment)
    assert failed.returncode != 0
    runs = runs_of(tiny)
    assert sorted(each["status"] for each in runs) == ["FAILED", "FINISHED"]
    said = "".join([done.stdout, done.stderr, failed.stdout, failed.stderr, str(runs)])
    assert [each for each in PLANTED if each in said] == []
    files = [
        path for name in (".samebits", "mlruns", "reports", "dvc.lock")
        for path in [tiny.folder / name, *(tiny.folder / name).rglob("*")] if path.is_file()
    ]  # fmt: skip
    assert any(path.name == "mlflow.db" for path in files)
    assert [str(path) for path in files for each in PLANTED if each.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".dvc/config", "['remote \"team\"']\n    url = s3://bucket\n    secret_access_key = short\n"),
        ("params.yaml", "password: planted-77-abc\n"),
        ("notebooks/try.ipynb", '{"cells": [{"source": ["api_key = \'planted-77-abc\'"], "outputs": []}]}'),
        ("uncommitted.patch", "+secret_key = 'planted-77-abc'\n"),  # pragma: allowlist secret
    ],
)
def test_the_hook_stops_the_commit(tmp_path: Path, name: str, text: str) -> None:
    if shutil.which("pre-commit", path=Path(sys.executable).parent) is None:
        pytest.skip("there is no pre-commit here: make setup")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    shutil.copy(ROOT / ".pre-commit-config.yaml", tmp_path)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path / "home"),
            "SKIP": "ruff,ruff-format,mypy",
        }  # fmt: skip
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    for command in (["init", "-q"], ["config", "user.name", "ann"], ["config", "user.email", "ann@localhost"]):
        assert run("git", *command).returncode == 0
    assert run("pre-commit", "install").returncode == 0
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert run("git", "add", name).returncode == 0
    done = run("git", "commit", "-q", "-m", "planted")
    assert done.returncode == 1, done.stdout + done.stderr
    assert name in done.stdout + done.stderr
    assert "planted-77" not in done.stdout + done.stderr
    clean = {".dvc/config": "[core]\n", "params.yaml": "a: 1\n", "notebooks/try.ipynb": "{}\n"}
    (tmp_path / name).write_text(clean.get(name, "+a = 1\n"))
    run("git", "add", name)
    done = run("git", "commit", "-q", "-m", "clean")
    assert done.returncode == 0, done.stdout + done.stderr
