"""Names of what can be restored, in a repository that git does not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.git import git
from samebits.base.paths import Project
from samebits.provenance.restore.find import find
from samebits.provenance.restore.trace import locked_in


def test_a_repository_of_another_user_is_no_missing_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "--quiet")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for look in (lambda: find(Project(tmp_path, tmp_path), "HEAD"), lambda: locked_in(tmp_path, ["0" * 32])):
        with pytest.raises(UserError) as raised:
            look()
        assert "belongs to another user" in raised.value.problem
        assert "safe.directory" in raised.value.fix


def test_outside_a_repository_nothing_can_be_restored_but_a_file_still_has_its_hash(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is in no git repository"):
        find(Project(tmp_path, tmp_path), "HEAD")
    assert locked_in(tmp_path, ["0" * 32]) == []
