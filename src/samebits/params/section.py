"""The base of every section of params.yaml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Unknown keys are refused, values are not coerced ("3" is no number), instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
