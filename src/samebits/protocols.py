"""What the classes of one's own have to be: a loss, a metric, an augmentation, a task. docs/own_code.md shows each.

    from samebits.protocols import Augmentation, Loss, MaskAugmentation, Metric, Task

They need not derive from these: what has the same methods is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


class Task(Protocol):
    """The interface of a task for the training loop, evaluation and export.

    `loss` is what is minimised, a mean over what `count` counts; `metric_sums` gives sums over it. So the loss of
    several parts of a batch, and a mean over any number of batches and processes, are those of the whole.
    """

    def count(self, targets: Tensor) -> int:
        """What `loss` is a mean over, and `metric_sums` sums over: samples, or the valid positions in them. Where there
        are none, both are 0."""
        return len(targets)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The training objective, the mean over the batch, as a scalar tensor."""
        ...

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Sums over a batch of each metric, `loss` among them, as scalar tensors."""
        ...

    def postprocess(self, outputs: Tensor) -> Tensor:
        """Turn model outputs into predictions, float32: probabilities, or numbers in their own unit."""
        ...


@runtime_checkable
class DerivesMetrics(Protocol):
    """A task some of whose metrics are functions of the means of others, as the perplexity is of the loss."""

    def derived_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """More metrics, from the means of those that `metric_sums` sums; one whose name begins with `_` is for these
        alone."""
        ...


class Loss(Protocol):
    """A loss as those of torch.nn are: `loss = criterion(model(x), y)`."""

    def __call__(self, outputs: Tensor, targets: Tensor, /) -> Tensor:
        """The mean over the samples (of masks, over the pixels that count), a scalar tensor.

        Args:
            outputs: of the model, float32: logits [N, K] or [N, K, H, W], of running text [tokens, V]; numbers [N] or
                [N, K] in standard deviations.
            targets: classes int64 [N] (under mixup their shares, float32 [N, K]), or [N, H, W], 255 where a pixel does
                not count; labels float32 [N, K]; numbers as the outputs are.
        """
        ...


class Metric(Protocol):
    """A number that says how good the predictions for a split are.

    Attributes:
        name: its key in metrics.json: small letters, digits and `_`.
        better: which end is better.
    """

    name: str
    better: Literal["higher", "lower"]

    def __call__(
        self, predictions: npt.NDArray[Any], targets: npt.NDArray[Any], /
    ) -> float | npt.NDArray[np.floating[Any]]:
        """The number, or one number for each sample, [N], whose mean it is.

        Args:
            predictions: float64: probabilities [N, K], numbers [N] or vectors [N, K] in their own units; of masks the
                class of each pixel, uint8 [N, H, W]. Not writable.
            targets: classes int64 [N], labels uint8 [N, K], numbers or vectors float64, masks uint8 [N, H, W]. Not
                writable.
        """
        ...


class Augmentation(Protocol):
    """A random change of a training sample."""

    def __call__(self, sample: npt.NDArray[Any], random: np.random.Generator, /) -> npt.NDArray[Any] | Tensor:
        """The changed sample, of the same shape and type.

        Args:
            sample: as it is stored: an image uint8 or uint16 [C, H, W], an array of its own shape and type, the tokens
                of a text [L] without padding, uint16 or int32, a row of a table float32 [F]. It may be changed in
                place.
            random: where all random numbers have to come from. It depends on the seed, the epoch and the sample.
        """
        ...


class MaskAugmentation(Protocol):
    """A random change of a training image and its mask."""

    def __call__(
        self, sample: npt.NDArray[Any], mask: npt.NDArray[np.uint8], random: np.random.Generator, /
    ) -> tuple[npt.NDArray[Any] | Tensor, npt.NDArray[np.uint8] | Tensor]:
        """Both changed, of the same shapes and types; see `Augmentation`.

        Args:
            mask: uint8 [H, W], 255 where a pixel does not count.
        """
        ...
