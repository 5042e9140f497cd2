"""requirements.lock as packages, its key, and what is left out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.provenance.wheels.lock import lock_of, parse_lock
from tests.helpers.workspace import ROOT

HASH = "--hash=sha256:" + "a" * 64
TEXT = f"""# head
attrs==25.1 \\
    {HASH} \\
    {HASH}
    # via
    #   torch
nvidia-cudnn-cu13==9.1 ; sys_platform == 'linux' \\
    {HASH}
torch==2.14.1 \\
    {HASH}
"""


def test_each_package_has_its_lines() -> None:
    lock = parse_lock(TEXT.encode(), "here")
    assert [(each.name, each.version) for each in lock.packages] == [
        ("attrs", "25.1"), ("nvidia-cudnn-cu13", "9.1"), ("torch", "2.14.1"),
    ]  # fmt: skip
    assert lock.packages[1].text == f"nvidia-cudnn-cu13==9.1 ; sys_platform == 'linux' \\\n    {HASH}\n"
    assert lock.key != parse_lock(TEXT.replace("25.1", "25.2").encode(), "here").key


def test_the_projects_lock_is_read_whole() -> None:
    lock = lock_of(ROOT, None)
    assert len(lock.packages) == sum("==" in line for line in (ROOT / "requirements.lock").read_text().splitlines()
                                     if line[0] not in "# ")  # fmt: skip


def test_packages_are_left_out_by_name_or_pattern() -> None:
    lock = parse_lock(TEXT.encode(), "here")
    chosen, left = lock.without(["nvidia-*", "torch"])
    assert [each.name for each in chosen] == ["attrs"]
    assert [each.name for each in left] == ["nvidia-cudnn-cu13", "torch"]
    assert lock.without([]) == (list(lock.packages), [])
    with pytest.raises(UserError, match="--without troch"):
        lock.without(["torch", "troch"])


@pytest.mark.parametrize("text", ["", "# nothing\n", "numpy>=2\n", f"a==1 \\\n    {HASH}\nb==2\n", "\0\xff"])
def test_what_is_no_lock_with_hashes_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        lock_of(tmp_path, None)
    assert "no requirements.lock" in raised.value.problem
    (tmp_path / "requirements.lock").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as raised:
        lock_of(tmp_path, None)
    assert "a version and a hash of each package" in raised.value.problem
    assert raised.value.fix
