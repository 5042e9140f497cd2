"""Training samples per second of the ResNet-9 of the recipe `fashion_mnist`: as in `training`, measured alone."""

from __future__ import annotations

from typing import Any

from parts import training
from parts.base import Options

SUBJECTS: training.Subjects = {"ResNet-9, augmented": ("resnet9", True)}
_TEXT = """
The same for the ResNet-9 of the recipe `fashion_mnist` (widths 24, 48, 96, 192). The clock starts after 8 s and 10
steps and counts 120; the loss is the mean of steps 61 to 120.
"""


def measure(options: Options) -> dict[str, Any]:
    return training.measure(options, SUBJECTS)


def render(found: dict[str, Any]) -> list[str]:
    return training.render(found, "Training, ResNet-9", _TEXT, SUBJECTS)
