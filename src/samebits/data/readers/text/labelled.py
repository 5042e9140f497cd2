"""Labelled texts, for every reader of them: what is set aside, and from texts to rows of tokens.

Texts lie in a scratch file and rows of tokens in a mapped one, so that memory holds a hash and a name of each text and
no more.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.data.readers.decoding import NotText, clean
from samebits.data.readers.labels import LONGEST_NAME, class_name
from samebits.data.readers.reader import Encoded, Int64, Raw, Rejected, Source, require_kept
from samebits.data.readers.sample_hashes import HASH_BYTES
from samebits.data.readers.splits import split_of
from samebits.data.readers.targets import parse_cells, target_kind
from samebits.data.readers.text.tokenizer import PretrainedTokenizer, encode_texts, fit_tokenizer
from samebits.data.readers.times import no_time, read_times
from samebits.params.text import TextParams
from samebits.signature.signature import Signature
from samebits.signature.target_kind import TargetKind
from samebits.signature.tokens import TOKENIZER

MAX_CLASSES = 10_000

_CHUNK = 512


@dataclass(frozen=True)
class Item:
    """A text as a reader finds it.

    Attributes:
        id: unique in the data set.
        origin: a place that a person can look up.
        text: not cleaned yet.
        label: the class's name; None where it is missing.
        value: the target as `gather` of its kind takes it, where the reader has read it.
        given, group, time: its split, its group and its time as the source writes them, where it does.
    """

    id: str
    origin: str
    text: str
    label: str | None
    given: str | None = None
    group: str | None = None
    time: str | None = None
    value: Any = None


class TextStore:
    """Texts in a file, by number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends = [0]

    def __len__(self) -> int:
        return len(self._ends) - 1

    def extend(self, texts: Iterable[str]) -> Iterator[str]:
        """Append texts one by one; each is yielded once it is written."""
        with self._path.open("ab") as file:
            for text in texts:
                self._ends.append(self._ends[-1] + file.write(text.encode()))
                yield text

    def texts(self, rows: Iterable[int]) -> Iterator[str]:
        """Texts by number, in the order asked for."""
        with self._path.open("rb") as file:
            for row in rows:
                file.seek(self._ends[row])
                yield file.read(self._ends[row + 1] - self._ends[row]).decode()


@dataclass(frozen=True, kw_only=True)
class RawTexts(Raw):
    """Labelled texts.

    Attributes:
        rows: numbers of the samples in the store, int64 [n].
        tokenizer: a given one, or None to train one.
        scratch: folder for the rows of tokens.
        encodings: of how many texts or lines each encoding was, where it had to be found out.
        column: that held the texts; None where each was a file.
    """

    store: TextStore
    rows: Int64
    settings: TextParams
    tokenizer: PretrainedTokenizer | None
    scratch: Path
    encodings: Mapping[str, int] = field(default_factory=dict)
    column: str | None = None

    def encode(self, splits: Mapping[str, Int64]) -> Encoded:
        """Train the tokeniser on the training split (or take the given one) and tokenise all.

        Raises:
            UserError: for a tokeniser that cannot be used.
        """
        training = self.rows[splits["train"]].tolist()
        fitted = fit_tokenizer(self.settings, self.tokenizer, lambda: self.store.texts(training))
        encoded = encode_texts(
            fitted, len(self), lambda: self.store.texts(self.rows.tolist()), self.scratch / "tokens.npy", _CHUNK
        )
        return Encoded(
            signature=Signature(inputs=fitted.inputs(self.column), target=self.fitted_target(splits["train"])),
            splits={name: self.subset(rows, encoded.read) for name, rows in splits.items()},
            files={TOKENIZER: fitted.json},
            audit={"texts": encoded.audit() | {"encodings": dict(sorted(self.encodings.items()))}},
            remarks=(*self._encoding_remarks(), *encoded.remarks(self.settings.length)),
        )

    def _encoding_remarks(self) -> Iterator[str]:
        other = {name: n for name, n in sorted(self.encodings.items()) if name not in {"utf-8", "utf-8-sig", "ascii"}}
        if other:
            found = ", ".join(f"{n:,} as {name}" for name, n in other.items())
            yield f"read as other than UTF-8: {found} (data.encoding, if that is wrong)"


