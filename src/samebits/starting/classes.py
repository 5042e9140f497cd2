"""What the counts of classes say before a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from samebits.base.errors import UserError, listed

_FEW = 20
_UNEVEN = 10


def class_warnings(counts: Mapping[str, int], what: str) -> list[str]:
    """Few samples of a class, and classes of very different sizes.

    Raises:
        UserError: for fewer than two classes.
    """
    if len(counts) < 2:
        found = f"one class, {next(iter(counts))!r}" if counts else "no class"
        raise UserError(f"the data have {found}: there is nothing to tell apart", "a classifier needs two classes")
    return list(_warnings(counts, what))


def _warnings(counts: Mapping[str, int], what: str) -> Iterator[str]:
    few = sorted(name for name, n in counts.items() if n < _FEW)
    if few:
        shown = listed([f"{name} {counts[name]:,}" for name in few], 5)
        yield f"fewer than {_FEW} {what} of {shown}: scores of such classes say little, and about a third is held out"
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] >= _UNEVEN * counts[least]:
        yield (
            f"classes are uneven: {counts[most]:,} {what} of {most}, {counts[least]:,} of {least}; macro F1 shows what "
            "accuracy hides, task.class_weights: balanced counts rare classes more"
        )
