"""`export`: which files a checkpoint is turned into, and how close they must stay to it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from samebits.params.section import Section


class ExportParams(Section):
    """Exported models.

    Attributes:
        formats: exporters to run, by name. `huggingface`, a folder for transformers, is for models of texts.
        tolerance: largest allowed absolute difference of any probability from the eager fp32 model's.
        batch_sizes: batch sizes at which exported files are compared: every test sample at the largest of them, 256
            at each; of language models every row once, at the sizes in turn.
        int8: also write `model.int8.onnx`, a quantised copy of the ONNX model; not for language models.
        int8_samples: training samples whose activations set its ranges.
        int8_loss: how much lower its accuracy (or R²) on the test split may be; if it is lower still, the stage fails.
    """

    formats: list[Literal["onnx", "torch_export", "huggingface"]] = Field(
        default=["onnx", "torch_export"], min_length=1
    )
    tolerance: float = Field(default=1e-4, gt=0.0, lt=1.0)
    batch_sizes: list[int] = Field(default=[1, 2, 7, 33], min_length=1)
    int8: bool = False
    int8_samples: int = Field(default=512, ge=1)
    int8_loss: float = Field(default=0.002, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _int8_needs_onnx(self) -> ExportParams:
        if self.int8 and "onnx" not in self.formats:
            raise ValueError("int8 is made from the ONNX model: add onnx to formats, or set int8: false")
        return self