def collect(
    source: Source,
    found: Iterable[Item | Rejected],
    encodings: Counter[str] | None = None,
    *,
    named: Collection[str] = (),
    split_fixes: Mapping[str, str] | None = None,
    fix: str = "",
    column: str | None = None,
    kind: type[TargetKind] | None = None,
    raw: type[RawTexts] = RawTexts,
) -> RawTexts:
    """Clean the texts, set aside those that cannot be used, and name the classes.

    Args:
        encodings: filled while `found` is read.
        named: classes that the source says it has, by its folders or its card; each needs a text.
        split_fixes: as in `Raw`.
        fix: what to do where there is only one class.
        column: that holds the texts, if each is no file.
        kind: of the targets, where each item has its value; else `data.target_kind` says it.
        raw: the class of what is returned.

    Raises:
        UserError: for a class without a usable text, fewer than two classes, or as many as only free text has.
    """
    kind = kind or target_kind(source.settings)
    values: list[Any] = []
    kept: list[Item] = []
    hashes: list[bytes] = []
    rejected: list[Rejected] = []
    store = TextStore(source.scratch / "texts")

    def usable() -> Iterator[str]:
        for each in found:
            text, reason = ("", each.reason) if isinstance(each, Rejected) else _checked(each, of_class=kind is None)
            if kind is not None and isinstance(each, Item) and not reason:
                (value,), (wrong,) = ([each.value], [None]) if each.value else parse_cells(kind, [each.label or ""])
                reason = wrong or ""
                if wrong is None:
                    values.append(value)
            if reason or isinstance(each, Rejected):
                is_other = isinstance(each, Rejected) and each.other
                rejected.append(Rejected(each.id, reason, _canonical(each.label), other=is_other))
                continue
            # The text itself lies in the store.
            given = None if each.given is None else split_of(each.given)
            label, group = _canonical(each.label), _canonical(each.group)
            kept.append(Item(each.id, each.origin, "", label, given, group, each.time))
            hashes.append(hashlib.sha256(text.encode()).digest())
            yield text

    for _ in store.extend(usable()):
        pass
    single: list[Rejected] = []
    if kind is None:
        rows, targets, classes, single = _classes_of(source, kept, rejected, named, fix)
    else:
        rows = np.arange(len(kept), dtype=np.int64)
        targets, classes = kind.gather(values)
    chosen = [kept[k] for k in rows.tolist()]
    digests = np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, HASH_BYTES)
    return raw(
        ids=[item.id for item in chosen],
        origins=[item.origin for item in chosen],
        hashes=digests[rows],
        targets=targets,
        classes=classes,
        target_kind=kind.model_fields["kind"].default if kind else "class",
        target_name=source.settings.text.label,
        given=_column([item.given for item in chosen]),
        groups=_column([item.group for item in chosen]),
        times=read_times([item.time for item in chosen], "data.time_column"),
        split_fixes=split_fixes or {},
        set_aside=(*rejected, *single),
        store=store,
        rows=rows,
        settings=source.settings.text,
        tokenizer=PretrainedTokenizer.find(source),
        scratch=source.scratch,
        encodings={} if encodings is None else encodings,
        column=column,
    )


def _classes_of(
    source: Source, kept: Sequence[Item], rejected: Sequence[Rejected], named: Collection[str], fix: str
) -> tuple[Int64, Int64, tuple[str, ...], list[Rejected]]:
    """Which of the texts stay, their classes and the names of these; and those that do not stay."""
    counts = Counter(str(item.label) for item in kept)
    if kept:
        require_kept(source.name, {class_name(each) for each in named}, counts, rejected)
    # A label that occurs once can be learnt or judged, not both; most often it is a slip of the pen.
    once = {label for label, n in counts.items() if n == 1}
    single = [Rejected(item.id, _once(str(item.label), counts)) for item in kept if item.label in once]
    classes = _ordered(set(counts) - once)
    if kept or rejected:
        _require_classes(source, classes, counts, len(kept), rejected, single, fix)
    rows = np.array([k for k, item in enumerate(kept) if item.label not in once], dtype=np.int64)
    index = {name: k for k, name in enumerate(classes)}
    targets = np.array([index[str(kept[k].label)] for k in rows.tolist()], dtype=np.int64)
    return rows, targets, tuple(classes), single


def _checked(item: Item, *, of_class: bool) -> tuple[str, str]:
    """The clean text, and why it cannot be used."""
    for what, name in (("label", item.label), ("group", item.group)):
        if name is not None and len(name) > LONGEST_NAME:
            return "", f"its {what} has {len(name):,} characters, {LONGEST_NAME:,} are the most"
    if of_class and (item.label is None or not class_name(item.label)):
        return "", "it has no label"
    if not _is_unicode(item.label or "") or not _is_unicode(item.group or ""):
        return "", "its label or group holds half of a surrogate pair"
    try:
        text = clean(item.text)
    except NotText as error:
        return "", str(error)
    if item.given and item.given.strip() and split_of(item.given) is None:
        return "", f"its split is {item.given[:40]!r}, neither train nor validation nor test"
    if item.group is not None and not class_name(item.group):
        return "", "it has no group (data.group_column)"
    if item.time is not None and (reason := no_time(item.time)):
        return "", f"{reason} (data.time_column)"
    return text, "" if text else "the text is empty"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _canonical(name: str | None) -> str | None:
    return None if name is None or len(name) > LONGEST_NAME else class_name(name)


def _once(label: str, counts: Counter[str]) -> str:
    near = nearest(label, [name for name, n in counts.items() if n > 1])
    return f"the only sample of its label {label[:60]!r}" + (f"; was {near!r} meant?" if near else "")


def _require_classes(
    source: Source,
    classes: Sequence[str],
    counts: Counter[str],
    total: int,
    rejected: Sequence[Rejected],
    single: Sequence[Rejected],
    fix: str,
) -> None:
    if total > 100 and len(single) > total / 2:
        raise UserError(
            f"{source.name}: {len(single):,} of {total:,} samples have a label of their own, such as "
            f"{str(next(iter(counts)))[:40]!r}: that is no class",
            fix or "name the one that holds the class",
        )
    if len(classes) > MAX_CLASSES:
        raise UserError(f"{source.name}: {len(classes):,} classes are more than {MAX_CLASSES:,}", fix or "join some")
    if len(classes) < 2 and total:
        first = [*rejected[:3], *single[:3]]
        reasons = "".join(f"\n    {sample.id}: {sample.reason}" for sample in first)
        names = ", ".join(repr(name) for name in classes) or "none"
        raise UserError(
            f"{source.name}: a classifier needs two classes with two samples each, found: {names}"
            + (f"; set aside:{reasons}" if reasons else ""),
            fix or "add samples of another class",
        )


def _ordered(names: Iterable[str]) -> list[str]:
    """By number where all are whole numbers, else by name."""
    found = sorted(names)
    return sorted(found, key=int) if all(name.isascii() and name.isdigit() for name in found) else found


def _column(values: Sequence[str | None]) -> list[str] | None:
    return None if all(value is None for value in values) else [value or "" for value in values]
