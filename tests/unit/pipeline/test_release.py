from __future__ import annotations

from pathlib import Path

import pytest

from samebits.pipeline import release


def test_scripts_that_pip_has_compiled_are_no_files_of_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "_SHIPPED", tmp_path)
    for file in ("params.yaml", "stages/train.py", "stages/__pycache__/train.cpython-311.pyc"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"\xa7")
    assert release.release_files() == ["params.yaml", "stages/train.py"]
