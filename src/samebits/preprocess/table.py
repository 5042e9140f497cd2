"""Rows of a table: missing numbers filled in and flagged, numbers standardised, categories passed on as codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samebits.signature.table import TableInputs


class Standardize(nn.Module):
    """float32 [N, columns] -> float32 [N, numbers + indicators + categories].

    First the numbers, minus mean, over std, with the training split's median for a missing one; then 1 or 0 for each
    column that has missing values in training: whether the number is missing; then the categories' codes. A code that
    the model does not know (negative, too large, no whole number) becomes 0, the unknown category.
    """

    numbers: Tensor
    fill: Tensor
    mean: Tensor
    scale: Tensor
    flagged: Tensor
    categories: Tensor
    largest: Tensor

    def __init__(self, inputs: TableInputs) -> None:
        super().__init__()
        numbers, categories = inputs.numbers, inputs.categories
        flagged = [at for at, column in numbers if column.missing]
        spread = torch.tensor([column.std or 1.0 for _, column in numbers], dtype=torch.float64)
        for name, value in {
            "numbers": torch.tensor([at for at, _ in numbers], dtype=torch.int64),
            "fill": torch.tensor([column.fill for _, column in numbers], dtype=torch.float32),
            "mean": torch.tensor([column.mean for _, column in numbers], dtype=torch.float32),
            "scale": (1.0 / spread).float(),
            "flagged": torch.tensor(flagged, dtype=torch.int64),
            "categories": torch.tensor([at for at, _ in categories], dtype=torch.int64),
            "largest": torch.tensor([len(column.values) for _, column in categories], dtype=torch.float32),
        }.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        parts = []
        # Empty parts are left out: index_select with no index does not go through every exporter.
        if len(self.numbers):
            raw = rows.index_select(1, self.numbers)
            parts.append((torch.where(torch.isnan(raw), self.fill, raw) - self.mean) * self.scale)
        if len(self.flagged):
            parts.append(torch.isnan(rows.index_select(1, self.flagged)).to(torch.float32))
        if len(self.categories):
            codes = rows.index_select(1, self.categories)
            known = (codes >= 0) & (codes <= self.largest) & (codes == torch.floor(codes))
            parts.append(torch.where(known, codes, torch.zeros_like(codes)))
        return torch.cat(parts, dim=1)


def build(inputs: TableInputs) -> nn.Module:
    """Standardisation and imputation with what was fitted on the training split."""
    return Standardize(inputs)
