"""Texts with a tag for each word: files of columns, or JSON Lines with lists of words and of tags."""

from __future__ import annotations

import statistics
from itertools import islice
from pathlib import PurePosixPath

from samebits.base.errors import UserError, listed
from samebits.data.readers.labels import LONGEST_NAME
from samebits.data.readers.reader import Rejected, Source
from samebits.data.readers.text import tagged
from samebits.data.readers.text.labelled import Item
from samebits.metrics.entities import OUTSIDE, are_entities
from samebits.starting.found import Asked, Found, Proposal
from samebits.starting.texts import choose_length

_RECIPE = "token_classification"
_LOOKED_AT = 2000
_FEW = 200
_MOST_TAGS = 200
"""Different ones; more are words, and the file another kind of table."""


def fits(found: Found) -> str:
    """Nearly all of the first texts have a tag for each word, and there are few different tags."""
    items, bad = _first(found)
    tags = {tag for each in items for tag in each.value}
    words = sum(len(each.value) for each in items)
    if len(items) < 2 or bad * 10 > len(items) or len(tags) < 2 or len(tags) > min(_MOST_TAGS, words // 3):
        return ""
    # Lines with a tag are sentences only where they stand together, and not one long table.
    if words < 2 * len(items) or words > LONGEST_NAME * len(items):
        return ""
    return f"a tag for each word, such as {listed(sorted(tags - {OUTSIDE}), 3)}"


def propose(found: Found, asked: Asked) -> Proposal:
    """A tagger."""
    asked.refuse_columns(": each word has a tag, and there is nothing else to predict")
    items, _ = _first(found)
    if not items:
        raise UserError(
            f"{found.shown} has no words with tags",
            "write a word and its tag in each line and an empty line after a sentence, or JSON Lines with tokens and "
            "tags",
        )
    proposal = Proposal(_RECIPE)
    tags = {tag for each in items for tag in each.value}
    if are_entities(tags):
        types = sorted({tag[2:] for tag in tags if tag != OUTSIDE})
        proposal.set("task.name", "token_classification", f"entities: {listed(types, 6)}")
    else:
        shown = f"{len(tags)} tags that mark no entities: {listed(sorted(tags), 6)}"
        proposal.set("task.name", "token_classification", shown)
    choose_length([each.text for each in items], proposal)
    if len(items) < _FEW:
        proposal.warnings.append(
            f"{len(items):,} texts are few for a model that knows no words yet: weights of an encoder for their "
            "language (transfer.weights) know them"
        )
    else:
        words = statistics.median(len(each.value) for each in items)
        proposal.why["data.format"] = f"{words:.0f} words in a text (median)"
    return proposal


def _first(found: Found) -> tuple[list[Item], int]:
    """The first texts that can be used, and how many cannot; none where the files are of another kind."""
    if "tagged" not in found.read:
        found.read["tagged"] = _read(found)
    items, bad = found.read["tagged"]
    return list(items), int(bad)


def _read(found: Found) -> tuple[list[Item], int]:
    endings = (*tagged.COLUMNS, *tagged.JSON)
    if not any(PurePosixPath(each.name).suffix.lower() in endings for each in found.members):
        return [], 0
    whole = found.settings.text.model_copy(update={"length": 1 << 16})
    settings = found.settings.model_copy(update={"target_kind": "auto", "text": whole})
    source: Source = found.source(settings)
    try:
        both = list(islice(tagged.read_items(source), _LOOKED_AT))
    except UserError:
        return [], 0
    items = [each for each in both if isinstance(each, Item)]
    return items, sum(isinstance(each, Rejected) and not each.other for each in both)
