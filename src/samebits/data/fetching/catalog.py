"""Catalogue cards: what a public data set is, what its files hash to, and where they can be had.

A card is `data/catalog/NAME.yaml`. The files are pinned by the SHA-256 of their unpacked bytes, so it does not
matter which place they come from. A card of `format: weights` is of a pretrained model, for `transfer.weights`.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from samebits.base.errors import UserError
from samebits.params.yaml_file import read_yaml

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Member = Annotated[str, Field(pattern=r"^[^/\\].*\{name\}")]
_NAME = re.compile(r"^[a-z0-9][a-z0-9_]*$")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CardFile(_Strict):
    """One unpacked file.

    Attributes:
        name: its file name, also the `{name}` of the places.
        role: what the reader takes it for.
        sha256: of the unpacked bytes.
        bytes: length, unpacked.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    role: str = Field(min_length=1)
    sha256: Sha256
    bytes: int = Field(gt=0)


class _Place(_Strict):
    """Where files can be had.

    Attributes:
        files: names of those of the card's files that it has; none: it has them all.
    """

    files: list[str] = Field(default=[])


class UrlPlace(_Place):
    """Files at an address. `base` holds `{name}`; `unpack` says how they are compressed there."""

    kind: Literal["url"]
    base: str = Field(pattern=r"^https?://[^/]+/.*\{name\}")
    unpack: Literal["gzip", "none"] = "none"


class NpmPlace(_Place):
    """Members of a package, fetched by the npm client, or without `member` the .tgz. `sha256` is the .tgz's."""

    kind: Literal["npm"]
    package: str = Field(pattern=r"^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$")
    version: str = Field(pattern=r"^[0-9][0-9A-Za-z.+-]*$")
    sha256: Sha256
    member: Member | None = None
    unpack: Literal["gzip", "none"] = "none"


class DebianPlace(_Place):
    """Members of a Debian package, fetched by apt-get, or without `member` the tar of its files.

    `sha256`, of the .deb, differs from release to release: optional.
    """

    kind: Literal["debian"]
    package: str = Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")
    version: str | None = Field(default=None, pattern=r"^[0-9][0-9A-Za-z.+~:-]*$")
    sha256: Sha256 | None = None
    member: Member | None = None
    unpack: Literal["gzip", "none"] = "none"


class PypiPlace(_Place):
    """Members of a wheel, fetched by pip, never installed; without `member` the wheel. `sha256` is the wheel's."""

    kind: Literal["pypi"]
    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[0-9][0-9A-Za-z.+!-]*$")
    sha256: Sha256
    member: Member | None = None
    unpack: Literal["gzip", "none"] = "none"


class FolderPlace(_Place):
    """A local folder that holds the unpacked files, for sites without a network."""

    kind: Literal["folder"]
    path: str = Field(min_length=1)


Place = Annotated[UrlPlace | NpmPlace | DebianPlace | PypiPlace | FolderPlace, Field(discriminator="kind")]


class Card(_Strict):
    """A data set.

    Attributes:
        name: the card's own name, as in `data/catalog/NAME.yaml`.
        format: the reader, a key of `samebits.data.readers.reader.SOURCES`.
        classes: class names where the files hold indices into them, or the folders or keywords to read; else the reader
            finds them.
        root: of an archive, the folder in it that is read.
        places: tried in order.
    """

    name: str
    title: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    homepage: str = Field(pattern=r"^https?://")
    format: str = Field(min_length=1)
    classes: list[str] = Field(default=[])
    root: str = Field(default="", pattern=r"^([^/\\]+(/[^/\\]+)*)?$")
    files: list[CardFile] = Field(min_length=1)
    places: list[Place] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        for what, values in (
            ("classes", self.classes),
            ("file names", [file.name for file in self.files]),
            ("roles", [file.role for file in self.files]),
        ):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"{what} stand twice: {', '.join(twice)}")
        missing = sorted(_ROLES.get(self.format, frozenset()) - {file.role for file in self.files})
        if missing:
            raise ValueError(f"format {self.format} needs a file for: {', '.join(missing)}")
        if self.format in _WITH_CLASSES and len(self.classes) < _FEWEST_CLASSES:
            raise ValueError(f"format {self.format} needs at least {_FEWEST_CLASSES} classes")
        for place in self.places:
            member = getattr(place, "member", None)
            if member is not None and ".." in PurePosixPath(member).parts:
                raise ValueError(f"member {member!r} leaves its package")
            if strange := sorted({*place.files} - {file.name for file in self.files}):
                raise ValueError(f"a place has files that the card does not name: {', '.join(strange)}")
            if member is None and isinstance(place, NpmPlace | DebianPlace | PypiPlace) and len(self.at(place)) > 1:
                raise ValueError(f"{place.kind} {place.package} without `member` is one file, the card has more")
        return self

    def at(self, place: Place) -> list[CardFile]:
        """The files that a place has."""
        return [file for file in self.files if not place.files or file.name in place.files]

    def file(self, role: str) -> CardFile:
        """The file with a role."""
        return next(file for file in self.files if file.role == role)


