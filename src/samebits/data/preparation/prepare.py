"""The `prepare` stage: get the samples, check them, split them, fit what is fitted, write them as shards.

Run it by `dvc repro prepare`. Result: `data/prepared/` (see `samebits.data.loading.prepared`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from samebits.base.errors import UserError, listed
from samebits.base.registry import nearest
from samebits.data.fetching.catalog import CATALOG, WEIGHTS, Card, card_names, card_of, is_path, load_card
from samebits.data.fetching.fetch import fetch
from samebits.data.loading.prepared import SPLITS
from samebits.data.preparation.audit import (
    NEAR_DUPLICATES,
    Audited,
    audit_raw,
    facts,
    limit_classes,
    near_duplicates_csv,
)
from samebits.data.preparation.corrections import Corrected, correct, corrections_file, read_corrections
from samebits.data.preparation.shards import write_prepared
from samebits.data.preparation.split import assign, check_splits
from samebits.data.readers.image.parts import Parts, folder_of
from samebits.data.readers.labels import differ_in_case
from samebits.data.readers.own_files import OwnFiles
from samebits.data.readers.reader import SOURCES, Encoded, Raw, Source, known_format, others_line, read_source
from samebits.params.data import DataParams
from samebits.signature.corrections import corrections_text
from samebits.signature.signature import TARGETS

if TYPE_CHECKING:
    from samebits.base.paths import Project
    from samebits.pipeline.context import StageContext

PARTS = "parts"
"""Folder below `.samebits` with what `samebits prepare --part` decoded."""

_OWN = "own"
"""The format of a Dataset of the user's, which may read a card's file, too."""


def prepare(data: DataParams, *, context: StageContext, most: int | None = None) -> None:
    """Write `data/prepared/` from `data.source`.

    Args:
        most: samples of a split, picked evenly, for a trial; None: all.

    Raises:
        UserError: unknown source, files that cannot be had or are damaged, splits that cannot be trained on.
    """
    context.project.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=context.project.state, prefix="prepare-") as scratch:
        own = OwnFiles(context.project.workspace, _raw(context.project))
        kind, about, source = locate(data, context.project, Path(scratch), context, own)
        parts = Parts(folder_of(context.project.state / PARTS, data.image), context.say)
        raw = read_source(kind, replace(source, images=parts.images))
        if parts.used:
            context.say(f"{parts.used:,} images are from parts, {parts.decoded:,} were decoded here")
        require_usable(raw, data)
        if line := others_line(raw.set_aside):
            context.say(line)
        corrected = _corrected(raw, data, context.project, own)
        audited = audit_raw(corrected.raw, data, Path(scratch), corrected.dropped)
        encoded = split_and_encode(raw, data, audited, most, corrected)
        info = write_prepared(
            context.project.prepared,
            about,
            encoded,
            shard_mib=data.shard_mib,
            set_aside=(*raw.set_aside, *audited.set_aside),
        )
    for line in describe(info, encoded, data.duplicates):
        context.say(line)
    own.require_unchanged()
    if most is None:
        parts.remove()


def _corrected(raw: Raw, data: DataParams, project: Project, own: OwnFiles) -> Corrected:
    """The source with the corrections that `data.corrections` names."""
    file = corrections_file(project.workspace, data)
    if file is None:
        return Corrected(raw, raw)
    own.add(file)
    return correct(raw, read_corrections(file, data.corrections), data.corrections)


def locate(
    data: DataParams, project: Project, scratch: Path, context: StageContext, own: OwnFiles
) -> tuple[str, dict[str, Any], Source]:
    """Where `data.source` is: the format's name, what `dataset.json` says about the source, and the source.

    Raises:
        UserError: unknown card or path, or a format that contradicts the card's.
    """

    def find_asset(name: str, file: str, key: str) -> Path:
        return _asset(name, file, key, project, context, own)

    name = card_of(data.source)
    if data.format == _OWN and (code := project.workspace / data.own.file).is_file():
        own.add(code)
    if name is None:
        path = own_path(data.source, project)
        own.add(path)
        if data.format is None:
            raise UserError(
                f"data.source is {data.source}, but data.format does not say how it is laid out",
                f"set data.format to one of {', '.join(sorted(SOURCES))}; docs/data.md shows each",
            )
        known_format(data.format)
        about: dict[str, Any] = {"name": path.stem, "title": path.stem, "licence": "not stated", "files": []}
        return (
            data.format,
            about,
            Source(path.stem, data, None, {}, path, scratch, context.say, _raw(project), find_asset),
        )
    card = _card(name, project, own)
    if card.format == WEIGHTS:
        raise UserError(
            f"data.source {card.name!r} is a card of pretrained weights, not of data",
            "name it in transfer.weights, and data in data.source",
        )
    used = _OWN if data.format == _OWN else card.format
    if data.format not in (None, used):
        raise UserError(
            f"data.format is {data.format!r}, but the card {card.name} is of format {card.format!r}",
            "set data.format: null, which takes the card's, or own, for a Dataset of yours that reads its file",
        )
    known_format(used)
    files = fetch(card, say=context.say, progress=context.runtime.progress)
    about = {
        "name": card.name,
        "title": card.title,
        "licence": card.licence,
        "homepage": card.homepage,
        "files": [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in card.files],
    }
    return (
        used,
        about,
        Source(card.name, data, card, files, None, scratch, context.say, _raw(project), find_asset),
    )


def _raw(project: Project) -> Path:
    return project.workspace / "data" / "raw"


def _card(name: str, project: Project, own: OwnFiles) -> Card:
    """A card of the catalogue, which is a dependency of the stage, too."""
    file = project.catalog / f"{name}.yaml"
    if file.is_file():
        own.add(file)
    return load_card(project.catalog, name)


def _asset(name: str, file: str, key: str, project: Project, context: StageContext, own: OwnFiles) -> Path:
    """A file of a card of weights, or one of the user's own, which no dependency of the stage covers: it is pinned."""
    if is_path(name):
        path = own_path(name, project, key)
        own.add(path)
        return path
    card = _card(name, project, own)
    if card.format != WEIGHTS or file not in {each.name for each in card.files}:
        raise UserError(f"{key} {name!r}: that card has no {file}", "name a card of weights that has one, or a file")
    return fetch(card, say=context.say, progress=context.runtime.progress)[file]


