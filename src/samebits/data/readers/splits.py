"""Splits and classes that a source gives by names: one list of words for folders and cells, of every reader."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from samebits.base.errors import UserError, listed
from samebits.data.fetching.archives import Member

_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLITS = {word: split for split, words in _WORDS.items() for word in words}

_MORE = "; ".join(", ".join(words[1:]) for words in _WORDS.values())
KNOWN = f"train, validation or test (or {_MORE}; in any case)"
"""The words, for messages."""


def split_of(name: str) -> str | None:
    """`train`, `validation` or `test` for a folder or a cell that names a split, in any case; else None."""
    return _SPLITS.get(name.strip().lower())


def are_splits(shown: str, folders: Collection[str]) -> bool:
    """Whether the first folders of a source are splits, so that the classes lie below them.

    Without a training folder, folders such as `valid` and `invalid` are classes.

    Args:
        shown: what the source is called.
        folders: the names of its first folders.

    Raises:
        UserError: if they can be read both ways: `train` beside folders that are no split, or splits without `train`.
    """
    splits = sorted(name for name in folders if split_of(name))
    others = sorted(name for name in folders if not split_of(name))
    has_train = any(split_of(name) == "train" for name in splits)
    if not splits or (others and not has_train):
        return False
    if not others and has_train:
        return True
    problem = (
        f"{shown}: {listed(splits)} can be splits, but {listed(others)} cannot; or all of them are classes"
        if others
        else f"{shown}: {listed(splits)} can be splits without a training split, or classes"
    )
    move = f"move {listed(others)} out of it" if others else "add a folder train"
    first = next(name for name in splits if others == [] or split_of(name) == "train")
    raise UserError(
        problem,
        f"if they are splits, {move}: splits are called {KNOWN}; if they are classes, rename {first} (class-{first})",
    )


def first_folders(members: Iterable[Member]) -> set[str]:
    """The first folder of each member that lies in one."""
    return {first for each in members for first, slash, _ in [each.name.partition("/")] if slash}


def require_filled(shown: str, members: Sequence[Member], folders: Iterable[str], *, splits: bool) -> None:
    """Refuse class folders without a file: a class that was meant, and that the model would not know.

    Args:
        shown: what the source is called.
        members, folders: of `list_tree`.
        splits: whether the first folders are splits, so that the classes lie below them.

    Raises:
        UserError: with the folders.
    """
    wanted = {each for each in folders if "/" not in each}
    if splits:
        wanted |= {each for each in folders if each.count("/") == 1}
    filled: set[str] = set()
    for member in members:
        first, _, rest = member.name.partition("/")
        second, below, _ = rest.partition("/")
        filled.update([first, f"{first}/{second}"] if below else [first])
    empty = sorted(wanted - filled)
    empty = [each for each in empty if each.partition("/")[0] not in empty or "/" not in each]
    if empty:
        raise UserError(
            f"{shown}: no file in the class folder {listed(empty)}",
            "put samples there, or remove the folder (links, hidden files and what desktops leave are no samples)",
        )
