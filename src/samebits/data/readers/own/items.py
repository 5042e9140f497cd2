"""The items of a Dataset of the user's own, one after the other, with what is known of their places in the splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from samebits.base.errors import UserError
from samebits.data.readers.own.dataset import Item, OwnDataset
from samebits.data.readers.splits import KNOWN, split_of
from samebits.data.readers.times import no_time

HOPELESS = 50
"""So many items at the beginning of which none can be used: all the others need not be read."""
FACTS = {"group": "groups", "time": "times", "split": "splits"}
"""What an item may say of itself, and the attribute of the Dataset that says it of all."""
_READ_TWICE = 32
"""Items that are compared with a second reading."""


def items(dataset: OwnDataset, split: str, digests: dict[int, bytes]) -> Iterator[tuple[int, Item]]:
    """The number of each item and the item; one that has no place in the splits has a reason why it cannot be used.

    Args:
        split: `data.split`.
        digests: those of the items that are to be read twice are added here.

    Raises:
        UserError: as `OwnDataset`.
    """
    given = {name: dataset.attribute(plural) for name, plural in FACTS.items()}
    step = 1 if dataset.length is None else max(1, dataset.length // _READ_TWICE)
    for number, item in enumerate(dataset):
        facts = {
            name: item.facts.get(name, None if all_of is None else all_of[number]) for name, all_of in given.items()
        }
        reason = item.reason or _missing(facts, split)
        if not reason and number % step == 0 and len(digests) < 2 * _READ_TWICE:
            digests[number] = item.digest()
        yield number, replace(item, facts=facts, reason=reason)


def hopeless(dataset: OwnDataset, reason: str) -> UserError:
    """What to say where none of the first items can be used.

    Args:
        reason: why the first cannot.
    """
    return UserError(
        f"{dataset.name}: none of its first {HOPELESS} items can be used; item 0: {reason}",
        "correct what it gives: (input, target); docs/data-own.md shows it",
    )


def _missing(facts: Mapping[str, Any], split: str) -> str:
    """Why a sample has no place in the splits."""
    if facts["split"] not in (None, ""):
        known = split_of(str(facts["split"])) is not None
        return "" if known else f"its split is {facts['split']!r}; known: {KNOWN}"
    if split not in ("group", "time"):
        return ""
    if facts[split] is None:
        return (
            f"it has no {split}, data.split is {split}: give it as the third element of an item, or all of them as the "
            f"attribute `{FACTS[split]}` of the Dataset"
        )
    return (no_time(cell(facts["time"])) or "") if split == "time" else ""


def cell(value: Any) -> str:
    """A time as the text that stands in a table."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