def own_path(source: str, project: Project, key: str = "data.source") -> Path:
    """The user's file or folder, below data/raw.

    Raises:
        UserError: if it is not there.
    """
    # A link to a file is followed by DVC, too: it may point anywhere. One to a folder is refused (OwnFiles).
    path = Path(os.path.normpath(project.workspace / source))
    home = project.workspace / "data" / "raw"
    if source in card_names(project.catalog):
        raise UserError(f"{key} {source} is no path", f"name the card's file: {CATALOG}/{source}.yaml")
    if not path.is_relative_to(home) or path == home:
        raise UserError(
            f"{key} {source} is not below data/raw, and no card of {CATALOG}",
            "copy or move it there (data/raw/NAME), then keep it with: dvc add data/raw/NAME",
        )
    if not path.exists():
        known = sorted(each.name for each in home.iterdir()) if home.is_dir() else []
        near = nearest(path.relative_to(home).parts[0], known)
        hint = f"did you mean data/raw/{near}? " if near else ""
        raise UserError(
            f"{key} {source} does not exist",
            f"{hint}put it there; if it is kept by DVC, fetch it: dvc pull. Under dvc exp run --temp or --queue, files "
            "that git and DVC do not know are not there: dvc add them first",
        )
    return path


def require_usable(raw: Raw, settings: DataParams) -> None:
    """Refuse a source that is empty, or of which too much had to be set aside.

    Raises:
        UserError: naming the first samples that were set aside.
    """
    bad = [sample for sample in raw.set_aside if not sample.other]
    total = len(raw) + len(bad)
    first = "".join(f"\n    {sample.id}: {sample.reason}" for sample in (bad or raw.set_aside)[:5])
    more = f"\n    and {len(bad) - 5} more" if len(bad) > 5 else ""
    if not len(raw):
        raise UserError(f"{settings.source} holds no usable sample{first}{more}", "look at data.source and data.format")
    if len(bad) > settings.max_rejected_fraction * total:
        raise UserError(
            f"{len(bad):,} of {total:,} samples of {settings.source} cannot be used, data.max_rejected_fraction is "
            f"{settings.max_rejected_fraction:g}:{first}{more}",
            "fix or remove them, or raise data.max_rejected_fraction; nothing was written",
        )


