"""What `samebits predict` asks of a kind of inputs or target: `inference/KIND.py` has a class `Kind` that answers.

Samples come one by one and are answered a batch at a time, so memory does not grow with their number. What is wrong
with one sample is said in its own answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from samebits.base.errors import UserError, listed
from samebits.base.registry import nearest
from samebits.inference.answer import Answer, Reading, answer_of
from samebits.inference.calibration import UNCALIBRATED
from samebits.inference.items import Files, Given, Item
from samebits.inference.rows import RowFile, has_rows
from samebits.inference.session import Opened
from samebits.signature.kind import Array, Column

TOP = 3
"""Classes that are given for one sample, to people."""

_NOT_FINITE = "the model's answer to it is no finite number"


@dataclass(frozen=True)
class Request:
    """The command's arguments.

    Attributes:
        model: an .onnx file of the export stage.
        files: to answer for: files, folders, patterns, `-`.
        text: texts as they are.
        lines: a file with a text a line.
        column: of files of rows, the one that holds the texts or the paths.
        id: of files of rows, the one whose cells name the answers.
        stdin: what `-` holds, `lines`, `csv` or `jsonl`; None: what is usual for the kind.
        top: how many classes to give; None: as many as usual.
        invert: whether light and dark are swapped first.
        format: of the answers; None: by the ending of `output`, else what is usual for the kind.
        output: a file, or of masks a folder, to write to; None: the answers are printed.
        most_pixels: of an image; one with more is not decoded. None: as many as `prepare` takes.
    """

    model: Path
    files: tuple[Path, ...] = ()
    text: tuple[str, ...] = ()
    lines: Path | None = None
    column: str | None = None
    id: str | None = None
    stdin: str | None = None
    top: int | None = None
    invert: bool = False
    format: str | None = None
    output: Path | None = None
    most_pixels: int | None = None


@dataclass
class Ready:
    """Items as a model takes them.

    Attributes:
        samples: an array [n, ...], unless the kind has its own way to ask the model (`Kind.given`).
        places: of each sample, its place among the items.
        notes: likewise.
        errors: place of an item that cannot be read -> why.
    """

    samples: Any
    places: Sequence[int]
    notes: Sequence[Sequence[str]]
    errors: Mapping[int, str] = field(default_factory=dict)


class Kind(ABC):
    """Answers for one kind of samples by one model.

    Attributes:
        noun: what the samples are.
        options: of the command, those that not every kind has.
        usual_format: without --format.
        stdin: what `-` may hold, first what it does unless that is said.
        path_column: of files of rows that name files, the column that does.
        writes_folder: whether it writes a file for each sample, so that the output is a folder.
        notes: what to say of files, once their samples have come.

    Raises:
        UserError: for a model of another kind, files that are not there, or a file of rows without the columns that
            are needed.
    """

    noun: ClassVar[str]
    options: ClassVar[frozenset[str]] = frozenset()
    usual_format: ClassVar[str] = "text"
    stdin: ClassVar[tuple[str, ...]] = ("lines", "csv", "jsonl")
    path_column: ClassVar[str] = "path"
    writes_folder: ClassVar[bool] = False

    def __init__(self, request: Request, opened: Opened) -> None:
        self.request = request
        self.session, metadata = opened
        self.target, self.inputs = metadata["target"], metadata["preprocessing"]
        self.notes: list[str] = []
        allowed = self.options | ({"top"} if self.target.labels and not self.target.per_position else set())
        for option in ("text", "lines", "top", "invert", "column"):
            if getattr(request, option) not in (None, False, ()) and option not in allowed:
                raise UserError(
                    f"--{option} is not for {self.noun}", "leave it out; samebits predict --help says what it is for"
                )
        if request.top is not None and request.top < 1:
            raise UserError(f"--top is {request.top}", "ask for at least one class")
        # In columns, the best class stands alone unless more are asked for.
        self.reading = Reading(
            self.target, request.top or TOP, request.top or 1, metadata.get("calibration") or UNCALIBRATED
        )
        self.open_model()
        stdin = request.stdin or self.stdin[0]
        if stdin not in self.stdin:
            raise UserError(f"--stdin {stdin} is not for {self.noun}", f"it may be {' or '.join(self.stdin)}")
        self.files = Files(request.files, self.takes, f".{stdin}")
        for given in self.files.named:
            if self.is_list(given.path):
                self.open_rows(given)

    # What a kind says.

    @abstractmethod
    def open_model(self) -> None:
        """Refuse a model whose inputs are not what its metadata say; open what lies beside it."""

    @property
    @abstractmethod
    def batch(self) -> int:
        """Samples that are answered at once."""

    @abstractmethod
    def takes(self, name: str) -> bool:
        """Whether a file in a folder is asked about, by its name."""

    @abstractmethod
    def ready(self, items: Sequence[Item]) -> Ready:
        """Items as the model takes them; those that have an error are not among them."""

    def columns(self) -> dict[str, Column]:
        """Of the answers as a table."""
        return self.reading.columns

    def answer(self, item: Item, answer: Any, notes: Sequence[str], ood_score: float | None) -> Answer:
        """The answer for one sample of what the model gave."""
        return answer_of(item.name, answer, self.reading, notes, ood_score)

    def taken(self, output: Path) -> Path | None:
        """A file that is there already and that a new job would write over, where it must not."""
        return None

    def nothing_given(self) -> UserError:
        return UserError(
            f"no {self.noun} were given", "name files or a folder that holds some; samebits predict --help has examples"
        )

    # Where samples come from.

    def is_list(self, path: Path) -> bool:
        """Whether a file holds a sample per row."""
        return has_rows(path)

    def wanted(self) -> list[str]:
        """Columns of a file of rows that are read."""
        return [self.request.column or self.path_column]

    def of_row(self, row: Mapping[str, Any], name: str, given: Given) -> Item:
        """A sample of a row: the file that it names, seen from the file of rows."""
        cell = row[self.wanted()[0]]
        if not isinstance(cell, str) or not cell.strip():
            return Item(name, error=f"{self.wanted()[0]!r} is {'empty' if cell in (None, '') else 'no text'}")
        path = given.path.parent / cell.strip()
        if given.shown == "-":
            path = Path(cell.strip())
        return Item(name if self.request.id else str(path), path, path)

    def of_file(self, given: Given) -> Iterator[Item]:
        """The samples of a file that is no list of them."""
        yield Item(given.shown, given.path, given.path)

    def of_line(self, line: str, name: str) -> Item:
        """A sample of a line of stdin: the file that it names."""
        path = Path(line.strip())
        return Item(str(path), path, path)

    @abstractmethod
    def of_value(self, value: Any, name: str) -> Item:
        """A sample of a value: what JSON holds, or the bytes of a file. One that cannot be used has an error."""

    @abstractmethod
    def example(self) -> Any:
        """A value of JSON, of no meaning, that `of_value` takes and the model answers."""

    def items(self) -> Iterator[Item]:
        """All samples that are asked about, in order."""
        for given in self.files:
            if given.path.suffix == ".lines" and given.shown == "-":
                yield from self.lines(given.path, given.shown)
            elif self.is_list(given.path):
                yield from self._rows(given)
            else:
                yield from self.of_file(given)
        if self.files.left_out:
            self.notes.append(f"files in folders that are no {self.noun}, and were left out: {self.files.left_out:,}")

    def lines(self, path: Path, shown: str) -> Iterator[Item]:
        """A sample per line; empty lines are passed over."""
        from collections import Counter

        from samebits.data.readers.decoding import NotText, read_lines

        for number, line in read_lines(path, shown, None, Counter()):
            if isinstance(line, NotText):
                yield Item(f"{shown}:{number}", error=str(line))
            elif line.strip():
                yield self.of_line(line, f"{shown}:{number}")

    def open_rows(self, given: Given) -> RowFile:
        """A file of rows, with its header read.

        Raises:
            UserError: if it cannot be read, or lacks a column.
        """
        wanted = [*self.wanted(), *([self.request.id] if self.request.id else [])]

        def choose(names: Sequence[str], _: Sequence[str]) -> None:
            self.require_columns(list(names), given.shown)
            if self.request.id and self.request.id not in names:
                raise UserError(
                    f"{given.shown} has no column {self.request.id!r}; it has {listed(list(names))}",
                    "name another one with --id",
                )

        return RowFile(given.path, given.shown, list(dict.fromkeys(wanted)), choose, self.csv_options(given.path))

    def csv_options(self, path: Path) -> dict[str, Any]:
        """Arguments of `CsvFile`."""
        return {}

    def require_columns(self, names: list[str], file: str) -> None:
        """Refuse a file of rows that lacks a column."""
        (column,) = self.wanted()
        if column not in names:
            near = nearest(column, names)
            raise UserError(
                f"{file} has no column {column!r}; it has {listed(names) or 'nothing'}",
                f"name the one to read with --column{f', as --column {near}' if near else ''}",
            )

    def _rows(self, given: Given) -> Iterator[Item]:
        seen = False
        try:
            rows = self.open_rows(given)
            for number, row in rows:
                seen = True
                name = f"{given.shown}:{number}"
                if isinstance(row, str):
                    yield Item(name, error=row)
                    continue
                if self.request.id:
                    cell = row[self.request.id]
                    name = "" if cell is None else str(cell)
                yield self.of_row(row, name, given)
            if not seen:
                yield Item(given.shown, error="it has no row below a first line of names")
            self.notes += [f"{given.shown}: {note}" for note in rows.notes]
        except UserError as error:
            yield Item(given.shown, error=f"{'from here on: ' if seen else ''}{error.problem}")

    # Answers.

    def answers(self, groups: Iterable[Sequence[Item]]) -> Iterator[list[Answer]]:
        """Of each item of each group, in order. A group is read while the model works on the one before.

        Raises:
            UserError: if the model cannot be run.
        """
        for _, answers in self.read_and_answered(groups):
            yield answers

    def read_and_answered(self, groups: Iterable[Sequence[Item]]) -> Iterator[tuple[Ready, list[Answer]]]:
        """As `answers`, with what the model was given."""
        with ThreadPoolExecutor(1) as pool:
            before: tuple[Sequence[Item], Future[Ready]] | None = None
            for items in groups:
                coming = pool.submit(self._read, items)
                if before is not None:
                    yield self._read_answered(*before)
                before = items, coming
            if before is not None:
                yield self._read_answered(*before)

    def _read_answered(self, items: Sequence[Item], coming: Future[Ready]) -> tuple[Ready, list[Answer]]:
        ready = coming.result()
        return ready, self._answered(items, ready)

    def rows(self, samples: Any) -> Array:
        """Samples that are ready as rows of the prepared data, [n, ...]."""
        found: Array = samples
        return found

    def answers_of(self, items: Sequence[Item]) -> list[Answer]:
        """Of each item, in order, a batch at a time.

        Raises:
            UserError: if the model cannot be run.
        """
        found: list[Answer] = []
        for start in range(0, len(items), self.batch):
            part = items[start : start + self.batch]
            found += self._answered(part, self._read(part))
        return found

    def _read(self, items: Sequence[Item]) -> Ready:
        """As `ready`, with the errors of all items."""
        errors = {place: item.error for place, item in enumerate(items) if item.error}
        good = [place for place in range(len(items)) if place not in errors]
        if not good:
            return Ready((), [], [], errors)
        found = self.ready([items[place] for place in good])
        found.errors = errors | {good[place]: error for place, error in found.errors.items()}
        found.places = [good[place] for place in found.places]
        return found

    def _answered(self, items: Sequence[Item], ready: Ready) -> list[Answer]:
        found = {place: Answer(items[place].name, error=error) for place, error in ready.errors.items()}
        if ready.places:
            answers, finite = self.given(ready.samples)
            good = [answer for answer, right in zip(answers, finite, strict=True) if right]
            scores = iter(self.reading.calibration.ood_scores_of(good))
            for place, answer, notes, right in zip(ready.places, answers, ready.notes, finite, strict=True):
                item = items[place]
                found[place] = (
                    self.answer(item, answer, notes, next(scores)) if right else Answer(item.name, error=_NOT_FINITE)
                )
        return [found[place] for place in range(len(items))]

    def given(self, samples: Any) -> tuple[Sequence[Any], Sequence[bool]]:
        """What the model gives for samples that are ready, and whether each is finite."""
        answers, finite = self.session.checked_answers(samples, self.target)
        return list(answers), finite.tolist()


def batch_of(values: int, most: int) -> int:
    """Samples that are answered at once, where one has so many values: up to 64 MiB of float32."""
    return int(np.clip((1 << 24) // max(1, values), 1, most))
