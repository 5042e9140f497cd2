"""The base of every section of params.yaml."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """Unknown keys are refused, values are not coerced ("3" is no number), instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def matching(pattern: str, allowed: str) -> AfterValidator:
    """A text of one form. What is allowed is said in words: a pattern is no message."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"must be {allowed}")
        return text

    return AfterValidator(check)


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd")
    return value


ODD = AfterValidator(_odd)

Sha256 = Annotated[str, matching("[0-9a-f]{64}", "64 hex digits")]
