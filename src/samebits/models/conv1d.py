"""A residual network of one-dimensional convolutions, for sounds, time series and other signals of several channels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.params.section import ODD, Section
from samebits.signature.signature import Signature

Width = Annotated[int, Field(ge=1, le=4096)]


class Settings(Section):
    """The `model` section for `name: conv1d`.

    Attributes:
        stages: channels of each stage, which is a residual block of two convolutions.
        kernel: values that a convolution sees; odd.
        stride: of the first convolution of each stage, which shortens the signal. 4 for sounds of thousands of values.
        dropout: probability of zeroing a feature before the head.
    """

    name: Literal["conv1d"]
    stages: list[Width] = Field(default=[64, 128, 128], min_length=1)
    kernel: Annotated[int, Field(ge=1, le=255), ODD] = 5
    stride: int = Field(default=2, ge=1, le=64)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class ResidualBlock(nn.Module):
    """[N, before, L] -> [N, after, ceil(L / stride)]."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(before, after, kernel, stride, kernel // 2, bias=False)
        self.norm1 = nn.BatchNorm1d(after)
        self.second = nn.Conv1d(after, after, kernel, 1, kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(after)
        self.shortcut = nn.Sequential(nn.Conv1d(before, after, 1, stride, bias=False), nn.BatchNorm1d(after))

    def forward(self, signals: Tensor) -> Tensor:
        features = functional.relu(self.norm1(self.first(signals)))
        return functional.relu(self.norm2(self.second(features)) + self.shortcut(signals))


class Conv1d(nn.Module):
    """Signals [N, C, L] or [N, L], float, normalised -> outputs [N, K]."""

    def __init__(self, channels: int, outputs: int, settings: Settings) -> None:
        super().__init__()
        widths = [channels, *settings.stages]
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(before, after, settings.kernel, settings.stride)
                for before, after in zip(widths, settings.stages, strict=False)
            )
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, signals: Tensor) -> Tensor:
        if signals.ndim == 2:
            signals = signals.unsqueeze(1)
        features = self.blocks(signals).mean(dim=2)
        outputs: Tensor = self.head(self.dropout(features))
        return outputs


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A Conv1d for arrays [C, L] or [L].

    Raises:
        UserError: for other data, or arrays of more axes.
    """
    shape = signature.arrays.shape
    if len(shape) > 2:
        raise UserError(
            f"model.name conv1d takes arrays [C, L] or [L], those of the data are {shape}",
            "give arrays of one or two axes, or set model.name to mlp or own; for images uint8 [1 or 3, H, W], convnet",
        )
    return Conv1d(shape[0] if len(shape) == 2 else 1, signature.outputs, settings)


def depth(name: str) -> int:
    """Layer of a parameter, for `transfer.layer_decay`: stages from 0, the head above all."""
    part = name.split(".")
    return int(part[1]) if part[0] == "blocks" else 1 << 10
