"""`samebits labels suspects`: planted errors come first, the same ones each time; the page has what accept takes."""

from __future__ import annotations

import csv
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.data.preparation.corrections import Correction
from samebits.labels import suspects as command
from samebits.labels.scores import _of_no_training, find_suspects
from samebits.params.schema import read_params
from samebits.starting.found import Asked
from samebits.starting.start import start
from tests.helpers.workspace import make_start, set_params

PLANTED = (17, 40, 88)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A table of two clouds, in which three rows have the other one's label."""
    project = make_start(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    draw = random.Random(0)
    lines = ["x,y,cloud"]
    for row in range(160):
        right = row % 2
        shown = ("left", "right")[right ^ (row in PLANTED)]
        lines.append(f"{4 * right + draw.gauss(0, 0.5):.4f},{draw.gauss(0, 1):.4f},{shown}")
    (tmp_path / "data/raw/clouds.csv").write_text("\n".join(lines))
    start(project, Path("data/raw/clouds.csv"), Asked(target="cloud"), trial=False, say=lambda _: None)
    set_params(tmp_path, {"data": {"validation_fraction": 0.1, "test_fraction": 0.1}})
    set_params(tmp_path, {"train": {"threads": 1, "epochs": 10}})
    set_params(tmp_path, {"runtime": {"progress": "off", "workers": 0, "resume": "never"}})
    return project


def found_in(project: Project, **options: int) -> dict[str, Any]:
    values = read_params(project.params_file).dump()
    return find_suspects(project.workspace, project.workspace / "scratch", values, StopRequest(), **options)


@pytest.mark.usefixtures("restored")
@pytest.mark.slow
def test_planted_errors_come_first(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    found = found_in(project, folds=2, top=5)
    trained = {f"clouds.csv#{row + 1}" for row in PLANTED}
    first = [each["source"] for each in found["suspects"][:3]]
    assert len(trained & set(first)) >= 2  # one of the three may be held out for the test
    top = found["suspects"][0]
    assert {top["was"], top["proposed"]} == {"left", "right"}
    assert top["score"] > 0.5
    said = capsys.readouterr().out
    assert "2 trainings of about" in said
    assert "fold 2 of 2" in said
    assert f'data-sha256="{top["sha256"]}"' in found["page"]
    assert not re.search(r"(src|href)=\"(?!data:)", found["page"])  # it needs no network
    again = found_in(project, folds=2, top=5)
    assert again["suspects"] == found["suspects"]
    assert again["page"] == found["page"]


def test_a_class_of_one_fold_is_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    labels, folds = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    assert _of_no_training(labels, folds).tolist() == [False, False, True, True, True]
    assert capsys.readouterr().out.startswith("3 samples are not judged")
    assert not _of_no_training(np.array([0, 0]), np.array([0, 1])).any()


def test_a_language_model_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "data/raw/book.txt").write_text("\n\n".join(f"The {k}. whale swam by, and by." for k in range(4000)))
    start(project, Path("data/raw/book.txt"), Asked(), trial=False, say=lambda _: None)
    with pytest.raises(UserError, match="no labels that could be wrong"):
        found_in(project, folds=2, top=5)


def test_the_table_is_what_accept_reads(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"rank": 1, "score": 0.9, "id": "1", "source": "x:1", "sha256": "0" * 64, "was": "left", "proposed": "right"}
    found = {"samples": 9, "contradicted": 1, "writable": True, "suspects": [row], "page": "<html>"}
    monkeypatch.setattr(command, "run_job", lambda *_, **__: found)
    result = command.suspects(project, lambda _: None, folds=4, top=100)
    with (project.home / result.table).open() as file:
        (read,) = csv.DictReader(file)
    assert read.keys() >= set(Correction._fields)
    assert (read["was"], read["action"], read["label"]) == ("left", "", "")
    assert (project.home / result.page).read_text() == "<html>"
    assert any("1 are contradicted" in line for line in result.lines())
    assert "  1. 1: left, the model: right" in result.lines()
    assert not any("warning" in line for line in result.lines())
    weak = replace(result, contradicted=3)
    assert any(line.startswith("warning: most of these are errors of the models") for line in weak.lines())
    with pytest.raises(UserError, match="--folds is 1"):
        command.suspects(project, lambda _: None, folds=1, top=100)
