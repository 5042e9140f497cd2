"""Texts with a tag for each word: names of people and places, parts of speech, chunks.

    data: {source: data/raw/names.conll, format: tagged_text}
    data: {source: data/raw/names.jsonl, format: tagged_text}    {"tokens": ["Ada", "lives"], "tags": ["B-PER", "O"]}
    data: {source: data/raw/names, format: tagged_text}          a folder or an archive of such files, as train.conll
                                                                 and test.conll

Files that end in .jsonl or .ndjson are JSON Lines, others have columns (`columns.py`). Tags of entities may be IOB1,
IOB2, IOBES, BILOU or BMES, and are stored as IOB2; other tags are taken as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.files import write_bytes
from samebits.data.fetching.archives import Member, list_tree
from samebits.data.readers.decoding import NotText, clean, read_lines
from samebits.data.readers.labels import LONGEST_NAME
from samebits.data.readers.reader import Rejected, Source
from samebits.data.readers.splits import KNOWN, split_of
from samebits.data.readers.text.columns import read_sentences
from samebits.data.readers.text.jsonl import kind_of_json, placed, read_objects
from samebits.data.readers.text.labelled import Item, collect
from samebits.data.readers.text.tagged_rows import RawTagged
from samebits.metrics.entities import OUTSIDE
from samebits.signature.tags import TagsTarget

JSON = (".jsonl", ".ndjson")
COLUMNS = (".bio", ".conll", ".conll03", ".conllu", ".iob", ".iob2", ".tags", ".tsv", ".txt")

_KEYS = {"text": "tokens", "label": "tags"}
"""Keys of JSON Lines where `data.text` has its defaults and a line has no such key."""
_SPLIT_FIXES = {
    "group": "put -DOCSTART- before each document (JSON Lines: name the key of it in data.group_column)",
    "time": "write JSON Lines and name the key with the date: data.time_column",
}


def read(source: Source) -> RawTagged:
    """Every sentence of every file. Those that cannot be used are set aside, with their line.

    Raises:
        UserError: no file, files some of which name a split, or settings that such files do not have.
    """
    settings = source.settings
    if settings.target_kind not in ("auto", "tags"):
        raise UserError(
            f"data.target_kind is {settings.target_kind!r}, and the format tagged_text has tags",
            "set data.target_kind: auto",
        )
    encodings: Counter[str] = Counter()
    facts: Counter[str] = Counter()
    return gathered(source, read_items(source, encodings, facts), facts, encodings, split_fixes=_SPLIT_FIXES)


def gathered(
    source: Source,
    found: Iterable[Item | Rejected],
    facts: Counter[str],
    encodings: Counter[str] | None = None,
    *,
    split_fixes: Mapping[str, str] | None = None,
) -> RawTagged:
    """Sentences as samples.

    Args:
        found: as of `tagged_item`.
        facts, encodings: filled while `found` is read.
        split_fixes: as in `Raw`.

    Raises:
        UserError: for tags that are almost those of entities, or too many or too few.
    """
    raw = collect(source, found, encodings, split_fixes=split_fixes, kind=TagsTarget, raw=RawTagged)
    assert isinstance(raw, RawTagged)
    return replace(raw, facts={name: facts[name] for name in ("words", "cut", "begun")})


def read_items(
    source: Source, encodings: Counter[str] | None = None, facts: Counter[str] | None = None
) -> Iterator[Item | Rejected]:
    """Every sentence, with its words a line each and its tags, or why it cannot be used.

    Args:
        encodings: the lines of each encoding are added here.
        facts: as of `RawTagged`; they are counted up.

    Raises:
        UserError: as `read`.
    """
    files, others = _files(source)
    yield from others
    for file in files:
        yield from _sentences(
            file, source, Counter() if encodings is None else encodings, Counter() if facts is None else facts
        )


@dataclass(frozen=True)
class _File:
    path: Path
    name: str
    split: str | None
    before: str
    """What stands before the number of a line in a sample's id."""


def _files(source: Source) -> tuple[list[_File], list[Rejected]]:
    if source.path is None and len(source.files) > 1:
        members = [Member(name, path, 0, path.stat().st_size) for name, path in sorted(source.files.items())]
    elif source.own.is_dir() or re.search(r"\.(zip|whl|tar|tgz|tar\.gz)$", source.own_name, re.IGNORECASE):
        members = list_tree(source.own, source.scratch, source.card.root if source.card else "")[0]
    else:
        return [_File(source.own, source.name, None, "line ")], []
    known = [each for each in members if PurePosixPath(each.name).suffix.lower() in (*JSON, *COLUMNS)]
    others = [Rejected(each.name, "it is no file of tagged words", other=True) for each in members if each not in known]
    if not known:
        raise UserError(
            f"{source.settings.source} has no file of tagged words",
            f"their names end in {', '.join((*COLUMNS, *JSON))}",
        )
    splits = {each.name: _split(each.name) for each in known}
    open_ones = [name for name, split in splits.items() if split is None]
    if len(open_ones) < len(known) and (open_ones or "train" not in splits.values()):
        wrong = f"{listed(open_ones)} name no split" if open_ones else "none is of the training split"
        raise UserError(
            f"{source.settings.source}: some files name a split, and {wrong}",
            f"name each file (or its folder) after its split: {KNOWN}; or none of them",
        )
    return [
        _File(_whole(each, source.scratch), each.name, splits[each.name], f"{each.name}:") for each in known
    ], others


