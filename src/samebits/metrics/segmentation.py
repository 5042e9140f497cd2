"""Numbers that describe predicted masks of a test split, with bootstrap confidence intervals over its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.metrics.bootstrap import Floats, Ints, Statistic
from samebits.metrics.metric import Metric, four_decimals, mean_over_classes, per_unit, percent
from samebits.metrics.scores import class_f1, class_ious, mean_of_classes


@dataclass(frozen=True)
class MaskOverlaps:
    """How the predicted mask of each image lies over the true one; pixels that do not count are in none.

    Attributes:
        both: [N, K], int64: pixels of each class in both masks.
        actual, predicted: [N, K]: in the true mask, in the predicted one.
        losses: [N], float64: cross entropy, the sum over an image's pixels.
        masks: [2, N, H, W], uint8: the predicted masks and the true ones, where something asks for them.
    """

    both: Ints
    actual: Ints
    predicted: Ints
    losses: Floats
    masks: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.both)

    @property
    def width(self) -> int:
        return int(self.both.shape[1])

    @property
    def pair(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Predicted and true masks, [N, H, W]."""
        assert self.masks is not None
        return self.masks[0], self.masks[1]

    @property
    def pixels(self) -> Ints:
        """[N], those that count."""
        counts: Ints = self.actual.sum(axis=1)
        return counts

    @property
    def image_ious(self) -> Floats:
        """[N], of each image the mean IoU of the classes that are in one of its masks."""
        return mean_of_classes(class_ious(self.both, self.actual, self.predicted))


def _mean(score: Callable[[Floats, Floats, Floats], Floats]) -> Callable[[MaskOverlaps], Statistic]:
    """The mean over the classes of a score of all pixels of a resample."""
    return lambda found: mean_over_classes(score, found.both, found.actual, found.predicted)


def _per_pixel(values: Callable[[MaskOverlaps], Floats]) -> Callable[[MaskOverlaps], Statistic]:
    """The mean over the pixels of one sum per image, [N]."""
    return lambda found: per_unit(values(found), found.pixels)


METRICS: list[Metric[MaskOverlaps]] = [
    Metric("mean_iou", "Mean IoU", percent, "higher", _mean(class_ious), headline=True),
    Metric("mean_dice", "Mean Dice", percent, "higher", _mean(class_f1)),
    Metric(
        "pixel_accuracy",
        "Pixel accuracy",
        percent,
        "higher",
        _per_pixel(lambda found: found.both.sum(axis=1).astype(np.float64)),
        headline=True,
    ),
    Metric("pixel_log_loss", "Log loss", four_decimals, "lower", _per_pixel(lambda found: found.losses)),
]
