"""Labels that a person corrected: a CSV file that `prepare` applies to what the source says (docs/labels.md).

    id      of the sample, as `data/prepared/manifest.parquet` has it
    sha256  of its content, by which it is found: a sample whose content changed is another one
    was     the label in the source; what is written there now must still be this
    action  `relabel` or `drop`
    label   the right one, for `relabel`
    note    anything

Corrections never move a sample into another split: that is decided by what the source says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from samebits.base.errors import UserError
from samebits.base.files import csv_bytes
from samebits.data.loading.prepared import SPLITS
from samebits.data.readers.csv_file import CsvFile
from samebits.data.readers.reader import Int64, Raw
from samebits.params.data import DataParams
from samebits.signature.signature import TARGETS

RELABEL, DROP = "relabel", "drop"
_SHOWN = 5
"""Faulty rows that a message names."""


class Correction(NamedTuple):
    """A row of the file."""

    id: str
    sha256: str
    was: str
    action: str
    label: str
    note: str


@dataclass(frozen=True)
class Corrected:
    """A source with its corrections.

    Attributes:
        raw: with the corrected labels.
        original: the source without them: it decides the splits.
        relabelled: samples with another label, ascending.
        dropped: samples to leave out, each with the reason.
    """

    raw: Raw
    original: Raw
    relabelled: tuple[int, ...] = ()
    dropped: Mapping[int, str] = field(default_factory=dict)

    def counts(self, splits: Mapping[str, Int64]) -> dict[str, dict[str, int]]:
        """Of each kind of correction, samples of each split; empty if there are none."""
        rows = {"relabelled": self.relabelled, "dropped": tuple(self.dropped)}
        if not any(rows.values()):
            return {}
        return {
            name: {split: int(np.isin(splits[split], of_kind).sum()) for split in SPLITS}
            for name, of_kind in rows.items()
        }


def corrections_file(workspace: Path, settings: DataParams) -> Path | None:
    """The file that `data.corrections` names; None if it is the default and there is none.

    Raises:
        UserError: if it is missing.
    """
    path = workspace / settings.corrections
    if path.is_file():
        return path
    if settings.corrections == DataParams().corrections:
        return None
    raise UserError(
        f"data.corrections is {settings.corrections}, which is no file",
        f"correct the path, or make a file with the line {','.join(Correction._fields)}",
    )


def corrections_bytes(rows: Iterable[Correction]) -> bytes:
    """The file, in an order of its own: by id and content."""
    return csv_bytes(Correction._fields, sorted(rows))


def read_corrections(path: Path, shown: str, *, decided: bool = True) -> list[tuple[int, Correction]]:
    """The rows of a file of corrections, each with its line.

    Args:
        shown: what the file is called in messages.
        decided: every row must have an action; else rows with neither action nor label are left out, and a label
            alone means `relabel`.

    Raises:
        UserError: for a column that is missing, and for all rows that cannot be understood.
    """
    file = CsvFile(path, shown, wanted=Correction._fields)
    needed = [name for name in Correction._fields if name != "note"]
    if missing := [name for name in needed if name not in file.header]:
        raise UserError(
            f"{shown} has no column {', '.join(missing)}", f"its first line must be {','.join(Correction._fields)}"
        )
    places = {name: file.header.index(name) for name in Correction._fields if name in file.header}
    found: list[tuple[int, Correction]] = []
    problems: list[tuple[int, str]] = []
    for line, cells in file.rows():
        if isinstance(cells, str):
            problems.append((line, cells))
            continue
        row = Correction(**{"note": "", **{name: cells[place].strip() for name, place in places.items()}})
        if not decided and not row.action:
            if not row.label:
                continue
            row = row._replace(action=RELABEL)
        row = row._replace(action=row.action.lower(), sha256=row.sha256.lower())
        if row.action not in (RELABEL, DROP):
            problems.append((line, f"action is {row.action!r}: write {RELABEL} or {DROP}"))
        elif row.action == DROP and row.label:
            problems.append((line, f"action is {DROP}, but there is a label {row.label!r}"))
        elif len(row.sha256) != 64 or set(row.sha256) - set("0123456789abcdef"):
            problems.append((line, f"sha256 is {row.sha256[:70]!r}, not 64 hex digits"))
        else:
            found.append((line, row))
    refuse_rows(problems, shown)
    return found


def correct(raw: Raw, rows: Sequence[tuple[int, Correction]], shown: str) -> Corrected:
    """Apply corrections to a source.

    Args:
        rows: each with its line.
        shown: what the file is called in messages.

    Raises:
        UserError: for rows that do not fit the data, all of them with their lines.
    """
    if not rows:
        return Corrected(raw, raw)
    if raw.targets is None:
        raise UserError(f"{shown} has corrections, but these data have no labels", "remove its rows")
    kind, targets = TARGETS[raw.target_kind], raw.targets.copy()
    wanted = {bytes.fromhex(each.sha256) for _, each in rows}
    of_content: dict[bytes, list[int]] = {}
    for row in range(len(raw)):
        if (digest := raw.hashes[row].tobytes()) in wanted:
            of_content.setdefault(digest, []).append(row)
    seen: dict[int, int] = {}
    dropped: dict[int, str] = {}
    problems: list[tuple[int, str]] = []
    ids: set[str] | None = None
    for line, each in rows:
        alike = of_content.get(bytes.fromhex(each.sha256), [])
        named = [row for row in alike if raw.ids[row] == each.id] or alike
        if not named:
            ids = set(raw.ids) if ids is None else ids
            what = "has other content now" if each.id in ids else "is no sample of the data that can be used"
            problems.append((line, f"{each.id} {what}"))
            continue
        if len(named) > 1:
            same = ", ".join(raw.ids[row] for row in named[:3])
            problems.append((line, f"{each.id} is no sample of the data, and its content is that of several: {same}"))
            continue
        row = named[0]
        now = kind.label_text(targets[row], raw.classes)
        if row in seen:
            problems.append((line, f"{each.id} is corrected in line {seen[row]} already"))
            continue
        seen[row] = line
        if now != each.was:
            problems.append((line, f"{each.id} was {each.was!r}, and is {now!r} in the data now"))
        elif each.action == DROP:
            dropped[row] = "dropped by a correction" + (f": {each.note}" if each.note else "")
        elif reason := _set(targets, row, each.label, raw):
            problems.append((line, f"{each.id}: {reason}"))
        elif kind.label_text(targets[row], raw.classes) == now:
            problems.append((line, f"{each.id} is {now!r} in the data already"))
    refuse_rows(problems, shown)
    relabelled = tuple(sorted(row for row in seen if row not in dropped))
    return Corrected(replace(raw, targets=targets), raw, relabelled, dict(sorted(dropped.items())))


def _set(targets: Any, row: int, label: str, raw: Raw) -> str:
    """Write a corrected label; returns why it cannot be."""
    try:
        value = np.asarray(TARGETS[raw.target_kind].corrected(label, raw.classes))
    except ValueError as error:
        return str(error)
    if value.shape != targets.shape[1:]:
        return f"{label!r} has {value.size} numbers, the labels of the data {targets[0].size}"
    targets[row] = value
    return ""


def refuse_rows(problems: Sequence[tuple[int, str]], shown: str) -> None:
    """Refuse a file for faulty rows, each with its line; nothing for none.

    Raises:
        UserError: naming the first ones.
    """
    if not problems:
        return
    first = "".join(f"\n    line {line}: {problem}" for line, problem in problems[:_SHOWN])
    more = f"\n    and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
    raise UserError(
        f"{shown}: {len(problems):,} row{'s' * (len(problems) > 1)} cannot be applied:{first}{more}",
        "correct these rows or take them out; if they are of other data, keep them in a file of another name, and "
        f"leave {shown} with its first line alone",
    )