def _split(name: str) -> str | None:
    """The split that a word of a file's path names.

    Raises:
        UserError: if it names two.
    """
    found = {split for word in re.findall(r"[^\W\d_]+", name) if (split := split_of(word))}
    if len(found) > 1:
        raise UserError(f"the name {name} is of {listed(sorted(found))}", "let a path name one split")
    return next(iter(found), None)


def _whole(member: Member, scratch: Path) -> Path:
    """The member as a file of its own."""
    if member.offset == 0 and not member.damage and member.size == member.path.stat().st_size:
        return member.path
    path = scratch / "tagged" / member.name
    try:
        write_bytes(path, member.read())
    except OSError as error:
        raise UserError(f"{member.name} cannot be read: {error.strerror}", "replace the archive") from None
    return path


def _sentences(file: _File, source: Source, encodings: Counter[str], facts: Counter[str]) -> Iterator[Item | Rejected]:
    settings = source.settings
    if PurePosixPath(file.path.name).suffix.lower() in JSON:
        for number, value in read_objects(file.path, file.name, settings, encodings):
            name = f"{file.before}{number}"
            if isinstance(value, str):
                yield Rejected(name, value)
                continue
            item = tagged_item(_of_keys(value, settings.text.text, settings.text.label), name, f"{file.name}:{number}",
                         settings.text.length, facts)  # fmt: skip
            item = placed(item, value, settings) if isinstance(item, Item) else item
            yield replace(item, given=file.split or item.given) if isinstance(item, Item) else item
        return
    for key in ("split_column", "group_column", "time_column"):
        if (column := getattr(settings, key)) is not None:
            raise UserError(
                f"data.{key} is {column!r}, but the columns of {file.name} have no names",
                f"take data.{key} out of params.yaml; files called train and test are splits; -DOCSTART-, a group",
            )
    empty = True
    for sentence in read_sentences(
        read_lines(file.path, file.name, settings.encoding, encodings), settings.text, file.name
    ):
        empty = False
        name = f"{file.before}{sentence.line}"
        item = tagged_item(sentence.reason or (sentence.words, sentence.tags), name, f"{file.name}:{sentence.line}",
                     settings.text.length, facts)  # fmt: skip
        group = f"{file.name} {sentence.document}" if sentence.document else None
        yield replace(item, given=file.split, group=group) if isinstance(item, Item) else item
    if empty:
        raise UserError(f"{file.name} holds no sentence", "look at data.source")


_Tagged = tuple[list[str], list[str]]


def _of_keys(value: Mapping[str, Any], of_words: str, of_tags: str) -> _Tagged | str:
    """Words and tags of a JSON object, or why it has none."""
    lists = []
    for key, default in ((of_words, "text"), (of_tags, "label")):
        used = _KEYS[default] if key == default and key not in value else key
        if used not in value:
            keys = ", ".join(repr(each[:40]) for each in list(value)[:8]) or "none"
            return f"no key {used!r} (data.text.{default}); its keys: {keys}"
        found = value[used]
        if not isinstance(found, list):
            return f"{used!r} is {kind_of_json(found)}, not a list"
        if wrong := next((each for each in found if not isinstance(each, str)), ""):
            names = ": write the names of the tags" if default == "label" and isinstance(wrong, int) else ""
            return f"{used!r} holds {kind_of_json(wrong)}, not texts alone{names}"
        if not all(isinstance(each, str) for each in found):  # a 0, a false, a null
            return f"{used!r} holds what is no text: write the names"
        lists.append(found)
    return lists[0], lists[1]


def tagged_item(found: _Tagged | str, name: str, origin: str, length: int, facts: Counter[str]) -> Item | Rejected:
    """A sentence as it is stored; of longer ones, the words that may fit.

    Args:
        found: words and tags, or why there are none.
        name, origin: id and origin of the sample.
        length: `data.text.length`.
        facts: as of `RawTagged`; they are counted up.
    """
    if isinstance(found, str):
        return Rejected(name, found)
    words, tags = found
    if len(words) != len(tags):
        return Rejected(name, f"{len(words):,} words, {len(tags):,} tags")
    if not words:
        return Rejected(name, "it has no words")
    try:
        cleaned = [_word(word) for word in words[:length]]
        names = tuple(_word(tag) for tag in tags[:length])
    except NotText as error:
        return Rejected(name, str(error))
    for what, texts in (("word", cleaned), ("tag", names)):
        if "" in texts:
            return Rejected(name, f"{what} {texts.index('') + 1} is empty")
    if (longest := max(map(len, names))) > LONGEST_NAME:
        return Rejected(name, f"a tag has {longest:,} characters, {LONGEST_NAME:,} are the most")
    facts.update(words=len(words), cut=len(words) - len(names), begun=_begun_otherwise(names))
    return Item(name, origin, "\n".join(cleaned), None, value=names)


def _word(text: str) -> str:
    """A word on one line, as all texts are cleaned."""
    if text.isascii() and text.isprintable() and " " not in text:
        return text
    return " ".join(clean(text).split())


def _begun_otherwise(tags: Sequence[str]) -> int:
    """Entities that begin with another tag than `B-X`, if these are tags of entities."""
    before, found = "", 0
    for tag in tags:
        found += tag[:2] in ("S-", "U-") or (tag[:2] in ("I-", "E-", "L-", "M-") and tag[2:] != before)
        before = "" if tag == OUTSIDE or tag[0] in "ELSU" else tag[2:]
    return found
