"""What others raise, as messages: the user's own code, a disk, torch's compiler; a bug of ours stays one."""

from __future__ import annotations

import errno
import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch._inductor.exc import InvalidCxxCompiler

from samebits.base.boundary import as_user_error
from samebits.base.files import write_bytes


@pytest.fixture(autouse=True)
def _roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the disk of the tests."""
    monkeypatch.setattr(os, "statvfs", lambda _: filled(1 << 20))


def filled(blocks: int, inodes: int = 9) -> Any:
    return SimpleNamespace(f_bavail=blocks, f_frsize=4096, f_files=10, f_favail=inodes)


def raised(call: Any) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        call()
    return caught.value


def test_an_error_of_ones_own_code_names_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "custom" / "mine.py"
    file.parent.mkdir()
    file.write_text("def forward(x):\n    return x + []\n")
    spec = importlib.util.spec_from_file_location("custom_mine", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = as_user_error(raised(lambda: module.forward(1)), [tmp_path])
    assert found is not None
    assert found.problem.startswith("TypeError: unsupported operand")
    assert found.problem.endswith("at custom/mine.py, line 2: return x + []")


def test_a_full_disk_is_named_by_the_file_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    found = as_user_error(raised(lambda: write_bytes(tmp_path / "model.bin", b"x")), [tmp_path])
    assert found is not None
    assert found.problem == f"no space left on the disk of {tmp_path / 'model.bin'}"
    assert "df -i" in found.fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("state", [filled(3), filled(1 << 20, inodes=0)], ids=["bytes", "inodes"])
def test_a_writer_that_does_not_say_so_on_a_full_disk(
    state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: state)
    found = as_user_error(RuntimeError("unexpected pos 64 vs 0\nat 0x1"), [tmp_path / "models"])
    assert found is not None
    assert found.problem == (
        f"no space left on the disk of {tmp_path / 'models'} (RuntimeError: unexpected pos 64 vs 0)"
    )


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_what_cannot_be_written_is_named(number: int) -> None:
    found = as_user_error(OSError(number, os.strerror(number), "reports/train"), [])
    assert found is not None
    assert found.problem == f"reports/train cannot be written or read: {os.strerror(number)}"


def test_a_missing_compiler_has_a_fix() -> None:
    found = as_user_error(InvalidCxxCompiler(), [])
    assert found is not None
    assert "torch cannot compile the model: No working C++ compiler found" in found.problem
    assert "train.compile: false" in found.fix


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), FileNotFoundError(2, "No such file", "x")])
def test_a_bug_stays_one(error: BaseException) -> None:
    assert as_user_error(error, []) is None


def test_a_panic_of_a_library_in_rust_is_a_message() -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(a+|b|a)+(a+)+$"), "isolated")
    found = as_user_error(raised(lambda: tokenizer.encode("a" * 3000 + "!")), [])
    assert found is not None
    assert "retry-limit-in-match over" in found.problem
    assert "data.text.tokenizer" in found.fix
    assert as_user_error(KeyboardInterrupt(), []) is None
