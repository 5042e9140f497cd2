"""Readers: from files to samples that can be split and encoded.

A reader is a module with a function `read(source: Source) -> Raw`, found by the format of the source: the card's
`format`, or `data.format` for data of one's own. To add one: write the file, add its line to `SOURCES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError, listed
from samebits.base.registry import load_module, nearest
from samebits.data.fetching.catalog import Card
from samebits.data.readers.sample_hashes import Hashes
from samebits.params.data import DataParams
from samebits.signature.signature import TARGETS, Signature, Target

if TYPE_CHECKING:
    from samebits.data.readers.image.decode import Images

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]

SOURCES: dict[str, str] = {
    "cifar": "samebits.data.readers.image.cifar",
    "idx": "samebits.data.readers.image.idx",
    "image_csv": "samebits.data.readers.image.csv_list",
    "image_cutouts": "samebits.data.readers.image.cutouts",
    "image_folder": "samebits.data.readers.image.folder",
    "image_keywords": "samebits.data.readers.image.keywords",
    "image_masks": "samebits.data.readers.image.masks",
    "mail": "samebits.data.readers.text.mail",
    "own": "samebits.data.readers.own.own",
    "paragraphs": "samebits.data.readers.text.paragraphs",
    "passages": "samebits.data.readers.text.passages",
    "running_text": "samebits.data.readers.text.running_text",
    "table": "samebits.data.readers.table.table",
    "tagged_text": "samebits.data.readers.text.tagged",
    "text_csv": "samebits.data.readers.text.csv_file",
    "text_folder": "samebits.data.readers.text.folder",
    "text_jsonl": "samebits.data.readers.text.jsonl",
}
"""Format -> module of its reader."""

_WITH_COLUMNS = {"image_csv", "table", "tagged_text", "text_csv", "text_jsonl"}


@dataclass(frozen=True)
class Source:
    """What a reader gets.

    Attributes:
        name: of the data set.
        settings: the `data` section.
        card: of a catalogued data set, else None.
        files: path of each of the card's files, by the file's name.
        path: the user's own file or folder, else None.
        scratch: an empty folder for whatever does not fit in memory; it is removed afterwards.
        say: prints a line.
        raw: the folder data/raw of the workspace, for what a setting names beside the source.
        find_asset: see `asset`.
        images: where decoded images come from, for `samebits.data.readers.image.decode.decode`.
    """

    name: str
    settings: DataParams
    card: Card | None
    files: Mapping[str, Path]
    path: Path | None
    scratch: Path
    say: Callable[[str], None]
    raw: Path = Path("data/raw")
    find_asset: Callable[[str, str, str], Path] | None = None
    images: Images | None = None

    @property
    def catalogued(self) -> Card:
        """The card.

        Raises:
            UserError: for a reader that needs one, if the data are the user's own.
        """
        if self.card is None:
            raise UserError(
                f"data.format {self.settings.format!r} is for catalogued data",
                "set data.format to one for data of your own; docs/data.md lists them",
            )
        return self.card

    @property
    def own(self) -> Path:
        """The user's file or folder, or the single file of a card.

        Raises:
            UserError: if the card has several files.
        """
        if self.path is not None:
            return self.path
        if len(self.files) != 1:
            kind = self.settings.format or "its format"
            raise UserError(
                f"the card {self.name} has {len(self.files)} files, {kind} reads one", "use a card of one file"
            )
        return next(iter(self.files.values()))

    @property
    def own_name(self) -> str:
        """What the user calls the file or folder `own`."""
        return self.path.name if self.path is not None else next(iter(self.files))

    def asset(self, name: str, file: str, key: str) -> Path:
        """A file that the data need beside themselves, such as a given tokeniser.

        Args:
            name: a card of weights, which has it, or its path below data/raw.
            file: what it is called on the card.
            key: the parameter that names it, for messages.

        Raises:
            UserError: if it cannot be had.
        """
        if self.find_asset is None:
            raise UserError(f"{key} {name!r} cannot be looked up here", "run the stage: dvc repro prepare")
        return self.find_asset(name, file, key)


@dataclass(frozen=True)
class Rejected:
    """A sample that cannot be used, and why.

    Attributes:
        label: its class, where that is known: a class of which nothing is left must be reported.
        other: a file of another kind that lies beside the samples: it is no fault of the data, and does not count
            towards `data.max_rejected_fraction`.
    """

    id: str
    reason: str
    label: str | None = None
    other: bool = False


def others_line(rejected: Sequence[Rejected]) -> str:
    """How many files of other kinds were set aside, by their endings, as a line; empty if there are none."""
    endings = Counter(PurePosixPath(each.id).suffix.lower() or "no ending" for each in rejected if each.other)
    if not endings:
        return ""
    found = listed([f"{n:,} {ending}" for ending, n in sorted(endings.items(), key=lambda item: (-item[1], item[0]))])
    return f"{endings.total():,} other files are no samples: {found} (set_aside.csv)"


def require_kept(shown: str, named: Collection[str], kept: Collection[str], rejected: Sequence[Rejected]) -> None:
    """Refuse a class that the source has and of which no sample is left: the model would not know it.

    A label that only one broken sample has may be a slip of the pen; it is reported with what is set aside.

    Args:
        shown: what the source is called.
        named: classes that it says it has, by its folders or its card.
        kept: the labels of the samples that can be used.

    Raises:
        UserError: with the classes and a reason.
    """
    gone = Counter(each.label for each in rejected if each.label is not None and each.label.strip())
    known = dict.fromkeys([*sorted(named), *(label for label, n in gone.items() if n > 1)])
    lost = [label for label in known if label not in kept]
    if not lost:
        return
    why = next((f"; {each.id}: {each.reason}" for each in rejected if each.label == lost[0]), "")
    raise UserError(
        f"{shown}: no usable sample of the class {listed([label[:60] for label in lost])}{why}",
        "fix its samples, add others, or take it out of the source (of a card: out of `classes`)",
    )


@dataclass(frozen=True, eq=False)
class Names(Sequence[str]):
    """Names of rows, made when they are asked for.

    Attributes:
        of: a number -> its name.
        numbers: int64 [n].
    """

    of: Callable[[int], str]
    numbers: Int64

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self.of(number) for number in self.numbers[at].tolist()]
        return self.of(int(self.numbers[at]))


@dataclass(frozen=True)
class SplitData:
    """One split, ready to be written.

    Attributes:
        count: samples.
        read: row numbers of the split, int64 [k] -> samples [k, *row_shape] of the signature's type.
        targets: int64 or float32 [count]; None where the inputs hold them.
        hashes: uint8 [count, 32].
        ids, origins: one each.
        groups: of each sample, where the split kept them together.
    """

    count: int
    read: Callable[[Int64], Array]
    targets: Array | None
    hashes: Hashes
    ids: Sequence[str]
    origins: Sequence[str]
    groups: Sequence[str] | None = None

    def __len__(self) -> int:
        return self.count


@dataclass(frozen=True)
class Encoded:
    """Samples as they are stored, with what was fitted on the training split.

    Attributes:
        splits: `train`, `validation`, `test`.
        files: to be written beside the shards, such as `tokenizer.json`.
        audit: findings of this kind of data, for `dataset.json`: JSON values.
        remarks: the same, as lines for people.
    """

    signature: Signature
    splits: dict[str, SplitData]
    files: dict[str, bytes] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Raw(ABC):
    """Every usable sample of a source, in the order of the source, before it is split and encoded.

    Attributes:
        ids: n names that are unique in the data set and stay with the sample (`train/000123`).
        origins: n places that a person can look up (`train-images-idx3-ubyte#123`).
        hashes: SHA-256 of each sample's content without its target, uint8 [n, 32].
        targets: class indices int64 [n], numbers float32 [n]; None where the inputs hold them.
        classes: class names, where targets are classes.
        target_kind: the kind of target.
        target_name: of the column that holds it.
        given: `train`, `validation` or `test` of each sample, where the source decides it; ""
            where it leaves one open.
        groups: for `data.split: group`, n keys; samples of one key stay together.
        times: for `data.split: time`, n sortable values.
        split_fixes: how the user can say what `group` or `time` a sample is of, where the reader can be told.
        set_aside: samples that could not be used.
    """

    ids: Sequence[str]
    origins: Sequence[str]
    hashes: Hashes
    targets: Array | None
    classes: tuple[str, ...] = ()
    target_kind: str = "class"
    target_name: str = "label"
    given: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    times: Array | None = None
    split_fixes: Mapping[str, str] = field(default_factory=dict)
    set_aside: tuple[Rejected, ...] = ()

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def labels(self) -> Int64 | None:
        """The class of each sample, int64 [n]; None where a sample has not one class."""
        return self.targets if self.target_kind == "class" else None

    def class_counts(self, rows: Int64) -> list[int]:
        """Samples of each class among some; empty without classes."""
        if self.targets is None:
            return []
        return TARGETS[self.target_kind].class_counts(self.targets[rows], len(self.classes))

    def fitted_target(self, training: Int64) -> Target:
        """The kind of target with what the training samples say of it."""
        targets = np.empty(0) if self.targets is None else self.targets[training]
        return cast(Target, TARGETS[self.target_kind].fit(targets, self.classes, self.target_name))

    @abstractmethod
    def encode(self, splits: Mapping[str, Int64]) -> Encoded:
        """Fit on the training split and encode all.

        Args:
            splits: of each split, its samples, int64, ascending.
        """

    def subset(self, rows: Int64, read: Callable[[Int64], Array]) -> SplitData:
        """Samples `rows` as a split, where one sample is one stored row.

        Args:
            read: sample numbers of the source -> stored rows.
        """
        return SplitData(
            count=len(rows),
            read=lambda of_split: read(rows[of_split]),
            targets=None if self.targets is None else self.targets[rows],
            hashes=self.hashes[rows],
            ids=Names(self.ids.__getitem__, rows),
            origins=Names(self.origins.__getitem__, rows),
            groups=None if self.groups is None else Names(self.groups.__getitem__, rows),
        )


def known_format(name: str) -> None:
    """Refuse a format that has no reader, before anything is fetched for it.

    Raises:
        UserError: with the nearest known one.
    """
    if name not in SOURCES:
        near = nearest(name, list(SOURCES))
        hint = f"did you mean {near}? " if near else ""
        raise UserError(f"{name!r} is no format of data", f"{hint}known: {', '.join(sorted(SOURCES))}")


def read_source(name: str, source: Source) -> Raw:
    """Read a source in the format `name`.

    Raises:
        UserError: for an unknown format, a setting that names a column of a format that has none, or files that are not
            what it takes.
    """
    for key in () if name in _WITH_COLUMNS else ("split_column", "group_column", "time_column"):
        column = getattr(source.settings, key)
        if column is not None:
            raise UserError(
                f"data.{key} is {column!r}, but {source.name} has no columns",
                f"take data.{key} out of params.yaml; what splits such a source can have: docs/data.md",
            )
    raw: Raw = load_module("format of data", name, SOURCES).read(source)
    return raw
