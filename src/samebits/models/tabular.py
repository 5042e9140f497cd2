"""A network for tables: each column is embedded, and an ensemble of small MLPs that share their weights reads them all.

Numbers are embedded piecewise linearly between the quantiles of the training split (Gorishniy et al., 2022, "On
Embeddings for Numerical Features in Tabular Deep Learning"), or by sines and cosines whose frequencies are learnt
(ibid.). The MLPs are one MLP with a few weights of its own for each member (Wen et al., 2020, "BatchEnsemble"; for
tables, Gorishniy et al., 2025, "TabM"): in training each member has its own loss, else their answers are averaged.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from samebits.params.section import Section
from samebits.signature.labels import LabelsTarget
from samebits.signature.signature import Signature
from samebits.signature.table import NumberColumn, TableInputs

Average = Literal["class probabilities", "label probabilities", "numbers"]


class Settings(Section):
    """The `model` section for `name: tabular`.

    Attributes:
        numbers: how numbers are embedded: `piecewise` linearly between quantiles, `periodic` by learnt frequencies, or
            `plain`, as they are.
        embedding: size of the embedding of a column.
        frequencies: learnt frequencies a column, for `periodic`.
        frequency_scale: standard deviation of their initial values, for `periodic`.
        width: of each hidden layer.
        layers: hidden layers.
        members: of the ensemble; 1 is a plain MLP.
        dropout: probability of zeroing a hidden feature in training.
    """

    name: Literal["tabular"]
    numbers: Literal["piecewise", "periodic", "plain"] = "piecewise"
    embedding: int = Field(default=16, ge=1, le=1024)
    frequencies: int = Field(default=24, ge=1, le=1024)
    frequency_scale: float = Field(default=0.1, gt=0.0)
    width: int = Field(default=256, ge=1, le=8192)
    layers: int = Field(default=2, ge=1, le=32)
    members: int = Field(default=16, ge=1, le=256)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)


class ColumnLinear(nn.Module):
    """A linear layer for each column: [N, columns, before] -> [N, columns, after]."""

    def __init__(self, columns: int, before: int, after: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(before)
        self.weight = nn.Parameter(torch.empty(columns, before, after).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(columns, after).uniform_(-bound, bound))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.bmm(inputs.transpose(0, 1), self.weight).transpose(0, 1) + self.bias


class Piecewise(nn.Module):
    """Standardised numbers [N, columns] -> [N, columns, size].

    Of each column, the share of every interval between two quantiles that lies below the number: 1 for the intervals
    it has passed, 0 for those ahead; beyond the extremes of training it stays as at them, as in a decision tree.
    """

    start: Tensor
    scale: Tensor

    def __init__(self, columns: list[NumberColumn], size: int) -> None:
        super().__init__()
        intervals = max(1, *(len(column.edges) - 1 for column in columns))
        start, scale = torch.zeros(len(columns), intervals), torch.zeros(len(columns), intervals)
        for row, column in enumerate(columns):
            if not column.edges:  # one value besides the missing ones
                continue
            edges = (torch.tensor(column.edges, dtype=torch.float64) - column.mean) / (column.std or 1.0)
            start[row, : len(edges) - 1] = edges[:-1].float()
            scale[row, : len(edges) - 1] = (1.0 / (edges[1:] - edges[:-1])).float()
        self.register_buffer("start", start, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.linear = ColumnLinear(len(columns), intervals, size)

    def forward(self, numbers: Tensor) -> Tensor:
        shares = ((numbers.unsqueeze(2) - self.start) * self.scale).clamp(0.0, 1.0)
        return functional.relu(self.linear(shares))


class Periodic(nn.Module):
    """Standardised numbers [N, columns] -> [N, columns, size]: sines and cosines of learnt frequencies, mixed."""

    elementwise = ("frequencies",)

    def __init__(self, columns: int, size: int, frequencies: int, scale: float) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(columns, frequencies) * scale)
        self.linear = ColumnLinear(columns, 2 * frequencies, size)

    def forward(self, numbers: Tensor) -> Tensor:
        angles = 2 * math.pi * numbers.unsqueeze(2) * self.frequencies
        return functional.relu(self.linear(torch.cat([torch.cos(angles), torch.sin(angles)], dim=2)))


class MemberLinear(nn.Module):
    """One linear layer for all members, with scales of their inputs and outputs and a bias of each member's own.

    [N, members, before] -> [N, members, after].
    """

    elementwise = ("inputs", "outputs")

    def __init__(self, members: int, before: int, after: int, first: bool) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(before)
        self.weight = nn.Parameter(torch.empty(after, before).uniform_(-bound, bound))
        # Random signs in the first layer alone make the members differ (TabM, section 3).
        signs = torch.randint(0, 2, (members, before)) * 2.0 - 1.0 if first and members > 1 else None
        self.inputs = nn.Parameter(torch.ones(members, before) if signs is None else signs)
        self.outputs = nn.Parameter(torch.ones(members, after))
        self.bias = nn.Parameter(torch.empty(members, after).uniform_(-bound, bound))

    def forward(self, features: Tensor) -> Tensor:
        return functional.linear(features * self.inputs, self.weight) * self.outputs + self.bias


class Tabular(nn.Module):
    """Preprocessed rows [N, numbers + indicators + categories] -> logits [N, K] of classes or labels, or standardised
    numbers [N] or [N, K].

    In training, outputs of each member: [N, members, K] or [N, members].

    Args:
        outputs: K; None for one number, [N].
        average: outside training, what of the members is averaged.
    """

    def __init__(self, inputs: TableInputs, outputs: int | None, average: Average, settings: Settings) -> None:
        super().__init__()
        numbers = [column for _, column in inputs.numbers]
        self.numbers = len(numbers)
        self.flags = sum(column.missing for column in numbers)
        self.average, self.squeezes = average, outputs is None
        self.embed: nn.Module | None = None
        features = self.numbers + self.flags
        if numbers and settings.numbers != "plain":
            features = self.numbers * settings.embedding + self.flags
            self.embed = (
                Piecewise(numbers, settings.embedding)
                if settings.numbers == "piecewise"
                else Periodic(len(numbers), settings.embedding, settings.frequencies, settings.frequency_scale)
            )
        self.categories = nn.ModuleList(
            nn.Embedding(len(column.values) + 1, settings.embedding) for _, column in inputs.categories
        )
        features += len(self.categories) * settings.embedding
        widths = [features] + [settings.width] * settings.layers
        self.layers = nn.ModuleList(
            MemberLinear(settings.members, before, after, first=at == 0)
            for at, (before, after) in enumerate(pairwise(widths))
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.head = ColumnLinear(settings.members, settings.width, outputs or 1)

    def forward(self, rows: Tensor) -> Tensor:
        numbers, flags = rows[:, : self.numbers], rows[:, self.numbers : self.numbers + self.flags]
        parts = [numbers if self.embed is None else self.embed(numbers).flatten(1), flags]
        for at, embedding in enumerate(self.categories, start=self.numbers + self.flags):
            parts.append(embedding(rows[:, at].to(torch.int64)))
        features = torch.cat(parts, dim=1).unsqueeze(1)
        for layer in self.layers:
            features = self.dropout(functional.relu(layer(features)))
        outputs: Tensor = self.head(features)
        if self.squeezes:
            outputs = outputs.squeeze(2)
        if self.training:
            return outputs
        outputs = outputs.float()
        if self.average == "class probabilities":
            # As logits.
            return torch.logsumexp(torch.log_softmax(outputs, dim=2), dim=1)
        if self.average == "label probabilities":
            yes, no = functional.logsigmoid(outputs), functional.logsigmoid(-outputs)
            return torch.logsumexp(yes, dim=1) - torch.logsumexp(no, dim=1)
        return outputs.mean(dim=1)


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A Tabular for rows of a table.

    Raises:
        UserError: for other data.
    """
    average: Average = "numbers"
    if signature.classes:
        average = "label probabilities" if isinstance(signature.target, LabelsTarget) else "class probabilities"
    return Tabular(signature.table, signature.outputs if signature.output_shape else None, average, settings)
