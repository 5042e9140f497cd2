"""Semantic segmentation: one of K classes for each pixel, softmax cross entropy and Dice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.signature.mask import IGNORED
from samebits.signature.signature import Signature
from samebits.tasks.class_weights import ClassWeights

TARGET = "mask"


class Settings(ClassWeights):
    """The `task` section for `name: segmentation`.

    Attributes:
        cross_entropy: weight of the cross entropy in the loss.
        dice: weight of the Dice loss (Milletari et al., 2016): 1 - 2 |both| / (|true| + |predicted|) of each class of
            an image, in probabilities. It weighs small and large classes of an image alike.
    """

    of_the_loss: ClassVar[tuple[str, ...]] = ("class_weights", "cross_entropy", "dice")

    name: Literal["segmentation"]
    cross_entropy: float = Field(default=1.0, ge=0.0)
    dice: float = Field(default=1.0, ge=0.0)

    @model_validator(mode="after")
    def _has_a_loss(self) -> Settings:
        if not self.cross_entropy + self.dice:
            raise ValueError("cross_entropy and dice are both 0: there is no loss")
        return self


@dataclass(frozen=True)
class Segmentation:
    """Logits [N, K, H, W] against masks [N, H, W], uint8, 255 where a pixel does not count.

    What is counted are pixels. An image's Dice loss weighs as much as it has pixels that count, so that the loss is a
    mean over pixels, and the parts of a batch add up to it.

    Attributes:
        weights: of each class in the cross entropy, in training; None weighs all alike.
    """

    settings: Settings
    weights: tuple[float, ...] | None = None

    def count(self, targets: Tensor) -> int:
        return int((targets != IGNORED).sum())

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        # A batch in which no pixel counts has a loss of 0.
        return self._total(outputs, targets, self.weights) / max(1, self.count(targets))

    def loss_inputs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return outputs.float(), targets.long()

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        found = outputs.argmax(dim=1)
        valid, right = targets != IGNORED, found == targets
        sums = {"loss": self._total(outputs, targets, None), "pixel_accuracy": (right & valid).sum()}
        for k in range(outputs.shape[1]):
            said, true = (found == k) & valid, targets == k
            sums |= {f"_both_{k}": (said & true).sum(), f"_either_{k}": (said | true).sum()}
        return sums

    def derived_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """The mean IoU of the classes that there are."""
        names = [
            name.removeprefix("_either_") for name, value in means.items() if name.startswith("_either_") and value
        ]
        ious = [means[f"_both_{name}"] / means[f"_either_{name}"] for name in names]
        return {"mean_iou": sum(ious) / len(ious)} if ious else {}

    def postprocess(self, outputs: Tensor) -> Tensor:
        return torch.softmax(outputs.float(), dim=1)

    def _total(self, outputs: Tensor, targets: Tensor, weights: tuple[float, ...] | None) -> Tensor:
        """The sum over the pixels that count."""
        if outputs.shape[2:] != targets.shape[1:]:
            raise UserError(
                f"the model gives {list(outputs.shape)} for masks {list(targets.shape)}",
                "set model.name to one that answers for every pixel: unet, or one of your own that gives [N, K, H, W]",
            )
        logits = outputs.float()
        total = logits.new_zeros(())
        if self.settings.cross_entropy:
            # Pixels as rows: of images, torch has no deterministic kernel for CUDA.
            rows, wanted = logits.permute(0, 2, 3, 1).flatten(0, 2), targets.flatten().long()
            weight = None if weights is None else torch.tensor(weights, device=logits.device)
            found = functional.cross_entropy(rows, wanted, weight=weight, ignore_index=IGNORED, reduction="sum")
            total = total + self.settings.cross_entropy * found
        if self.settings.dice:
            total = total + self.settings.dice * _dice(logits, targets)
        return total


def _dice(logits: Tensor, targets: Tensor) -> Tensor:
    """The Dice loss of each image, the mean over the classes, times its pixels that count; their sum."""
    valid = (targets != IGNORED).unsqueeze(1)
    classes = torch.arange(logits.shape[1], device=logits.device)[:, None, None]
    true = (targets.unsqueeze(1) == classes).float()
    said = torch.softmax(logits, dim=1) * valid
    both, sizes = (true * said).flatten(2).sum(dim=2), (true + said).flatten(2).sum(dim=2)
    # One pixel more of each: a class that an image has not costs what is wrongly said of it.
    losses = (1.0 - (2.0 * both + 1.0) / (sizes + 1.0)).mean(dim=1)
    return (losses * valid.flatten(1).sum(dim=1)).sum()


def build(settings: Settings, signature: Signature, class_counts: Sequence[int]) -> Segmentation:
    """The task; `class_counts` are asked for by balanced weights alone, and not known outside of training.

    Raises:
        UserError: if a weight is for no class.
    """
    return Segmentation(settings, settings.of_classes(signature.classes, class_counts))
