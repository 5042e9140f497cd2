"""Rows of a table: a form with a field for each column."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from samebits.base.decimals import printed_number
from samebits.demo import form
from samebits.demo.form import Effects, Variants
from samebits.inference.items import Item
from samebits.signature.kind import Array

_MOST = 32
"""Values that a category takes in turn."""


class Form(form.Form):
    """A number, a date or a choice for each column."""

    widget = "table"
    method = "Each number is replaced by the training rows' median, each category by its values in turn (their mean)."

    @property
    def described(self) -> str:
        return f"rows of {len(self._names)} columns"

    @property
    def _names(self) -> dict[str, list[int]]:
        """Each column of the table and its places in a row: of a date, all of its parts."""
        found: dict[str, list[int]] = {}
        for at, column in enumerate(self.inputs["columns"]):
            found.setdefault(column.get("source") or column["name"], []).append(at)
        return found

    @property
    def fields(self) -> dict[str, Any]:
        columns = self.inputs["columns"]
        return {"columns": [self._field(name, [columns[k] for k in at]) for name, at in self._names.items()]}

    def _field(self, name: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
        column = parts[0]
        if column["kind"] == "category":
            return {"name": name, "values": column["values"]}
        if column.get("source"):
            return {"name": name, "date": _date(parts)}
        edges = column.get("edges") or [None]
        return {"name": name, "typical": column["fill"], "low": edges[0], "high": edges[-1]}

    def variants(self, item: Item, sample: Array) -> Variants:
        columns = self.inputs["columns"]
        samples, parts = [sample], []
        for places in self._names.values():
            first = columns[places[0]]
            if first["kind"] == "category":
                many = len(first["values"])
                codes = np.unique(np.linspace(1, many, min(many, _MOST)).round())
                others = codes[codes != sample[places[0]]][:, None]
            else:
                others = np.array([[columns[at]["fill"] for at in places]])
            changed = np.repeat(sample[None], len(others), axis=0)
            changed[:, places] = others
            parts.append(list(range(len(samples), len(samples) + len(changed))))
            samples += list(changed)

        def told(effects: Effects) -> dict[str, Any]:
            return {
                "columns": [[name, printed_number(effect)] for name, effect in zip(self._names, effects, strict=True)]
            }

        return Variants(np.stack(samples), parts, told)


def _date(parts: list[dict[str, Any]]) -> str:
    """A typical date, as the column writes it."""
    usual = {each["part"]: int(each["fill"]) for each in parts}
    form = parts[0].get("format") or ("%Y-%m-%d %H:%M" if usual.keys() & {"hour", "minute", "second"} else "%Y-%m-%d")
    day = min(usual.get("day", 1), 28)
    try:
        return datetime(usual.get("year", 2025), usual.get("month", 1), day, usual.get("hour", 0)).strftime(form)
    except ValueError:  # the metadata of a file may say anything
        return datetime(2025, 12, 31).strftime(form)
