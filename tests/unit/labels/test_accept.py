"""Decisions become corrections: none by itself, a later one in place of an earlier one, a broken one named."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.data.preparation.corrections import DROP, RELABEL, Correction, read_corrections
from samebits.labels.accept import accept
from tests.helpers.workspace import make_start

HEAD = "rank,score,id,source,sha256,was,proposed,action,label,note"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_start(tmp_path)


def decide(project: Project, *rows: tuple[str, str, str, str]) -> list[Correction]:
    """Accept (id, was, action, label), and give what is in the file then."""
    file = project.workspace / "suspects.csv"
    lines = [f"1,0.9,{name},there,{name[0] * 64},{was},z,{action},{label}," for name, was, action, label in rows]
    file.write_text("\n".join([HEAD, *lines]))
    accept(project, file, said.append)
    return [each for _, each in read_corrections(project.workspace / "data/corrections.csv", "corrections.csv")]


said: list[str] = []


def test_only_what_is_decided_is_taken(project: Project) -> None:
    rows = decide(project, ("a", "x", "", ""), ("b", "x", "drop", ""), ("c", "x", "relabel", "y"), ("d", "x", "", "y"))
    assert [(each.id, each.was, each.action, each.label) for each in rows] == [
        ("b", "x", DROP, ""),
        ("c", "x", RELABEL, "y"),
        ("d", "x", RELABEL, "y"),
    ]


def test_a_later_decision_replaces_an_earlier_one(project: Project) -> None:
    decide(project, ("a", "x", "relabel", "y"), ("b", "x", "drop", ""))
    rows = decide(project, ("a", "y", "relabel", "z"))  # ranked with its correction
    assert [(each.id, each.was, each.label) for each in rows] == [("a", "x", "z"), ("b", "x", "")]
    assert [each.id for each in decide(project, ("a", "z", "relabel", "x"))] == ["b"]  # as the source has it


def test_nothing_is_written_of_a_broken_file(project: Project) -> None:
    decide(project, ("a", "x", "relabel", "y"))
    file = project.workspace / "data/corrections.csv"
    before = file.read_bytes()
    for rows, problem in (
        ([("b", "x", "drop", ""), ("b", "x", "drop", "")], "line 3: b stands in line 2, too"),
        ([("b", "x", "relabel", "x")], "b is 'x' already"),
        ([("a", "w", "drop", "")], "a was 'w'; its correction is from 'x' to 'y'"),
        ([("b", "x", "remove", "")], "action is 'remove'"),
        ([("b", "x", "", "")], "holds no decision"),
    ):
        with pytest.raises(UserError, match=problem):
            decide(project, *rows)
    with pytest.raises(UserError, match="is no file"):
        accept(project, project.workspace / "nothing.csv", said.append)
    assert file.read_bytes() == before
