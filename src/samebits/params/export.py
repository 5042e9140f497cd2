"""`export`: which files a checkpoint is turned into, and how close they must stay to it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from samebits.params.section import Section


class ExportParams(Section):
    """Exported models.

    Attributes:
        formats: exporters to run, by name.
        tolerance: largest allowed absolute difference of any probability from the eager fp32 model's.
        batch_sizes: batch sizes at which the whole test split is compared.
    """

    formats: list[Literal["onnx", "torch_export"]] = Field(default=["onnx", "torch_export"], min_length=1)
    tolerance: float = Field(default=1e-4, gt=0.0, lt=1.0)
    batch_sizes: list[int] = Field(default=[1, 2, 7, 33], min_length=1)
