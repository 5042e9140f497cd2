"""What lies at the path that was named, and what the user said of it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from samebits.base.errors import UserError, listed
from samebits.base.paths import Project
from samebits.data.fetching.archives import Member, list_tree
from samebits.data.fetching.leftovers import is_leftover
from samebits.data.readers.image.pixels import has_image_ending
from samebits.data.readers.reader import Source
from samebits.data.readers.splits import split_of
from samebits.data.readers.text.documents import SUFFIXES
from samebits.params.data import DataParams

Predict = Literal["number", "class"]


@dataclass(frozen=True)
class Asked:
    """What the command line says.

    Attributes:
        target: the column to predict.
        predict: whether the target is a number or a class.
        kind: name of a kind of data.
    """

    target: str | None = None
    predict: Predict | None = None
    kind: str | None = None

    def refuse_columns(self, reason: str, fix: str = "leave it out") -> None:
        """Refuse what only data with columns have.

        Raises:
            UserError: with the option and why it does not fit.
        """
        for option, value in (("--target", self.target), ("--predict", self.predict)):
            if value is not None:
                raise UserError(f"{option} {value}{reason}", fix)


@dataclass
class Proposal:
    """What a kind of data makes of a path.

    Attributes:
        recipe: of recipes/, whose values are taken but for `values`.
        values: dotted keys of params.yaml.
        why: of each value that was chosen, a reason; of the kind, one under its name.
        warnings: what may go wrong, each with what to do about it.
    """

    recipe: str
    values: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def set(self, key: str, value: Any, reason: str) -> None:
        """Choose a value, and say why."""
        self.values[key] = value
        self.why[key] = reason


@dataclass(frozen=True)
class Found:
    """A file or a folder below data/raw.

    Attributes:
        path: absolute.
        shown: as `data.source` has it.
        settings: the `data` section with which it is read: the present one's, where that is of the same source.
        members: its files, by name; for a file that is no archive, itself.
        scratch: an empty folder, for what readers unpack.
        read: what was read of it, so that each kind need not read it again.
    """

    path: Path
    shown: str
    settings: DataParams
    members: tuple[Member, ...]
    scratch: Path
    read: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def images(self) -> list[Member]:
        return [each for each in self.members if has_image_ending(each.name)]

    @cached_property
    def texts(self) -> list[Member]:
        return [each for each in self.members if PurePosixPath(each.name).suffix.lower() in SUFFIXES]

    @property
    def suffix(self) -> str:
        """Of a file, in small letters."""
        return self.path.suffix.lower()

    @property
    def is_folder(self) -> bool:
        """Whether it holds files: a folder, or an archive of one."""
        return self.path.is_dir() or self.path.name.lower().endswith(ARCHIVES)

    def lists(self) -> list[Member]:
        """The CSV files at its top."""
        return [each for each in self.members if "/" not in each.name and each.name.lower().endswith(TABLES)]

    def class_counts(self, members: list[Member]) -> Counter[str]:
        """Files below each first folder; where these are splits, below each second one."""
        parts = [PurePosixPath(each.name).parts for each in members]
        deep = {each[0] for each in parts if len(each) > 1}
        splits = bool(deep) and all(split_of(name) for name in deep) and any(split_of(n) == "train" for n in deep)
        return Counter(each[splits] for each in parts if len(each) > 1 + splits)

    def source(self, settings: DataParams | None = None) -> Source:
        """For the readers."""
        return Source(self.path.stem, settings or self.settings, None, {}, self.path, self.scratch, lambda _: None)

    def contents(self) -> str:
        """A phrase for people."""
        endings = Counter(PurePosixPath(each.name).suffix.lower() or "without an ending" for each in self.members)
        return listed([f"{n:,} {ending}" for ending, n in endings.most_common(5)], 5) or "no file"


ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
TABLES = (".csv", ".tsv")
PARQUET = (".parquet", ".pq")


@contextmanager
def look_at(path: Path, shown: str, settings: DataParams, project: Project) -> Iterator[Found]:
    """A path's files, for as long as they are needed; an archive is unpacked for that time.

    Raises:
        UserError: for an archive that is damaged, or a folder without a file.
    """
    project.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.state, prefix="start-") as scratch:
        folder = Path(scratch)
        found = Found(path, shown, settings, (), folder)
        if found.is_folder:
            members = list_tree(path, folder)[0]
        else:
            members = [Member(path.name, path, 0, path.stat().st_size)]
        kept = tuple(each for each in members if not is_leftover(each.name))
        yield Found(path, shown, settings, kept, folder)
