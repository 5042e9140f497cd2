"""`data`: what `prepare` reads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from samebits.params.csv import CsvParams
from samebits.params.image import ImageParams
from samebits.params.own import OwnDataParams
from samebits.params.section import Section, matching
from samebits.params.table import TableParams
from samebits.params.text import TextParams

CorrectionsFile = Annotated[
    str,
    matching(
        r"data/(?!raw/|prepared/|catalog/)([A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.csv",
        "a path as data/corrections.csv, of letters, digits, _ and -, not below raw, prepared or catalog",
    ),
]
"""A file of corrected labels."""


class DataParams(Section):
    """Where the samples come from, and how they are split and stored.

    Attributes:
        source: a path, on which the stage `prepare` depends: a card (`data/catalog/mnist.yaml`), or a file or folder of
            your own below data/raw.
        format: how data of your own are laid out; null for a card, which says it.
        target_kind: what is learnt of a column or key of labels: `class`, `labels` (any number of classes), `number` or
            `vector`; `auto`: of images and texts a class, of a table a number if the column is numeric with more than
            two values, else a class; of a Dataset of your own what its first target is.
        split: how samples are assigned where the source does not: by `hash` of the content (new samples never move
            old ones), `stratified` (the same share of every class), by `group` (samples of one group stay together)
            or by `time` (the latest are the test split).
        validation_fraction: share of the training samples held out for validation.
        test_fraction: share held out for the test, where the source has no test split of its own.
        corrections: a CSV file of labels that you corrected and samples that you dropped, on which the stage `prepare`
            depends (docs/labels.md); one of its own for each data set.
        duplicates: `keep` them, or `drop` all but the first of identical samples; those are set aside.
        split_column: the column (CSV, Parquet) or key (JSONL) that says `train`, `validation` or `test` of each sample;
            null: `split` decides. Of a list of images, null is the column `split`, where there is one.
        group_column: for `split: group`, the column or key whose equal values stay together; null as above, `group`.
        time_column: for `split: time`, the column or key to sort by: dates, or numbers that rise with time; null as
            above, `time`.
        encoding: of text files, as Python names it; null: a byte order mark decides, else UTF-8, else Windows-1252 for
            what is no UTF-8, which is reported.
        limit_per_class: most training samples of a class, chosen by their hash; the others are left out. null: all.
        max_rejected_fraction: largest share of samples that may be set aside because they cannot be read.
        shard_mib: target size of a shard in MiB.
        csv: how a CSV file is written.
        table: how a table is read.
        image: for image files.
        text: for texts.
        own: a Dataset of your own.
    """

    source: str = Field(default="data/catalog/mnist.yaml", min_length=1)
    format: str | None = Field(default=None, min_length=1)
    target_kind: str = Field(default="auto", min_length=1)
    split: Literal["hash", "stratified", "group", "time"] = "hash"
    split_column: str | None = Field(default=None, min_length=1)
    group_column: str | None = Field(default=None, min_length=1)
    time_column: str | None = Field(default=None, min_length=1)
    validation_fraction: float = Field(default=0.05, gt=0.0, lt=0.5)
    test_fraction: float = Field(default=0.1, gt=0.0, lt=0.5)
    corrections: CorrectionsFile = "data/corrections.csv"
    duplicates: Literal["keep", "drop"] = "keep"
    encoding: str | None = Field(default=None, min_length=1)
    limit_per_class: int | None = Field(default=None, ge=1)
    max_rejected_fraction: float = Field(default=0.01, ge=0.0, le=1.0)
    shard_mib: float = Field(default=8.0, gt=0.0, le=1024.0)
    csv: CsvParams = CsvParams()
    table: TableParams = TableParams()
    image: ImageParams = ImageParams()
    text: TextParams = TextParams()
    own: OwnDataParams = OwnDataParams()
