"""`evaluate`: how the test split is judged."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from samebits.params.section import Section


class EvaluateParams(Section):
    """Evaluation on the test split.

    Attributes:
        precision: fp64: results are the same on every machine. fp32: as the exported model computes, 3 to 10 times
            faster; the last digits of the results are then the machine's.
        batch_size: samples per forward pass.
        top_k: k of the top-k accuracy reported beside the accuracy.
        bootstrap: resamples of the test split for the confidence intervals.
        confidence: level of the confidence intervals.
        calibration_bins: equal-width bins of the expected calibration error.
        mistakes: number of the most confident mistakes shown in the gallery.
    """

    precision: Literal["fp64", "fp32"] = "fp64"
    batch_size: int = Field(default=500, ge=1)
    top_k: int = Field(default=3, ge=2)
    bootstrap: int = Field(default=1000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    calibration_bins: int = Field(default=15, ge=2, le=100)
    mistakes: int = Field(default=36, ge=1, le=400)
