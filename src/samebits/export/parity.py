"""An exported file must give what the checkpoint gives: compared on every test sample, at several batch sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.data.prepared import Split
from samebits.errors import UserError

Predictor = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
Check = Callable[[], None]

_TIE = 1e-5  # rounding in fp32 moves a probability by up to 1e-6 here; other libraries and kernels by a little more
_ROWS = 4096  # samples read at a time: 3 MB of 28x28 images


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from the eager fp32 model.

    Attributes:
        difference: batch size -> largest absolute difference of any probability.
        ties: samples whose two best probabilities are closer than 1e-5, so that rounding may swap them.
    """

    difference: dict[int, float]
    ties: int

    @property
    def worst(self) -> float:
        return max(self.difference.values())


def measure_parity(
    name: str,
    predict: Predictor,
    reference: npt.NDArray[np.float32],
    split: Split,
    *,
    batch_sizes: Sequence[int],
    tolerance: float,
    check: Check,
) -> Parity:
    """Run the whole split through an exported file once a batch size.

    Args:
        name: of the format, for messages.
        predict: uint8 [N, C, H, W] -> probabilities [N, K].
        reference: probabilities of the eager model, [samples, K].
        check: called between batches; raises to stop.

    Raises:
        UserError: if a probability differs by more than `tolerance`, is not finite, or the predicted class differs.
    """
    best = np.partition(reference, -2, axis=1)[:, -2:]
    decided = best[:, 1] - best[:, 0] > _TIE
    expected = reference.argmax(axis=1)
    differences: dict[int, float] = {}
    for size in batch_sizes:
        worst, at = 0.0, 0
        for images in _batches(split, size):
            check()
            rows = slice(at, at + len(images))
            output = predict(images)
            wanted = reference[rows]
            if output.shape != wanted.shape:
                raise _failure(name, size, f"its output has shape {output.shape}, not {wanted.shape}")
            gap = float(np.abs(output - wanted).max())
            if not gap <= tolerance:  # NaN included
                raise _failure(
                    name,
                    size,
                    f"a probability differs by {gap:.3g} in test samples {_span(rows)}, "
                    f"export.tolerance is {tolerance:g}",
                )
            moved = (output.argmax(axis=1) != expected[rows]) & decided[rows]
            if moved.any():
                raise _failure(name, size, f"test sample {at + int(moved.argmax())} gets another class")
            worst = max(worst, gap)
            at += len(images)
        differences[size] = worst
    return Parity(differences, int((~decided).sum()))


def _batches(split: Split, size: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Samples in order, in batches of `size` and a last smaller one, read in larger pieces."""
    step = max(1, _ROWS // size) * size
    for start in range(0, len(split), step):
        images = split.rows(np.arange(start, min(start + step, len(split)), dtype=np.int64))
        for first in range(0, len(images), size):
            yield images[first : first + size]


def _span(rows: slice) -> str:
    return f"{rows.start} to {rows.stop - 1}"


def _failure(name: str, size: int, reason: str) -> UserError:
    return UserError(
        f"the {name} export is not the checkpoint's equal at batch size {size}: {reason}",
        f"raise export.tolerance if that is acceptable, or remove {name} from export.formats; nothing was written",
    )
