"""The page on which a person decides about suspects: one file, with pictures or texts; it saves what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from samebits.data.loading.prepared import open_split
from samebits.data.preparation.corrections import DROP, RELABEL, Correction
from samebits.evaluation.inputs import tokenizer
from samebits.evaluation.report.page import data_url, render
from samebits.evaluation.sample_image import image_png
from samebits.labels.folds import Int64
from samebits.signature.image import displayed
from samebits.signature.kind import Array, Preview
from samebits.signature.target_kind import TargetKind

_LONGEST = 224
"""Pixels of the longer side of a picture."""


def suspects_page(
    prepared: Path, rows: Int64, suspects: Sequence[Mapping[str, Any]], contradicted: int | None, folds: int
) -> str:
    """The page.

    Args:
        prepared: the data.
        rows: of the training split, one for each suspect.
        suspects: with rank, score, id, source, sha256, was and proposed.
        contradicted: how many labels the models contradict; None where that cannot be said.
    """
    split = open_split(prepared, "train", in_memory=False)
    signature, info = split.info.signature, split.info
    target = signature.target
    assert split.targets is not None

    def decode(tokens: list[int]) -> str:
        return str(tokenizer(prepared).decode(tokens))

    previews = signature.inputs.previews(split.rows(rows), decode)
    return render(
        "suspects.html.j2",
        title=f"Suspect labels: {info.title}",
        samples=len(split),
        folds=folds,
        contradicted=contradicted,
        doubted=target.doubted,
        writable=target.in_label_column,
        classes=target.labels if target.in_label_column else (),
        columns=Correction._fields,
        relabel=RELABEL,
        drop=DROP,
        suspects=[
            {**each, "score": f"{each['score']:.4f}", **_shown(preview, target, label)}
            for each, preview, label in zip(suspects, previews, split.targets[rows], strict=True)
        ],
        details=[
            ("Data", [("name", info.title), ("samples", signature.inputs.described), ("digest", info.digest)]),
        ],
    )


def _shown(preview: Preview, target: TargetKind, label: Array) -> dict[str, str]:
    if preview.image is None:
        return {"image": "", "text": preview.text}
    picture = target.overlay(displayed(preview.image), label)
    return {"image": data_url(image_png(picture, _LONGEST)), "text": ""}