def split_and_encode(
    raw: Raw,
    settings: DataParams,
    audited: Audited | None = None,
    most: int | None = None,
    corrected: Corrected | None = None,
) -> Encoded:
    """Cut the samples that the audit kept into splits, and fit on the training split.

    Args:
        raw: the source without corrections: what it says decides the splits, so that a correction moves no sample.
        audited: the audit of `raw`, made here if it is left out.
        most: as of `prepare`.
        corrected: `raw` with its corrections, if there are any.

    Raises:
        UserError: if a split is empty, or a class of train is.
    """
    audited = audited or audit_raw(raw, settings)
    corrected = corrected or Corrected(raw, raw)
    kept = np.union1d(audited.kept, np.array(list(corrected.dropped), dtype=np.int64))
    labels = raw.labels
    of_kept = assign(
        settings,
        raw.hashes if len(kept) == len(raw) else raw.hashes[kept],
        labels=None if labels is None else labels[kept],
        given=None if raw.given is None else [raw.given[row] for row in kept.tolist()],
        groups=None if raw.groups is None else [raw.groups[row] for row in kept.tolist()],
        times=None if raw.times is None else raw.times[kept],
        fixes=raw.split_fixes,
    )
    # The manifest says groups where the split keeps them together.
    raw = corrected.raw if settings.split == "group" else replace(corrected.raw, groups=None)
    splits = {name: kept[rows] for name, rows in of_kept.items()}
    corrections = corrected.counts(splits)
    splits = {name: np.intersect1d(rows, audited.kept, assume_unique=True) for name, rows in splits.items()}
    needed = raw.classes if TARGETS[raw.target_kind].needs_all_classes else ()
    check_splits(splits, raw.class_counts, needed, settings, raw.given, stratifies=raw.labels is not None)
    splits, left_out = limit_classes(splits, raw, settings.limit_per_class)
    if most is not None:
        splits = {
            name: rows[np.linspace(0, len(rows) - 1, min(most, len(rows)), dtype=int)] for name, rows in splits.items()
        }
    encoded = raw.encode(splits)
    found, lines = facts(audited, raw, splits)
    if left_open := sum(not each for each in raw.given or ()):
        lines.append(f"{left_open:,} samples have no split of the source's: data.split decides")
    drawn = set(found.get("empty_classes", ())) - set(raw.given or ())
    if drawn and settings.split == "hash" and raw.labels is not None:
        lines.append("audit: data.split: stratified holds out some samples of every class")
    if left_out:
        found["left_out"] = left_out
        lines.append(f"{left_out:,} training samples are left out (data.limit_per_class)")
    if corrections:
        found["corrections"] = corrections
        lines.append(f"{settings.corrections}: {corrections_text(corrections) or 'of samples that are set aside'}")
        if any(of_kind["test"] for of_kind in corrections.values()):
            lines.append("the test split was corrected: its scores cannot be compared with those of before")
    files = {NEAR_DUPLICATES: near_duplicates_csv(audited, raw, splits)} if audited.pairs else {}
    return replace(
        encoded,
        files={**encoded.files, **files},
        audit={**found, **encoded.audit},
        remarks=(*lines, *encoded.remarks),
    )


def describe(info: Mapping[str, Any], encoded: Encoded, duplicates: str) -> Iterator[str]:
    """The lines that the stage prints. `duplicates`: the setting."""
    counts, audit = info["counts"], info["audit"]
    yield f"{info['title']}: " + ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
    if classes := encoded.signature.classes:
        yield f"{len(classes):,} classes: {listed([_short(name) for name in classes], 20)}"
        if alike := differ_in_case(classes):
            shown = listed([" and ".join(map(_short, group)) for group in alike], 5)
            yield f"classes that differ in case alone: {shown}; if they are one class, write them alike"
    found = [f"{n:,} duplicates in {split}" for split, n in audit["duplicates"].items() if n]
    for pair, n in audit["overlap"].items():
        first, second = pair.split("/")
        found += [f"{n:,} of {second} also in {first}"] if n else []
    found += [f"{audit['label_conflicts']:,} samples under two targets"] if audit["label_conflicts"] else []
    found += [f"{audit['set_aside']:,} set aside (set_aside.csv)"] if audit["set_aside"] else []
    yield "audit: " + (", ".join(found) or "no duplicates, no label conflicts")
    if any(audit["overlap"].values()):
        fix = "; data.duplicates: drop sets copies aside" if duplicates == "keep" else ""
        yield f"audit: scores on samples that are also in another split say little{fix}"
    yield from encoded.remarks
    yield f"digest {info['digest'][:16]}"


def _short(name: str) -> str:
    """A class name for a line: as it is written, unless it is long, or would not look like what it is."""
    plain = name.isprintable() and name == name.strip() and ", " not in name
    short = name if len(name) <= 40 else f"{name[:39]}…"
    return short if plain and name else repr(short)