CATALOG = "data/catalog"

WEIGHTS = "weights"
"""Format of a card whose files are a pretrained model's; the one with the role `model` holds its tensors: safetensors
if its name ends so, else as torch.save writes them."""

_ROLES: dict[str, frozenset[str]] = {
    "idx": frozenset({"train/images", "train/labels", "test/images", "test/labels"}),
    "image_keywords": frozenset({"images", "drawings"}),
    WEIGHTS: frozenset({"model"}),
}
"""Of each format whose files have roles, the roles that it needs."""

_WITH_CLASSES = {"cifar", "idx", "image_keywords"}
"""Formats whose files hold class indices or too many classes, so that the card must name the classes."""

_FEWEST_CLASSES = 2


def card_names(catalog: Path) -> list[str]:
    """Names of the cards in a catalogue, sorted."""
    return sorted(path.stem for path in catalog.glob("*.yaml"))


def load_card(catalog: Path, name: str) -> Card:
    """Read and check a card.

    Args:
        catalog: the folder `data/catalog`.
        name: as in `data/catalog/NAME.yaml`.

    Raises:
        UserError: unknown name (with the nearest one), or a card with mistakes (all of them).
    """
    path = catalog / f"{name}.yaml"
    if not _NAME.match(name) or not path.is_file():
        raise UserError(*_unknown(catalog, name))
    value = read_yaml(path, f"data/catalog/{path.name}")
    try:
        card = Card.model_validate(value)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or '(card)'}: {e['msg']}" for e in error.errors()]
        raise UserError("\n".join([f"data/catalog/{path.name} has mistakes:", *lines]), "correct the card") from None
    if card.name != name:
        raise UserError(f"data/catalog/{path.name} calls itself {card.name!r}", f"set `name: {name}` in it")
    return card


def local_folders(card: Card) -> list[FolderPlace]:
    """Folders that the environment puts in front of the card's own places: `SAMEBITS_DATA`."""
    # Either the files themselves, or one folder a card.
    parts = environment_folders()
    return [FolderPlace(kind="folder", path=path) for part in parts for path in (str(Path(part) / card.name), part)]


def environment_folders() -> list[str]:
    """The folders of `SAMEBITS_DATA`."""
    return [part for part in os.environ.get("SAMEBITS_DATA", "").split(os.pathsep) if part]


def is_path(name: str) -> bool:
    """Whether what a setting names is a file or folder, and no card."""
    return "/" in name or "\\" in name or "." in name


def card_of(source: str) -> str | None:
    """The card's name where `data.source` is `data/catalog/NAME.yaml`; None for another path."""
    path = PurePosixPath(source)
    return path.stem if str(path.parent) == CATALOG and path.suffix == ".yaml" else None


def _unknown(catalog: Path, name: str) -> tuple[str, str]:
    known = card_names(catalog)
    if not known:
        return f"there are no cards in {catalog}", "restore them: git checkout data/catalog"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    fix = f"did you mean {near[0]!r}? " if near else ""
    return (
        f"{name!r} is no card of data/catalog",
        f"{fix}known: {', '.join(known)}; or add data/catalog/NAME.yaml",
    )
