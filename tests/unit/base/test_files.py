"""Atomic writes and canonical JSON."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.files import json_bytes, read_json, remove_unfinished, sha256_file, write_bytes, write_json


def test_json_does_not_depend_on_the_order_of_keys() -> None:
    assert json_bytes({"b": 1, "a": [2.5]}) == json_bytes({"a": [2.5], "b": 1})
    assert json_bytes({"ü": 1}).endswith(b"\n")


def test_json_refuses_what_strict_readers_refuse() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes({"a": float("nan")})


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"old": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(file, {"new": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert read_json(file) == {"old": 1}


def test_what_a_killed_writer_left_can_be_removed(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from samebits.base.files import write_bytes\n"
        "os.replace = lambda *_: os._exit(9)\n"
        "write_bytes(pathlib.Path(sys.argv[1]) / 'metrics.json', b'{}')\n"
    )
    source = Path(__file__).parents[3] / "src"
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=source).returncode == 9
    kept = tmp_path / "kept.tmp"
    kept.touch()
    assert len(list(tmp_path.iterdir())) == 2
    remove_unfinished(tmp_path, tmp_path / "absent")
    assert list(tmp_path.iterdir()) == [kept]


def test_folders_are_made_and_hashes_are_sha256(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "x"
    write_bytes(file, b"abc")
    assert sha256_file(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_missing_and_broken_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_json(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read_json(tmp_path / "broken.json")
