"""`data`: what `prepare` reads."""

from __future__ import annotations

from pydantic import Field

from samebits.params.section import Section


class DataParams(Section):
    """Where the samples come from, and how they are split and stored.

    Attributes:
        source: a card of data/catalog by its name (`mnist`).
        validation_fraction: share of the training samples held out for validation, by content hash.
        shard_mib: target size of a shard in MiB.
    """

    source: str = Field(default="mnist", min_length=1)
    validation_fraction: float = Field(default=0.05, gt=0.0, lt=0.5)
    shard_mib: float = Field(default=8.0, gt=0.0, le=1024.0)
