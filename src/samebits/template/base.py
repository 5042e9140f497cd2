"""`.samebits-template.json`: the files of a project as its template had them, the base of the next three-way merge.

It is committed with the project, so that every clone can be brought to another release without the old one, without a
network, and whatever became of the history. It is written by `samebits new` and `samebits update`, never by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.files import read_json, write_json

BASE = ".samebits-template.json"


@dataclass(frozen=True)
class Base:
    """What a project was made of, or last brought to.

    Attributes:
        release: of samebits.
        name: of the project.
        files: path to text.
        lock_sha256: of requirements.lock.
    """

    release: str
    name: str
    files: Mapping[str, str]
    lock_sha256: str


def read_base(workspace: Path) -> Base:
    """The base of a project.

    Raises:
        UserError: if there is none, or it is damaged.
    """
    file = workspace / BASE
    if not file.is_file():
        raise UserError(
            f"{workspace} was not made by samebits new: it has no {BASE}",
            "a clone of samebits itself is brought up to date by git pull; a project of your own: samebits new NAME",
        )
    try:
        value = read_json(file)
        texts = (value["release"], value["name"], value["requirements.lock"])
        files = value["files"]
        if not all(isinstance(each, str) for each in (*texts, *files, *files.values())):
            raise TypeError
    except (KeyError, TypeError, AttributeError, UserError):
        raise UserError(f"{file} is damaged", f"restore it: git checkout {BASE}") from None
    return Base(texts[0], texts[1], files, texts[2])


def write_base(workspace: Path, base: Base) -> None:
    """Write it."""
    value = {"release": base.release, "name": base.name, "requirements.lock": base.lock_sha256, "files": base.files}
    write_json(workspace / BASE, value)
