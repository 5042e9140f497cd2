"""Which columns of a table are read, and what for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.params.data import DataParams

_LISTS = ("drop", "categories", "dates")


@dataclass
class Chosen:
    """Which columns are read, and what for.

    Attributes:
        inputs: names of the inputs, in the file's order.
        targets: the columns to predict.
        index: columns that pandas wrote as the row labels, which are left out.
    """

    settings: DataParams
    file: str
    inputs: list[str] = field(default_factory=list)
    targets: tuple[str, ...] = ()
    index: list[str] = field(default_factory=list)

    def choose(self, names: Sequence[str], index: Sequence[str]) -> list[str]:
        """The columns to read.

        Args:
            names: of all columns.
            index: those that pandas wrote as row labels.

        Raises:
            UserError: if a setting names a column that is not there, or nothing is left.
        """
        table, named = self.settings.table, named_columns(self.settings)
        _require_columns(names, named, self.file)
        self.index = [each for each in index if not any(each in found for found in named.values())]
        names = [each for each in names if each not in self.index]
        if len(names) < 2 or not {*names} - {*index}:
            problem = f"one column, {names[0]!r}" if names else "no columns"
            raise UserError(f"{self.file} has {problem}", "a table needs a target and at least one more column")
        self.targets = table.targets or ([each for each in names if each not in index][-1],)
        if both := [each for each in self.targets if each in table.drop]:
            raise UserError(
                f"{both[0]} is the target and in data.table.drop", "set data.table.target, or keep the column"
            )
        no_inputs = [self.settings.group_column, self.settings.split_column]
        for key, column in zip(("group_column", "split_column"), no_inputs, strict=True):
            if column in self.targets:
                raise UserError(f"{column} is the target and data.{key}", f"set data.{key} to another column")
        self.inputs = [each for each in names if each not in {*table.drop, *self.targets, *no_inputs}]
        if not self.inputs:
            raise UserError(f"{self.file} has no column left to learn from", "take some out of data.table.drop")
        read = {*self.inputs, *self.targets, *no_inputs, self.settings.time_column}
        return [each for each in names if each in read]


def named_columns(settings: DataParams) -> dict[str, list[str]]:
    """Of each setting that names columns, the columns."""
    table = settings.table
    single = {f"data.{key}": getattr(settings, key) for key in ("group_column", "time_column", "split_column")}
    several = {f"data.table.{key}": list(getattr(table, key)) for key in _LISTS}
    if table.targets:
        several = {"data.table.target": list(table.targets)} | several
    return {key: [column] for key, column in single.items() if column is not None} | several


def _require_columns(names: Sequence[str], named: Mapping[str, list[str]], file: str) -> None:
    """Every column that a setting names must be there. All that are not are told at once: whoever puts a table of their
    own in a recipe's place has the names of another table in several settings.

    Raises:
        UserError: with the columns that there are, and what takes the names out again.
    """
    wrong = {key: lost for key, found in named.items() if (lost := [each for each in found if each not in names])}
    if not wrong:
        return
    problem = "; ".join(f"{key} names {', '.join(map(repr, each))}" for key, each in wrong.items())
    several = len([each for found in wrong.values() for each in found]) > 1
    guesses = {each: nearest(each, list(names)) for found in wrong.values() for each in found}
    meant = ", ".join(repr(guess) for guess in guesses.values() if guess)
    without = ", ".join(f"{key}: {_without(key, each, named[key])}" for key, each in wrong.items())
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    raise UserError(
        f"{problem}, which {'are no columns' if several else 'is no column'} of {file}",
        (f"did you mean {meant}? " if meant else "") + f"set {without}, or name other columns; it has: {shown}",
    )


def _without(key: str, wrong: list[str], named: list[str]) -> str:
    """A setting as YAML, without the columns that are not there."""
    left = [each for each in named if each not in wrong]
    if key.rpartition(".")[2] in _LISTS or left:
        return f"[{', '.join(left)}]"
    return "null (the last column is the target then)" if key == "data.table.target" else "null"
