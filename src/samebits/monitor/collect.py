"""Samples in use, counted batch by batch: memory does not grow with their number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.data.readers.decoding import NotText, read_lines
from samebits.drift.answers import OOD_SCORE, measure_answers
from samebits.drift.measure import Measure, kind_of
from samebits.drift.reference import Reference
from samebits.inference.answer import cells_of
from samebits.inference.formats import apart
from samebits.inference.job import batches
from samebits.inference.predictor import Kind
from samebits.inference.progress import Progress
from samebits.inference.rows import RowFile, has_rows
from samebits.monitor.compare import Finding, Group, Tally, unreadable
from samebits.signature.kind import InputKind

_AT_ONCE = 4096
_JSON_LINES = (".jsonl", ".ndjson")


class Collected:
    """What was counted.

    Attributes:
        samples: all of them, `errors` those that could not be used.
        notes: what the user should know of the whole.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._tallies: dict[Group, dict[str, Tally]] = {
            "inputs": {each.name: Tally(each) for each in reference.inputs},
            "answers": {each.name: Tally(each) for each in reference.answers},
        }
        self._seen: dict[Group, int] = {"inputs": 0, "answers": 0}
        self.samples = self.errors = 0
        self.notes: list[str] = []

    def add(self, group: Group, measures: Mapping[str, Measure], count: int) -> None:
        """Measures of some samples."""
        self._seen[group] += count
        for name, tally in self._tallies[group].items():
            if name in measures:
                tally.add(measures[name])

    def add_cells(self, cells: Mapping[str, Sequence[Any]], count: int) -> None:
        """Answers by column; raises ValueError for a cell that is no number."""
        reference = self._reference
        found = measure_answers(cells, reference.columns, reference.labels, reference.ood_threshold)
        self.add("answers", found, count)

    def findings(self) -> list[Finding]:
        """Each statistic that there are enough samples for."""
        trained_on = max((int(each.all_counts.sum()) for each in self._reference.inputs), default=0)
        found = unreadable(self.samples, self.errors, trained_on)
        for group, tallies in self._tallies.items():
            for tally in tallies.values() if self._seen[group] else ():
                found += tally.findings(group)
        return found


def collect(kind: Kind, inputs: InputKind, reference: Reference) -> Collected:
    """Inputs, and what the model answers to them.

    Args:
        kind: which reads and answers.
        inputs: of the model.

    Raises:
        UserError: if the model cannot be run.
    """
    found, measuring = Collected(reference), kind_of(inputs)
    columns = list(reference.columns)
    progress = Progress(prints=False)
    for ready, answers in kind.read_and_answered(batches(kind.items(), kind.batch)):
        if len(ready.places):
            rows = kind.rows(ready.samples)
            found.add("inputs", measuring.measure(rows, reference.token_counts), len(rows))
        good = [each for each in answers if not each.error]
        found.add_cells(dict(zip(columns, cells_of(good, columns), strict=True)), len(good))
        found.samples += len(answers)
        found.errors += len(answers) - len(good)
        progress.show(found.samples, found.errors)
    progress.end()
    found.notes += kind.notes
    return found


def collect_answers(files: Sequence[Path], reference: Reference) -> Collected:
    """Answers out of files that `samebits predict --output` wrote, or others with its columns.

    Raises:
        UserError: if a file cannot be read, has another form, or has none of the columns.
    """
    if not reference.columns:
        raise UserError(
            "the answers of this model are not compared: its training had no validation split, or they are neither "
            "classes nor numbers",
            "name the inputs instead: samebits monitor FILES",
        )
    found = Collected(reference)
    for path in files:
        if not path.is_file():
            raise UserError(f"{path} {'is no file' if path.exists() else 'does not exist'}", "look at the spelling")
        if not has_rows(path):
            raise UserError(
                f"{path} is no table of answers", "answer into one: samebits predict FILES --output FILE.parquet"
            )
        read = _json_lines if path.suffix.lower() in _JSON_LINES else _table
        for rows in batches(read(path, reference, found.notes), _AT_ONCE):
            good = [row for row in rows if isinstance(row, dict)]
            names = good[0] if good else ()
            found.add_cells({name: [row[name] for row in good] for name in names}, len(good))
            found.samples += len(rows)
            found.errors += len(rows) - len(good)
    return found


Row = dict[str, Any] | str
"""Cells by column, or the error that stands there instead."""


def _table(path: Path, reference: Reference, notes: list[str]) -> Iterator[Row]:
    kinds = {apart(name): (name, kind) for name, kind in reference.columns.items()}
    wanted = [*kinds, "error"]

    def choose(names: Sequence[str], index: Sequence[str]) -> None:
        absent = [name for name in kinds if name not in names]
        if len(absent) == len(kinds):
            raise UserError(
                f"{path} has none of the columns of answers ({listed(list(kinds))}); it has {listed(names)}",
                "name a file of samebits predict --output, or inputs without --answers",
            )
        if absent:
            notes.append(f"{path} has no {listed(absent)}: not compared")
        wanted[:] = [name for name in wanted if name in names]

    for number, row in RowFile(path, str(path), wanted, choose):
        if isinstance(row, str):
            yield row
        elif row.get("error"):
            yield str(row["error"])
        else:
            pairs = {kinds[name]: cell for name, cell in row.items() if name in kinds}
            yield {name: _cell(cell, kind, f"{path}:{number}") for (name, kind), cell in pairs.items()}


def _cell(cell: Any, kind: str, place: str) -> Any:
    if cell is None or cell == "":
        return None
    if kind == "text":
        return str(cell)
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise UserError(
            f"{place}: {str(cell)[:40]!r} is no number, as the answers of this model are",
            "name a file of answers of this very model",
        ) from None


def _json_lines(path: Path, reference: Reference, notes: list[str]) -> Iterator[Row]:
    """As `samebits predict --format jsonl` writes them: of classes the best ones, of others all numbers."""
    names = [each.name for each in reference.answers if each.name in reference.columns and each.name != OOD_SCORE]
    for number, line in read_lines(path, str(path), None, Counter()):
        if isinstance(line, NotText):
            yield str(line)
            continue
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
            if row["error"]:
                yield str(row["error"])
                continue
            cells: list[Any] = row["values"]
            if "prediction" in names and reference.labels:
                cells = [row["classes"][0]["label"], row["classes"][0]["probability"]]
            score = row["ood_score"]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            raise UserError(f"{place} is no answer of samebits predict", "name a file of its --output") from None
        if len(cells) != len(names):
            raise UserError(
                f"{place} has {len(cells)} of the {len(names)} numbers that are compared",
                "write CSV or Parquet instead",
            )
        kinds = reference.columns
        found = {name: _cell(cell, kinds[name], place) for name, cell in zip(names, cells, strict=True)}
        yield found | ({OOD_SCORE: score} if OOD_SCORE in kinds else {})
