"""An exported file must give what the checkpoint gives: for every test sample, and at each batch size for some."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.errors import UserError
from samebits.data.loading.prepared import Array, Split
from samebits.data.loading.sequential import by_length
from samebits.data.loading.tensors import as_tensor

Predictor = Callable[[Array], npt.NDArray[np.float32]]
"""Samples as they are served -> answers."""
Check = Callable[[], None]

SAMPLED = 256
"""Test samples that are compared at each batch size: what a batch size breaks, it breaks in any batch."""

_ANSWERED = 500  # samples of one call where the whole split is answered once
_NUMBERS = 1 << 22  # of those answers, at most
_IN_MEMORY = 1 << 28  # numbers of a split's answers
_ROWS = 1024  # samples of one piece of work: some for each core, also of a small split


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from the eager fp32 model.

    Attributes:
        difference: batch size -> largest absolute difference of any probability; of numbers, relative to the
            target's standard deviation.
        ties: for classes, samples (of masks, pixels; of tags, words) whose two best probabilities are closer than
            1e-5, so that rounding may swap them.
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
    workers: int = 1,
) -> Parity:
    """Run a split through an exported file: `SAMPLED` of it, spread over it and in its order, in batches of each size;
    then every sample once, in batches of the largest size, the shortest texts first.

    Args:
        name: of the format, for messages.
        reference: answers of the eager model: probabilities [samples, K], or numbers [samples].
        check: called between batches; raises to stop.
        workers: pieces of the split that are compared at the same time.

    Raises:
        UserError: if an answer differs by more than `tolerance`, is not finite, or the predicted class differs.
    """
    target = split.info.signature.target

    def compare(size: int, piece: npt.NDArray[np.int64]) -> tuple[float, int]:
        worst, ties = 0.0, 0
        for rows, samples in _batches(split, piece, size):
            check()
            output = _without_unread(predict(samples), split, rows)
            wanted = reference[rows, : samples.shape[-1]] if target.per_position else reference[rows]
            if output.shape != wanted.shape:
                raise _failure(name, size, f"its output has shape {output.shape}, not {wanted.shape}")
            gaps = (np.abs(output - wanted) / target.unit).reshape(len(rows), -1).max(axis=1)
            gap = float(gaps.max())
            if not gap <= tolerance:  # NaN included
                raise _failure(
                    name,
                    size,
                    f"an answer differs by {gap:.3g} in test sample {rows[gaps.argmax()]}, "
                    f"export.tolerance is {tolerance:g}",
                )
            decided, expected = target.decisions(wanted)
            if expected is not None:
                _, found = target.decisions(output)
                moved = (found != expected) & decided
                if moved.any():
                    first = rows[np.argwhere(moved)[0, 0]]
                    raise _failure(name, size, f"test sample {first} gets another {target.decided}")
            worst = max(worst, gap)
            ties += int((~decided).sum())
        return worst, ties

    largest = max(batch_sizes)
    whole = _pieces(by_length(split), largest)
    sampled = [(size, piece) for size in batch_sizes for piece in _pieces(sampled_rows(len(split), size), size)]
    jobs = [*sampled, *((largest, piece) for piece in whole)]
    # The number of torch's threads is each thread's own.
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)) as pool:
        results = list(pool.map(lambda job: compare(*job), jobs))
    difference = dict.fromkeys(batch_sizes, 0.0)
    for (size, _), (gap, _) in zip(jobs, results, strict=True):
        difference[size] = max(difference[size], gap)
    return Parity(difference, sum(ties for _, ties in results[len(sampled) :]))


def sampled_rows(count: int, batch_size: int) -> npt.NDArray[np.int64]:
    """Rows of a split at which a batch size is compared, ascending: `SAMPLED`, or one batch if that is more."""
    return np.unique(np.linspace(0, count - 1, min(count, max(SAMPLED, batch_size))).astype(np.int64))


def served_inputs(split: Split, indices: npt.NDArray[np.int64]) -> Array:
    """Samples in the type in which a model is served."""
    return as_tensor(split.samples(indices)[0]).numpy()


def answers(predict: Predictor, split: Split) -> npt.NDArray[np.float32]:
    """Answers for the whole split, in order: probabilities [samples, K], of masks [samples, K, H, W], of tags
    [samples, L, K], or numbers [samples]. Large ones are mapped from a temporary file."""
    order, shape, target = by_length(split), split.info.signature.output_shape, split.info.signature.target
    size = max(1, min(_ANSWERED, _NUMBERS // math.prod(shape)))
    found: npt.NDArray[np.float32] | None = None
    for start in range(0, len(split), size):
        rows = order[start : start + size]
        part = _without_unread(predict(served_inputs(split, rows)), split, rows)
        if found is None:
            found = _zeros((len(split), *(shape if target.per_position else part.shape[1:])))
        found[(rows, slice(part.shape[1])) if target.per_position else rows] = part
    return _zeros((0, *shape)) if found is None else found


def _without_unread(
    answers: npt.NDArray[np.float32], split: Split, rows: npt.NDArray[np.int64] | slice
) -> npt.NDArray[np.float32]:
    return (
        answers if split.targets is None else split.info.signature.target.without_unread(answers, split.targets[rows])
    )


def _zeros(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if math.prod(shape) <= _IN_MEMORY:
        return np.zeros(shape, dtype=np.float32)
    with tempfile.TemporaryFile() as file:  # it goes with the last array that maps it
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def _pieces(rows: npt.NDArray[np.int64], size: int) -> list[npt.NDArray[np.int64]]:
    """Rows in pieces of whole batches, for workers; the last one may be smaller."""
    step = max(1, _ROWS // size) * size
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _batches(split: Split, piece: npt.NDArray[np.int64], size: int) -> Iterator[tuple[npt.NDArray[np.int64], Array]]:
    """Rows and their samples in batches of `size` and a last smaller one, read at once; each as long as its own
    longest text."""
    samples = served_inputs(split, piece)
    for first in range(0, len(piece), size):
        yield piece[first : first + size], split.info.signature.inputs.used(samples[first : first + size])


def _failure(name: str, size: int, reason: str) -> UserError:
    return UserError(
        f"the {name} export is not the checkpoint's equal at batch size {size}: {reason}",
        f"raise export.tolerance if that is acceptable, or remove {name} from export.formats; nothing was written",
    )
