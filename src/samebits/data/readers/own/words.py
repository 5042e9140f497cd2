"""Words with their tags, where a Dataset of the user's own gives them: the same samples as those of `tagged_text`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samebits.base.errors import UserError
from samebits.data.readers.own.dataset import Item, OwnDataset
from samebits.data.readers.own.items import HOPELESS, cell, hopeless
from samebits.data.readers.own.values import as_words
from samebits.data.readers.reader import Rejected, Source
from samebits.data.readers.text.labelled import Item as Text
from samebits.data.readers.text.tagged import gathered, tagged_item
from samebits.data.readers.text.tagged_rows import RawTagged


def read_words(source: Source, dataset: OwnDataset, stream: Iterator[tuple[int, Item]]) -> RawTagged:
    """Lists of words with a list of tags each. Those that cannot be used are set aside, with their number.

    Raises:
        UserError: for another `data.target_kind`, or if none of the first items can be used.
    """
    if source.settings.target_kind not in ("auto", "tags"):
        raise UserError(
            f"{dataset.name} gives lists of words, which have tags, and data.target_kind is "
            f"{source.settings.target_kind!r}",
            "set data.target_kind: tags, or write texts to a file (docs/data-texts.md: text_csv, text_jsonl)",
        )
    facts: Counter[str] = Counter()
    return gathered(source, _texts(source, dataset, stream, facts), facts)


def _texts(
    source: Source, dataset: OwnDataset, stream: Iterator[tuple[int, Item]], facts: Counter[str]
) -> Iterator[Text | Rejected]:
    names = getattr(dataset.items, "classes", None)
    names = names if isinstance(names, list | tuple) else ()
    reasons: list[str] = []
    for number, item in stream:
        found = _text(source, number, item, names, facts)
        if isinstance(found, Rejected):
            reasons.append(found.reason)
            if len(reasons) >= HOPELESS and len(reasons) == number + 1:
                raise hopeless(dataset, reasons[0])
        yield found


def _text(source: Source, number: int, item: Item, names: Sequence[Any], facts: Counter[str]) -> Text | Rejected:
    settings = source.settings
    if item.reason or item.words is None:
        return Rejected(f"{number}", item.reason or "its input is no list of words, as that of the first item is")
    try:
        tags = _tags(item.target, names)
    except ValueError as error:
        return Rejected(f"{number}", str(error))
    origin = f"{settings.own.class_name}[{number}]"
    found = tagged_item((list(item.words), tags), f"{number}", origin, settings.text.length, facts)
    if isinstance(found, Rejected):
        return found
    given = {name: None if value is None else cell(value) for name, value in item.facts.items()}
    return replace(found, given=given["split"], group=given["group"], time=given["time"])


def _tags(target: Any, names: Sequence[Any]) -> list[str]:
    """The names of the tags."""
    if (tags := as_words(target)) is not None:
        return list(tags)
    numbers = target.tolist() if isinstance(target, np.ndarray) else target
    if not isinstance(numbers, list | tuple) or any(type(number) is not int for number in numbers):
        raise ValueError(f"its target is of type {type(target).__name__}: give a list with a tag for each word")
    if not names:
        raise ValueError("its tags are numbers: give their names, or the Dataset an attribute `classes` with the names")
    if unknown := [number for number in numbers if not 0 <= number < len(names)]:
        raise ValueError(f"its tag {unknown[0]} has no name: `classes` of the Dataset holds {len(names)}")
    return [str(names[number]) for number in numbers]
