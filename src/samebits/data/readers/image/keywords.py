"""Images with several keywords each, which stand in drawings of the same name: a tar of images (role `images`) and one
of SVG files (role `drawings`), as Openclipart's packages are.

The card's `classes` are the keywords that are learnt. An image without one of them is no sample: its keywords are
others, not none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from samebits.base.errors import UserError
from samebits.data.fetching.archives import Member, list_members
from samebits.data.readers.image.folder import Labelled, gather
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.reader import Rejected, Source

_SUBJECT = re.compile(rb"<dc:subject>.*?</dc:subject>", re.DOTALL)
_KEYWORD = re.compile(rb"<rdf:li[^>]*>([^<]*)</rdf:li>")
_NO_FIXES = {"group": "set data.split: hash", "time": "set data.split: hash"}


def read(source: Source) -> RawImages:
    """The images of a card with such of their keywords as it names.

    Raises:
        UserError: for data of one's own, a `data.target_kind` other than `labels`, or a keyword that no image has.
    """
    card = source.catalogued
    if source.settings.target_kind not in ("auto", "labels"):
        raise UserError(
            f"data.target_kind is {source.settings.target_kind!r}, and an image of {source.name} has several keywords",
            "set data.target_kind: labels",
        )
    drawings, images = (
        {_key(each, card.root): each for each in list_members(source.files[card.file(role).name], source.scratch)}
        for role in ("drawings", "images")
    )
    wanted = set(card.classes)
    labelled: list[Labelled] = []
    rejected: list[Rejected] = []
    for key, image in sorted(images.items()):
        if not key:
            continue
        drawing = drawings.get(key)
        found = wanted & set(keywords(drawing.read())) if drawing else set()
        if found:
            labelled.append(Labelled(image, "; ".join(sorted(found))))
        else:
            why = "it has none of the card's keywords" if drawing else "it has no drawing"
            rejected.append(Rejected(image.name, why, other=True))
    if missing := sorted(wanted - {name for each in labelled for name in each.label.split("; ")}):
        raise UserError(f"{source.name} has no image of {', '.join(missing)}", "correct `classes` of its card")
    settings = source.settings.model_copy(update={"target_kind": "labels"})
    return gather(replace(source, settings=settings), labelled, rejected, _NO_FIXES)


def keywords(svg: bytes) -> Iterator[str]:
    """The keywords in a drawing's metadata, in small letters."""
    for subject in _SUBJECT.findall(svg):
        for found in _KEYWORD.findall(subject):
            yield " ".join(found.decode("utf-8", "replace").replace("_", " ").lower().split())


def _key(member: Member, root: str) -> str:
    """A member's path without its ending, below the folder of its kind below `root`; empty for one that lies elsewhere.

    `usr/share/openclipart/svg/food/apple.svg` -> `food/apple`.
    """
    path = PurePosixPath(member.name)
    if not path.is_relative_to(root):
        return ""
    return PurePosixPath(*path.relative_to(root).parts[1:]).with_suffix("").as_posix()
