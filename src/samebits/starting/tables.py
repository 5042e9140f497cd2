"""Tables: a number or a class from the other columns of a CSV or Parquet file."""

from __future__ import annotations

import numpy as np

from samebits.base.errors import UserError, listed
from samebits.data.readers.table.leakage import find_leaks
from samebits.data.readers.table.target import read_target
from samebits.starting.classes import class_warnings
from samebits.starting.found import PARQUET, TABLES, Asked, Found, Proposal
from samebits.starting.rows import Rows, guess_kind, guess_target, read_rows

_RECIPES = {"number": "table_regression", "class": "table_classification"}
_LARGE = 20_000
_FEW = 60
"""Rows, below which a net learns little more than the mean."""


def fits(found: Found) -> str:
    """A CSV or Parquet file; a CSV of texts alone is none."""
    if found.is_folder or found.suffix not in (*TABLES, *PARQUET):
        return ""
    rows = read_rows(found)
    inputs = [name for name in rows.columns if not rows.is_id(name)]
    if len([name for name in inputs if not rows.is_prose(name)]) < 2 + bool(_prose(rows)):
        return ""
    return f"{len(rows):,} rows, {len(rows.columns)} columns"


def propose(found: Found, asked: Asked) -> Proposal:
    """The target, what kind it is, and which columns cannot be inputs."""
    rows = read_rows(found)
    candidates = [
        name
        for name, column in rows.columns.items()
        if column.kind != "date" and not rows.is_id(name) and not rows.hardly_repeats(name)
    ]
    target, reason = guess_target(rows, candidates, asked)
    kind, of_kind = guess_kind(rows, target, asked)
    proposal = Proposal(_RECIPES[kind])
    proposal.set("data.table.target", target, reason)
    proposal.set("data.target_kind", kind, of_kind)
    _split(rows, target, proposal)
    _drop(found, rows, target, proposal)
    if kind == "class":
        proposal.warnings += class_warnings(rows.counts(target), "rows")
    if len(rows) < _FEW:
        proposal.warnings.append(f"{len(rows)} rows are few: a third is held out, and scores will vary by chance")
    if len(rows) > _LARGE:
        proposal.set("train.batch_size", 256, f"{len(rows):,} rows: larger batches take less time each")
    return proposal


def _prose(rows: Rows) -> list[str]:
    return [name for name in rows.columns if rows.is_prose(name)]


def _split(rows: Rows, target: str, proposal: Proposal) -> None:
    """A column of splits is used; dates make one ask whether the future is to be predicted."""
    split = rows.split_column()
    if split is not None and split != target:
        proposal.set("data.split_column", split, "its cells say train and test")
    dates = [name for name, column in rows.columns.items() if column.kind == "date" and name != target]
    if dates:
        proposal.warnings.append(
            f"{listed(dates)} holds dates: if later rows are to be predicted from earlier ones, set data.split: time "
            f"and data.time_column: {dates[0]}, or scores are too good"
        )


def _drop(found: Found, rows: Rows, target: str, proposal: Proposal) -> None:
    """Columns that are no inputs: ids, prose, words without repetition, and what gives the target away."""
    used = {target, proposal.values.get("data.split_column")}
    inputs = [name for name in rows.columns if name not in used]
    why = {name: f"holds {kind}" for name, kind in rows.unread.items()}
    for name in inputs:
        if rows.is_id(name):
            why[name] = "names the rows"
        elif rows.hardly_repeats(name):
            why[name] = "text" if rows.is_prose(name) else "hardly any value comes twice"
    left = [name for name in inputs if name not in why]
    settings = found.settings.table
    read = read_target(rows.columns[target], settings, proposal.values["data.target_kind"])
    if not settings.allow_leaks:
        good = np.setdiff1d(np.arange(len(rows)), np.fromiter(read.bad, dtype=np.int64, count=len(read.bad)))
        for names, text in find_leaks([rows.columns[name] for name in left], read, good):
            why |= dict.fromkeys(names, text)
            proposal.warnings.append(
                f"{text}: left out, since it is hardly known when a prediction is made; if it is: "
                "data.table.allow_leaks: true, and take it out of data.table.drop"
            )
    if not [name for name in inputs if name not in why]:
        raise UserError(
            f"{rows.name}: no column is left to predict {target} from: "
            + "; ".join(f"{name}: {text}" for name, text in why.items()),
            "name another target: --target COLUMN",
        )
    if why:
        proposal.set("data.table.drop", list(why), "; ".join(f"{name}: {text}" for name, text in why.items()))
