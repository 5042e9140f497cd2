"""Entities in sequences of tags: where they begin and end, and how many of two sequences are the same.

As conlleval, the script of the CoNLL shared tasks, counts: an entity is right if its first and last word and its type
are. A tag `I-X` that follows no `X` begins an entity, so that any answer of a model can be counted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

OUTSIDE = "O"
IGNORED = -100
"""The value of a position that counts neither in training nor in a metric: torch's default."""

_TAG = re.compile(r"([BIELSUM])-(.+)", re.DOTALL)
_BEGINS = "BSU"
"""B of IOB; S (single) of IOBES and U (unit) of BILOU are entities of one word."""


def are_entities(tags: Collection[str]) -> bool:
    """Whether tags mark entities: `O`, and `B-X`, `I-X` and so on of IOB, IOBES, BILOU or BMES."""
    others = [tag for tag in tags if tag != OUTSIDE]
    # Without `O`, `S-a` and `L-b` may be anything.
    sure = OUTSIDE in tags or any(tag[0] in "BI" for tag in others)
    return bool(others) and sure and all(_TAG.fullmatch(tag) for tag in others)


def strangers(counts: Mapping[str, int]) -> list[str]:
    """Tags that mark no entity where most do: slips, or the headings of columns. The most frequent come first.

    Args:
        counts: words of each tag.
    """
    others = {tag: n for tag, n in counts.items() if tag != OUTSIDE and not _TAG.fullmatch(tag)}
    marking = sum(n for tag, n in counts.items() if _TAG.fullmatch(tag))
    return sorted(others, key=lambda tag: (-others[tag], tag)) if marking > sum(others.values()) else []


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Tags of a sentence in any of these schemes as IOB2: `B-X` begins each entity, `I-X` goes on with it."""
    written, before = [], ""
    for tag in tags:
        if tag == OUTSIDE:
            written.append(tag)
            before = ""
            continue
        prefix, kind = tag[0], tag[2:]
        begins = prefix in _BEGINS or kind != before
        written.append(f"{'B' if begins else 'I'}-{kind}")
        # After a last word, the next one begins anew.
        before = "" if prefix in "ELSU" else kind
    return written


@dataclass(frozen=True)
class Scheme:
    """What the tags of a model mean.

    Attributes:
        types: of entities, by name; none where tags mark no entities.
        of_tag: the type of each tag, int64 [K]; -1 for `O`.
        begins: whether a tag begins an entity whatever stands before it, bool [K].
    """

    types: tuple[str, ...]
    of_tag: Ints
    begins: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, tags: Sequence[str]) -> Scheme:
        """Of the tags in the order of a model's outputs, IOB2."""
        if not are_entities(tags):
            return cls((), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_))
        types = tuple(sorted({tag[2:] for tag in tags if tag != OUTSIDE}))
        places = {name: place for place, name in enumerate(types)}
        of_tag = np.array([-1 if tag == OUTSIDE else places[tag[2:]] for tag in tags], dtype=np.int64)
        return cls(types, of_tag, np.array([tag[0] == "B" for tag in tags], dtype=np.bool_))

    def entities(self, tags: npt.NDArray[np.integer]) -> tuple[Ints, Ints]:
        """The entities that begin at each word.

        Args:
            tags: [N, W]; `IGNORED` after the last word.

        Returns:
            types [N, W], -1 where none begins; and the word after the last one, [N, W].
        """
        words = tags.shape[1]
        types = np.where(tags == IGNORED, -1, self.of_tag[np.maximum(tags, 0)])
        before = np.pad(types, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
        inside = types >= 0
        begins = inside & (self.begins[np.maximum(tags, 0)] | (types != before))
        # An entity ends before the next word that begins one or is in none.
        stops = np.where(begins | ~inside, np.arange(words), words)
        after = np.pad(stops, ((0, 0), (0, 1)), constant_values=words)[:, 1:]
        ends = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1]
        return np.where(begins, types, -1), ends

    def counts(self, predicted: npt.NDArray[np.integer], actual: npt.NDArray[np.integer]) -> tuple[Ints, Ints, Ints]:
        """Entities of each type that are right, that there are, and that are said to be: int64 [N, types] each.

        Args:
            predicted, actual: tags [N, W]; `IGNORED` after the last word.
        """
        (said, said_ends), (true, true_ends) = self.entities(predicted), self.entities(actual)
        both = np.where((said == true) & (said_ends == true_ends), true, -1)
        right, there, claimed = (_of_types(each, len(self.types)) for each in (both, true, said))
        return right, there, claimed


def words_only(targets: npt.NDArray[np.integer], *others: npt.NDArray[np.integer]) -> list[npt.NDArray[np.integer]]:
    """Tags of positions as tags of words: those that count move to the front, the rest is `IGNORED`.

    Args:
        targets: [N, L]; `IGNORED` where a position does not count.
        others: [N, L], as the answers for all positions.

    Returns:
        [N, W] each, W the most words of a row.
    """
    counts = targets != IGNORED
    order = np.argsort(~counts, axis=1, kind="stable")[:, : max(1, int(counts.sum(axis=1).max(initial=0)))]
    valid = np.take_along_axis(counts, order, axis=1)
    return [np.where(valid, np.take_along_axis(each, order, axis=1), IGNORED) for each in (targets, *others)]


def f1(right: float, there: float, claimed: float) -> float | None:
    """2 right / (there + claimed); None where there is neither."""
    return 2.0 * right / (there + claimed) if there + claimed else None


def _of_types(types: Ints, count: int) -> Ints:
    """How often each type stands in each row: [N, W] -> [N, count]."""
    rows, places = np.nonzero(types >= 0)
    cells = rows * count + types[rows, places]
    return np.bincount(cells, minlength=len(types) * count).reshape(len(types), count).astype(np.int64)
