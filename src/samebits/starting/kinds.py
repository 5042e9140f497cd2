"""The kinds of data that `samebits start` knows: one line each.

A kind has two functions: `fits(found)` says in a phrase why data look like its own, or "" if they do not;
`propose(found, asked)` chooses recipe and values. To add one: write its file, add its line to `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.starting import images, masks, running_text, tables, tagged, texts
from samebits.starting.found import Asked, Found, Proposal


@dataclass(frozen=True)
class Kind:
    """One kind of data; its name is the `data.format`.

    Attributes:
        sure: data that fit are of no other kind, though they may look so.
    """

    fits: Callable[[Found], str]
    propose: Callable[[Found, Asked], Proposal]
    sure: bool = False


KINDS: dict[str, Kind] = {
    "image_folder": Kind(images.fits_folder, images.propose_folder),
    "image_csv": Kind(images.fits_list, images.propose_list),
    "image_masks": Kind(masks.fits, masks.propose),
    "text_folder": Kind(texts.fits_folder, texts.propose_folder),
    "text_csv": Kind(texts.fits_csv, texts.propose_csv),
    "text_jsonl": Kind(texts.fits_jsonl, texts.propose_jsonl),
    "tagged_text": Kind(tagged.fits, tagged.propose, sure=True),
    "running_text": Kind(running_text.fits, running_text.propose),
    "table": Kind(tables.fits, tables.propose),
}


_FOREIGN = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save the sheet as CSV, and start with that"),
    ".json": "write one object a line, as JSON Lines (.jsonl); numbers and categories: as CSV",
    **dict.fromkeys((".npy", ".npz"), "write a table as CSV or Parquet, images as files in a folder per class"),
}
"""Endings of files that hold data in another form, and what to do."""


def propose(found: Found, asked: Asked) -> Proposal:
    """The one kind that fits, or that was asked for, with what it chooses.

    Raises:
        UserError: if none fits or several do, with the choices; whatever keeps the data from being read.
    """
    if asked.kind is not None:
        if asked.kind not in KINDS:
            near = nearest(asked.kind, list(KINDS))
            hint = f"did you mean {near}? " if near else ""
            raise UserError(f"there is no kind of data {asked.kind!r}", f"{hint}known: {', '.join(KINDS)}")
        name, reason = asked.kind, "asked for by --kind"
    else:
        fitting = _fitting(found)
        if not fitting and not found.is_folder and found.suffix in _FOREIGN:
            raise UserError(f"{found.shown}: files that end in {found.suffix} are not read", _FOREIGN[found.suffix])
        if not fitting:
            raise UserError(
                f"{found.shown} holds {found.contents()}: no kind of data that can be trained on as it lies there",
                "lay it out as docs/data.md shows (images: a folder per class, or a CSV beside them with the columns "
                f"path and label; tables: CSV or Parquet; texts: CSV, JSON Lines, folders), or say --kind: {_known()}",
            )
        if len(fitting) > 1:
            choices = "".join(f"\n    --kind {name}: {why}" for name, why in fitting.items())
            raise UserError(f"{found.shown} can be read in {len(fitting)} ways:{choices}", "choose one of these")
        name, reason = next(iter(fitting.items()))
    proposal = KINDS[name].propose(found, asked)
    proposal.values = {"data.source": found.shown, "data.format": name, **proposal.values}
    proposal.why = {"data.format": reason, **proposal.why}
    return proposal


def _fitting(found: Found) -> dict[str, str]:
    """The kinds that data look like, with why; a sure one before all others, which may not be able to read them."""
    for sure in (True, False):
        if fitting := {name: why for name, kind in KINDS.items() if kind.sure is sure and (why := kind.fits(found))}:
            return fitting
    return {}


def _known() -> str:
    return ", ".join(KINDS)
