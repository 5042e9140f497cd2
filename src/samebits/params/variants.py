"""Sections whose `name` picks a variant, and keys that a change of the name alone leaves behind.

`dvc exp run -S train.optimizer.name=adamw` changes one key: the section then holds every key of `sgd` under another
name. Such a section, which is the other variant's in each key but the name, is taken, with a line that says which keys
are not read. A single key of another variant is a mistake, as any unknown key is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, get_args

from samebits.params.read import Problems, validate
from samebits.params.section import Section

Variants = Mapping[str, Callable[[], type[Section]]]
"""Name to its class, which is looked up when it is needed: modules of models are imported one by one."""


@dataclass
class Settled:
    """A section without what it does not read.

    Attributes:
        value: what is validated.
        note: one line about keys that are left out; empty if there are none.
    """

    value: Any
    note: str = ""
    problems: list[tuple[str, object, str]] = field(default_factory=list)


def settle(key: str, section: object, variants: Variants) -> Settled:
    """Leave out the keys that another variant left behind; keys of another variant that stand alone are problems.

    Args:
        key: of the section, as `train.optimizer`.
    """
    name = section.get("name") if isinstance(section, Mapping) else None
    if not isinstance(section, Mapping) or not isinstance(name, str) or name not in variants:
        return Settled(section)
    mine = set(variants[name]().model_fields)
    strange = [each for each in section if each not in mine]
    if not strange:
        return Settled(section)
    others: dict[str, set[str]] = {}
    for other, load in variants.items():
        fields = set(load().model_fields)
        if fields == set(section) and _is_valid(load(), {**section, "name": other}):
            kept = {each: value for each, value in section.items() if each in mine}
            keys = ", ".join(strange)
            return Settled(kept, f"{key}.name = {name} does not read {keys}, which {other} left in params.yaml")
        others[other] = fields
    settled = Settled({each: value for each, value in section.items() if each not in strange})
    for each in strange:
        owners = [other for other, fields in others.items() if each in fields]
        if owners:
            known = ", ".join(sorted(mine))
            text = f"unknown key of {name} (known: {known}), one of {', '.join(owners)}; take it out: "
            text += f"dvc exp run -S '~{key}.{each}'"
            settled.problems.append((f"{key}.{each}", section[each], text))
        else:
            settled.value[each] = section[each]  # unknown to all: validation says so
    return settled


def _is_valid(model: type[Section], value: object) -> bool:
    problems = Problems()
    validate(model, value, "", problems)
    return not problems.lines


def variants_of(union: Any) -> Variants:
    """The variants of a union of sections, each told by the literals of its `name`."""
    classes = get_args(get_args(union)[0])
    return {name: partial(_this, each) for each in classes for name in get_args(each.model_fields["name"].annotation)}


def _this(model: type[Section]) -> type[Section]:
    return model
