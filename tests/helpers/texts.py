"""Sources of labelled texts, made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samebits.data.preparation.prepare import require_usable
from samebits.data.readers.reader import Source, read_source
from samebits.data.readers.text.labelled import RawTexts
from samebits.params.data import DataParams

SAMPLES = [(f"{'good and fine' if k % 2 else 'bad and poor'} number {k}", "pos" if k % 2 else "neg") for k in range(40)]
"""Forty texts, twenty of each label."""


def settings(source: str, format_name: str, *, max_rejected_fraction: float = 0.0, **text: Any) -> DataParams:
    """`data` for texts; not one may be set aside. What is no key of `data` is one of `data.text`."""
    own = {key: text.pop(key) for key in list(text) if key in DataParams.model_fields and key != "text"}
    return DataParams.model_validate(
        {"source": source, "format": format_name, "max_rejected_fraction": max_rejected_fraction, "text": text, **own}
    )


def texts_of(path: Path, format_name: str, *, max_rejected_fraction: float = 0.0, **text: Any) -> RawTexts:
    """Read a source as `prepare` does, up to the check of what was set aside."""
    data = settings("data/raw/x", format_name, max_rejected_fraction=max_rejected_fraction, **text)
    scratch = path.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    raw = read_source(format_name, Source(path.name, data, None, {}, path, scratch, print))
    require_usable(raw, data)
    assert isinstance(raw, RawTexts)
    return raw


def stored(raw: RawTexts) -> list[str]:
    """The texts as they are stored, in order."""
    return list(raw.store.texts(raw.rows.tolist()))
