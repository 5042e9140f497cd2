"""`samebits predict`, whatever the model takes: by the module of `samebits.inference` that its kind of inputs, or of
target, names in `predictor`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from samebits.base.errors import EXIT_UNREADABLE, UserError
from samebits.base.result import Result
from samebits.inference.answer import Answer
from samebits.inference.formats import FORMATS, Format, Parquet, as_lines, format_of
from samebits.inference.job import Tally, answer_into, batches
from samebits.inference.predictor import Kind, Request
from samebits.inference.progress import Progress
from samebits.inference.session import Opened, open_model


@dataclass
class Predictions(Result):
    """The answers, or where they were written.

    Attributes:
        answers: a batch at a time; used up by one of the two forms.
        format: of `lines`.
        notes: what the user should know of the whole, complete at the end.
        output: a file that holds them; None: they are printed.
    """

    answers: Iterator[Sequence[Answer]]
    format: Format
    notes: list[str] = field(default_factory=list)
    output: Path | None = None
    tally: Tally = field(default_factory=Tally)

    @property
    def exit_code(self) -> int:
        return EXIT_UNREADABLE if self.tally.errors else 0

    def lines(self) -> Iterator[str]:
        if self.output is None:
            yield from as_lines(self._chunks())
        self._remark()

    def _chunks(self) -> Iterator[str]:
        progress = Progress(prints=True)
        yield self.format.begin()
        for batch in self.answers:
            yield self.format.rows(batch, first=not self.tally.samples)
            self.tally.add(batch)
            progress.show(self.tally.samples, self.tally.errors)
        progress.end()
        yield self.format.end(self._summary())

    def json(self) -> dict[str, Any]:
        predictions = []
        for batch in self.answers:
            predictions += [entry.json() for entry in batch]
            self.tally.add(batch)
        self._remark()
        return {"predictions": predictions, **self._summary()}

    def _summary(self) -> dict[str, Any]:
        return {"output": self.output, **asdict(self.tally), "notes": self.notes}

    def _remark(self) -> None:
        """What is said besides the answers, once all of them are there."""
        told = [f"note: {note}" for note in self.notes]
        if self.output is not None:
            told.append(f"{self.tally.samples:,} answers in {self.output}")
        if self.tally.errors:
            told.append(f"{self.tally.errors:,} of {self.tally.samples:,} samples cannot be used: see their errors")
        for line in told:
            print(line, file=sys.stderr)


def predict(request: Request) -> Predictions:
    """The answers, by the module for the model's kind; with `output`, they are written.

    Raises:
        UserError: for a model that cannot be used, an option that is not for its kind, files that are not there or
            lack columns, an output that cannot be written, or where there is nothing to answer.
    """
    kind = kind_for(request)
    name = format_of(request.format, None if kind.writes_folder else request.output, kind.usual_format)
    output = request.output
    if kind.writes_folder and output is not None:
        name = request.format or "csv"
        if output.exists() and not output.is_dir():
            raise UserError(f"{output} is a file", "name a folder: --output FOLDER")
        output = output / f"answers.{'txt' if name == 'text' else name}"
    form = FORMATS[name](kind.columns())
    if output is None:
        if isinstance(form, Parquet):
            raise UserError("Parquet is not printed", "name a file: --output FILE.parquet")
        found = batches(kind.items(), kind.batch)
        first = next(found, None)
        if first is None:
            raise kind.nothing_given()
        return Predictions(kind.answers(chain([first], found)), form, kind.notes)
    _require_apart(output, kind)
    tally = answer_into(output, kind, form, name)
    return Predictions(iter(()), form, kind.notes, output, tally)


def kind_for(request: Request, opened: Opened | None = None) -> Kind:
    """What answers, its options checked; its model is opened, if it is not yet."""
    from samebits.signature.signature import INPUTS

    opened = opened or open_model(request.model)
    _, metadata = opened
    name = metadata["target"].predictor or INPUTS[metadata["preprocessing"].get("kind", "image")].predictor
    kind: Kind = import_module(f"samebits.inference.{name}").Kind(request, opened)
    return kind


def _require_apart(output: Path, kind: Kind) -> None:
    """Refuse to write over what is read."""
    request = kind.request
    read = [request.model, request.model.with_name("tokenizer.json"), *([request.lines] if request.lines else [])]
    inside = request.output / "mask.png" if kind.writes_folder and request.output else output
    if output.is_dir():
        raise UserError(f"{output} is a folder", "name a file: --output FILE")
    if output.exists() and not output.is_file():
        raise UserError(f"{output} is no regular file", "name one; without --output the answers are printed")
    if kind.files.holds(output) or kind.files.holds(inside) or output.resolve() in [each.resolve() for each in read]:
        raise UserError(f"--output {request.output} is, or lies among, what is read", "name another place")
