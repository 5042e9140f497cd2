"""`samebits labels suspects`: a ranked list of training samples whose label is doubtful, and a page to decide on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import csv_bytes, write_bytes
from samebits.base.paths import Project
from samebits.base.result import Result
from samebits.data.preparation.corrections import Correction
from samebits.params.schema import read_params
from samebits.starting.job import run_job

_PRINTED = 5
_WEAK = 0.2
"""Labels are seldom wrong in a larger share; models that contradict more of them have learnt too little."""

_FACTS = ("rank", "score", "id", "source", "sha256", "was", "proposed")
_COLUMNS = (*_FACTS, *(name for name in Correction._fields if name not in _FACTS))
"""Of the list: what accept reads is among them, so that a person can decide in it."""


@dataclass(frozen=True)
class Suspects(Result):
    """What was found.

    Attributes:
        samples: of the training split.
        contradicted: how many labels the models contradict; None where that cannot be said.
        writable: whether a right label can be written into a cell; else a sample can be dropped.
        suspects: the most doubtful ones, each with rank, score, id, source, sha256, was and proposed.
        page, table: for a person to decide, relative to the project.
    """

    samples: int
    contradicted: int | None
    writable: bool
    suspects: list[dict[str, Any]]
    page: Path
    table: Path

    def lines(self) -> Iterator[str]:
        if self.contradicted is not None:
            yield (
                f"of {self.samples:,} training labels, {self.contradicted:,} are contradicted by models that were "
                "trained without them"
            )
            if self.contradicted > _WEAK * self.samples:
                yield "warning: most of these are errors of the models, not of the labels: first find better settings"
        for each in self.suspects[:_PRINTED]:
            given = f"{each['was'] or '(no label)'}, " if self.writable else ""
            yield f"  {each['rank']}. {each['id']}: {given}the model: {each['proposed'] or '(no label)'}"
        yield f"decide on the page {self.page}, save decisions.csv, then: samebits labels accept decisions.csv"
        columns = "columns action (relabel, drop) and label" if self.writable else "column action (drop)"
        yield f"or fill the {columns} of {self.table}, and accept that"

    def json(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "contradicted": self.contradicted,
            "suspects": self.suspects,
            "page": self.page,
            "table": self.table,
        }


def suspects(project: Project, say: Callable[[str], None], *, folds: int, top: int) -> Suspects:
    """Rank the training samples by how far models that were trained without them contradict their labels.

    Raises:
        UserError: data whose labels cannot be ranked, or what keeps a stage from running.
    """
    if folds < 2:
        raise UserError(f"--folds is {folds}: what is held out is judged by a model of the rest", "give 2 or more")
    values = read_params(project.params_file).dump()
    say("prepares the data, and times a few training steps, in a scratch folder …")
    found = run_job(project, "samebits.labels.scores", values, "it", quiet=False, folds=folds, top=top)
    folder = project.state / "labels"
    page, table = folder / "suspects.html", folder / "suspects.csv"
    rows = ([each.get(name, "") for name in _COLUMNS] for each in found["suspects"])
    write_bytes(table, csv_bytes(_COLUMNS, rows))
    write_bytes(page, found["page"].encode())
    return Suspects(
        samples=found["samples"],
        contradicted=found["contradicted"],
        writable=found["writable"],
        suspects=found["suspects"],
        page=page.relative_to(project.home),
        table=table.relative_to(project.home),
    )
