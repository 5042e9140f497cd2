"""The forms in which answers are printed and written. Each is written in parts, so that a long job can go on."""

from __future__ import annotations

import csv
import io
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from samebits.base.decimals import printed, printed_share
from samebits.base.errors import UserError
from samebits.base.result import json_text
from samebits.inference.answer import Answer, cells_of
from samebits.signature.kind import Column

_ENDINGS = {
    ".txt": "text",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


class Format(ABC):
    """A form of answers.

    Args:
        columns: of the answers as a table, and what they hold.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        # The sample's name, its notes and its error have columns of their own.
        self.columns = {apart(name): (name, kind) for name, kind in columns.items()}

    def begin(self) -> str:
        return ""

    @abstractmethod
    def rows(self, answers: Sequence[Answer], *, first: bool) -> str:
        """The text of some answers. `first`: whether none were before them."""

    def end(self, summary: Mapping[str, Any]) -> str:
        return ""

    def part(self, answers: Sequence[Answer], *, first: bool) -> bytes:
        """As `rows`, as it is kept until the job is done."""
        return _encoded(self.rows(answers, first=first))

    def assemble(self, file: BinaryIO, parts: Iterable[bytes], summary: Mapping[str, Any]) -> None:
        """Write the whole of parts."""
        file.write(_encoded(self.begin()))
        file.writelines(parts)
        file.write(_encoded(self.end(summary)))

    def cells(self, answers: Sequence[Answer]) -> list[list[Any]]:
        """The columns; None where there is no cell."""
        return cells_of(answers, [name for name, _ in self.columns.values()])


class Text(Format):
    """A line per sample, its notes below it."""

    def rows(self, answers: Sequence[Answer], *, first: bool) -> str:
        return "".join(f"{line}\n" for answer in answers for line in answer.lines())


class JsonLines(Format):
    """An object per sample, in a line."""

    def rows(self, answers: Sequence[Answer], *, first: bool) -> str:
        return "".join(json_text(answer.json(), indent=None) + "\n" for answer in answers)


class Json(Format):
    """One document, as of --json."""

    def begin(self) -> str:
        return '{\n  "predictions": ['

    def rows(self, answers: Sequence[Answer], *, first: bool) -> str:
        entries = (json_text(answer.json()).replace("\n", "\n    ") for answer in answers)
        return "".join(f"{',' if at or not first else ''}\n    {entry}" for at, entry in enumerate(entries))

    def end(self, summary: Mapping[str, Any]) -> str:
        return "\n  ]," + json_text(summary).removeprefix("{") + "\n"


class Csv(Format):
    """A row per sample: its name, the answer, notes and error."""

    def begin(self) -> str:
        return _csv_text([["name", *self.columns, "notes", "error"]])

    def rows(self, answers: Sequence[Answer], *, first: bool) -> str:
        kinds = [kind for _, kind in self.columns.values()]
        columns = [
            [answer.name for answer in answers],
            *([_printed(cell, kind) for cell in cells] for cells, kind in zip(self.cells(answers), kinds, strict=True)),
            ["; ".join(answer.notes) for answer in answers],
            [answer.error for answer in answers],
        ]
        return _csv_text(zip(*columns, strict=True))


class Parquet(Format):
    """As CSV; numbers are float32, as the model gave them."""

    def rows(self, answers: Sequence[Answer], *, first: bool) -> str:
        raise NotImplementedError

    def part(self, answers: Sequence[Answer], *, first: bool) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [
            [_utf8(answer.name) for answer in answers],
            *([_utf8(cell) if isinstance(cell, str) else cell for cell in column] for column in self.cells(answers)),
            [_utf8("; ".join(answer.notes)) or None for answer in answers],
            [_utf8(answer.error) or None for answer in answers],
        ]
        schema = self._schema()
        arrays = [pa.array(column, each.type) for column, each in zip(columns, schema, strict=True)]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), buffer)
        return buffer.getvalue()

    def assemble(self, file: BinaryIO, parts: Iterable[bytes], summary: Mapping[str, Any]) -> None:
        import pyarrow.parquet as pq

        with pq.ParquetWriter(file, self._schema()) as writer:
            for part in parts:
                writer.write_table(pq.read_table(io.BytesIO(part)))

    def _schema(self) -> Any:
        import pyarrow as pa

        kinds = [("name", "text"), *((name, kind) for name, (_, kind) in self.columns.items())]
        kinds += [("notes", "text"), ("error", "text")]
        return pa.schema([(name, pa.string() if kind == "text" else pa.float32()) for name, kind in kinds])


FORMATS: dict[str, type[Format]] = {
    "text": Text, "json": Json, "jsonl": JsonLines, "csv": Csv, "parquet": Parquet,
}  # fmt: skip


def format_of(asked: str | None, output: Path | None, usual: str) -> str:
    """The format that is meant.

    Raises:
        UserError: if the ending of the output says another one than what is asked for.
    """
    by_ending = _ENDINGS.get(output.suffix.lower()) if output is not None else None
    if asked and by_ending and asked != by_ending:
        raise UserError(f"{output} is named as {by_ending}, and --format is {asked}", "make them the same")
    return asked or by_ending or usual


def as_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Text in whole lines, without their ends. Those of a chunk reach whoever reads them before the next is made."""
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from whole
        sys.stdout.flush()
    if rest:
        yield rest


def apart(name: str) -> str:
    """The name that a column of answers has in a table."""
    return f"predicted {name}" if name in ("name", "notes", "error") else name


def _printed(cell: str | float | None, kind: Column) -> str:
    if cell is None or isinstance(cell, str):
        return cell or ""
    return f"{printed_share(cell):.4f}" if kind == "share" else printed(cell)


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _encoded(text: str) -> bytes:
    """As UTF-8; what it cannot hold, as in the name of a file that is no text, is escaped."""
    return text.encode("utf-8", "backslashreplace")


def _utf8(text: str) -> str:
    return _encoded(text).decode()
