"""The last two hooks of .pre-commit-config.yaml: credentials planted where they get in by accident, and large files."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from detect_secrets import pre_commit_hook
from detect_secrets.settings import cache_bust

from tests.helpers.workspace import ROOT, tracked_files

CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
ENTRIES = {hook["id"]: hook["entry"] for repo in CONFIG["repos"] for hook in repo["hooks"]}

AWS = "AKIA" + "ABCDEFGHIJKLMNOP"
OPTION = "['remote \"team\"']\n    url = s3://bucket\n    {} = x\n"
PLANTED = {
    ".dvc/config": OPTION.format("secret_access_key"),
    "1/.dvc/config": OPTION.format("session_token"),
    "2/.dvc/config": "['remote \"team\"']\n    url = webdav://ann:" + "planted-77@dav.org/x\n",
    "params.yaml": "seed: 1\ntracking:\n  password: planted-77\n",
    "recipes/mine.yaml": "api_key: planted-77-abc\n",
    "output.ipynb": json.dumps({"cells": [{"source": "x", "outputs": [{"text": ["password: planted-77\n"]}]}]}),
    "code.ipynb": json.dumps({"cells": [{"source": ["pass\n", 'api_key = "planted-77"\n'], "outputs": []}]}),
    "uncommitted.patch": "+++ b/x.py\n+secret_key = 'planted-77-abc'\n",  # pragma: allowlist secret
    "code.py": f"KEY = '{AWS}'\n",
    ".env": "AWS_SECRET_ACCESS_KEY=planted77abcdef\n",
    "key.txt": "-----BEGIN OPENSSH PRIVATE" + " KEY-----\n",
    "github.yaml": "token: ghp_" + "a" * 36 + "\n",
    "address.yaml": "uri: postgresql://user:planted-77" + "@db.acme.net/mlflow\n",
    "hub.md": "hf_" + "A" * 34 + "\n",
    "google.md": "AIza" + "b" * 35 + "\n",
}
CLEAN = {
    ".dvc/config": "[core]\n    remote = team\n['remote \"team\"']\n    url = s3://bucket/path\n    verify = true\n",
    "params.yaml": "model:\n  tokens: 1024\n  name: convnet2024\n",
    "empty.ipynb": json.dumps({"cells": [{"source": "print(1)", "outputs": []}]}),
    "code.py": "password = options['password1']\n",
    "meant.py": f"KEY = '{AWS}'  # pragma: allowlist secret\n",
    "address.md": "see https://example.org/a:b@c, or http://me:secret@127.0.0.1:9\n",
    "user.md": "postgresql://user@db/mlflow\n",
    "template.md": "postgresql://$USER:$PASSWORD@db/mlflow\n",
    "lock.txt": "    --hash=sha256:" + "0a" * 32 + "\n",
}


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """detect-secrets keeps its settings for the whole process, and finds the plugin from the folder it runs in."""
    monkeypatch.chdir(ROOT)
    cache_bust()
    yield
    cache_bust()


def scan(*files: Path) -> int:
    return int(pre_commit_hook.main([*shlex.split(ENTRIES["no-secrets"])[1:], *map(str, files)]))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_credential_is_refused_and_not_repeated(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, name, PLANTED[name])
    assert scan(path) == 1
    told = capsys.readouterr()
    assert str(path) in told.out
    assert "planted" not in (told.out + told.err).replace(str(tmp_path), "")


@pytest.mark.parametrize("name", CLEAN)
def test_what_holds_none_passes(name: str, tmp_path: Path) -> None:
    assert scan(written(tmp_path, name, CLEAN[name])) == 0


@pytest.mark.slow
def test_the_repository_holds_no_credential() -> None:
    assert scan(*(path.relative_to(ROOT) for path in tracked_files())) == 0


def large(folder: Path, *files: str) -> int:
    command, *options = shlex.split(ENTRIES["no-large-files"])
    program = Path(sys.executable).with_name(Path(command).name)
    return subprocess.run([program, *options, *files], cwd=folder, stdout=subprocess.DEVNULL).returncode


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes((1 << 20) + 1))
    assert large(tmp_path, path.name) == 1
    path.write_bytes(bytes(1 << 20))
    assert large(tmp_path, path.name) == 0


def test_the_repository_holds_no_large_file() -> None:
    assert large(ROOT, *(str(path.relative_to(ROOT)) for path in tracked_files())) == 0
