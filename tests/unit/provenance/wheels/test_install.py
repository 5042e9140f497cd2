"""Where an environment may be made, and what is left of one that could not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.provenance.wheels import install
from samebits.provenance.wheels.install import Fetched, install_environment, require_free
from samebits.provenance.wheels.kept import Kept
from samebits.provenance.wheels.lock import LOCK, lock_of
from tests.helpers.wheels import lock_text, make_wheel

FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


@pytest.fixture
def fetched(tmp_path: Path) -> Fetched:
    """One wheel, and its lock in the workspace `code`."""
    wheel = make_wheel(tmp_path / "index", "alpha", "1.0")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / LOCK).write_text(lock_text([wheel]))
    return Fetched(lock_of(tmp_path / "code", None), Kept("c" * 40, ()), {wheel.name: wheel}, online=False)


def make_python(folder: Path, script: str) -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return python


def test_pip_sees_the_kept_files_and_no_setting_of_the_users(
    fetched: Fetched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.acme.net/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/elsewhere")
    said = tmp_path / "said"
    script = f'echo "$@" >> {said}; env >> {said}; for w in "$@"; do [ -d "$w" ] && ls "$w" >> {said}; done; true'
    monkeypatch.setattr(install, "_create", lambda target: make_python(target, script))
    lines: list[str] = []
    install_environment(fetched, tmp_path / "code", tmp_path / "env", lines.append)
    text = said.read_text()
    assert "--no-index" in text
    assert "--require-hashes" in text
    assert "alpha-1.0-py3-none-any.whl" in text
    assert "PIP_CONFIG_FILE=/dev/null" in text
    assert "acme" not in text
    assert "elsewhere" not in text
    assert "1 files, each by its hash" in lines[-1]


def test_a_project_is_told_how_samebits_comes_into_its_environment(
    fetched: Fetched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_create", lambda target: make_python(target, "true"))
    (tmp_path / "code" / "requirements.txt").write_text("samebits==1.0\n")
    lines: list[str] = []
    install_environment(fetched, tmp_path / "code", tmp_path / "env", lines.append)
    assert lines[-1].startswith("samebits itself is not among them: ")
    assert lines[-1].endswith(f"-m pip install --no-deps -r {tmp_path / 'code' / 'requirements.txt'}")


def test_an_environment_that_cannot_be_finished_is_removed(
    fetched: Fetched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"echo Collecting alpha; echo '{FULL}'; exit 1"
    monkeypatch.setattr(install, "_create", lambda target: make_python(target, script))
    with pytest.raises(UserError) as raised:
        install_environment(fetched, tmp_path / "code", tmp_path / "env", print)
    assert raised.value.problem == f"cannot install requirements.lock: {FULL}"
    assert "disk" in raised.value.fix
    assert not (tmp_path / "env").exists()


def test_a_lock_that_was_edited_for_the_run_is_not_the_one_that_was_kept(fetched: Fetched, tmp_path: Path) -> None:
    with (tmp_path / "code" / LOCK).open("a") as file:
        file.write("# edited\n")
    with pytest.raises(UserError, match="uncommitted changes of the run"):
        install_environment(fetched, tmp_path / "code", tmp_path / "env", print)
    assert not (tmp_path / "env").exists()


def test_it_is_made_where_nothing_lies(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty", "code/.venv"):
        require_free(tmp_path / name, code)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("full", "full/x", "link", "code", "."):
        with pytest.raises(UserError) as raised:
            require_free(tmp_path / name, code)
        assert "--environment" in raised.value.fix
