"""Answers for many samples in a file: in parts, each kept beside the output until the whole is written.

A job that was stopped, by whatever, goes on with the same command: parts whose samples are the same are not computed
again, and the output has the bytes of a job that was never stopped. What decides over a part: the model, the options
and releases (`job.json`), and the samples themselves (`Item.mark`). Parts end at the same sample each time, so that the
batches, and with them the last bits, are the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from samebits import __version__
from samebits.base.errors import UserError
from samebits.base.files import atomic_file, json_bytes, remove_unfinished, sha256_bytes, sha256_file, write_bytes
from samebits.inference.answer import Answer
from samebits.inference.formats import Format
from samebits.inference.items import Item
from samebits.inference.predictor import Kind
from samebits.inference.progress import Progress

_BATCHES = 16
"""In a part."""

_T = TypeVar("_T")


@dataclass
class Tally:
    """How many samples there were, and how many of them have an error instead of an answer."""

    samples: int = 0
    errors: int = 0

    def add(self, answers: Sequence[Answer]) -> None:
        self.samples += len(answers)
        self.errors += sum(bool(each.error) for each in answers)

    def __iadd__(self, other: Tally) -> Tally:
        self.samples, self.errors = self.samples + other.samples, self.errors + other.errors
        return self


def batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """So many at a time; the last ones may be fewer."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def answer_into(output: Path, kind: Kind, form: Format, name: str) -> Tally:
    """Write the answers for all samples.

    Args:
        name: of the format.

    Raises:
        UserError: if there is no sample, or another process writes this output.
    """
    from filelock import FileLock, Timeout

    tally = Tally()
    parts = Parts(output, _job(kind, name))
    lock = FileLock(parts.folder / "lock")
    try:
        parts.folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another samebits predict writes {output}", "wait for it, or name another file") from None
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}", "name another file") from None
    progress = Progress(prints=False)
    try:
        goes_on = parts.begin()
        if not goes_on and (taken := kind.taken(output)):
            raise UserError(f"{taken} is there already", "name an empty folder, or a new one")
        count = kept = 0
        for count, items in enumerate(batches(kind.items(), kind.batch * _BATCHES), start=1):
            marks = _digest(items)
            part = parts.kept(count, marks)
            if part is None:
                part = Tally()
                answers = []
                for batch in kind.answers(batches(items, kind.batch)):
                    answers += batch
                    progress.show(tally.samples + len(answers) - kept, tally.errors)
                part.add(answers)
                parts.keep(count, marks, part, form.part(answers, first=count == 1))
            else:
                kept += part.samples
            tally += part
        if not count:
            raise kind.nothing_given()
        if kept:
            print(f"{kept:,} of {tally.samples:,} answers are of a job that was stopped", file=sys.stderr)
        summary = {"output": output, **asdict(tally), "notes": kind.notes}
        with atomic_file(output) as file:
            form.assemble(file, parts.data(count), summary)
        shutil.rmtree(parts.folder, ignore_errors=True)
    except KeyboardInterrupt:
        progress.end()
        if tally.samples:
            print(f"stopped; {tally.samples:,} answers are kept: the same command goes on", file=sys.stderr)
        raise
    finally:
        progress.end()
        lock.release()
        parts.remove_empty()
    return tally


class Parts:
    """Finished parts of a job, in a hidden folder beside its output.

    Args:
        job: what decides over all answers.
    """

    def __init__(self, output: Path, job: Mapping[str, Any]) -> None:
        self.folder = output.parent / f".{output.name}.parts"
        self._job = json_bytes(job)

    def begin(self) -> bool:
        """Keep parts of this very job, and whether there are any; remove others."""
        path = self.folder / "job.json"
        remove_unfinished(self.folder)
        if path.is_file() and path.read_bytes() == self._job:
            return any(self.folder.glob("*.part"))
        for part in self.folder.glob("*.part"):
            part.unlink()
        write_bytes(path, self._job)
        return False

    def kept(self, number: int, marks: str) -> Tally | None:
        """How many samples a finished part has; None if it is not finished, damaged, or of other samples."""
        try:
            head, data = self._read(number)
            right = head["samples"] == marks and head["sha256"] == sha256_bytes(data)
            return Tally(head["count"], head["errors"]) if right else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, number: int, marks: str, tally: Tally, data: bytes) -> None:
        head = {"samples": marks, "sha256": sha256_bytes(data), "count": tally.samples, "errors": tally.errors}
        write_bytes(self._path(number), json.dumps(head).encode() + b"\n" + data)

    def data(self, count: int) -> Iterator[bytes]:
        """Of the first `count` parts, one at a time."""
        for number in range(1, count + 1):
            yield self._read(number)[1]

    def remove_empty(self) -> None:
        """Leave nothing behind where no part was finished."""
        if not any(self.folder.glob("*.part")):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, number: int) -> tuple[Any, bytes]:
        head, _, data = self._path(number).read_bytes().partition(b"\n")
        return json.loads(head), data

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}.part"


def _job(kind: Kind, form: str) -> dict[str, Any]:
    import onnxruntime

    request = kind.request
    return {
        "model": sha256_file(request.model),
        "format": form,
        "columns": kind.columns(),
        "options": [request.top, request.invert, request.column, request.id, request.stdin, str(request.output)],
        "batch": kind.batch,
        "samebits": __version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _digest(items: Sequence[Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(item.mark)
    return digest.hexdigest()
