"""Which columns a model leans on: how much worse it gets when a column's values change places (Breiman, 2001)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.decimals import ANSWER_DECIMALS
from samebits.evaluation.inputs import EvaluationInputs
from samebits.metrics.bootstrap import BOOTSTRAP_SEED

_REPEATS = 5
_ROWS = 5000


@dataclass(frozen=True)
class Importance:
    """Of one column of the file (all parts of a date together).

    Attributes:
        drop: mean loss of the score over the repeats; about 0 for a column that does not matter.
        spread: standard deviation over the repeats.
    """

    name: str
    drop: float
    spread: float


def permutation_importance(
    evaluated: EvaluationInputs,
    columns: Mapping[str, Sequence[int]],
    score: Callable[[npt.NDArray[np.floating], npt.NDArray[np.int64]], float],
    batch_size: int,
) -> list[Importance]:
    """Columns by how much the score falls when their values are permuted among the test rows, largest first.

    At most 5,000 rows, each column 5 times. Columns that carry the same hide each other: each can be permuted with
    little loss while the other is there.

    Args:
        columns: the name of each to its places in a row.
        score: answers [n] or [n, K] and the rows of the split that they are for -> a number, higher is better.
        batch_size: rows a forward pass.
    """
    rows = np.arange(min(len(evaluated.split), _ROWS), dtype=np.int64)
    samples = evaluated.split.rows(rows)
    generator = np.random.Generator(np.random.Philox(BOOTSTRAP_SEED))
    whole = score(_answers(evaluated, samples, batch_size), rows)
    found = []
    for name, places in columns.items():
        drops = []
        for _ in range(_REPEATS):
            evaluated.check()
            changed = samples.copy()
            changed[:, places] = samples[generator.permutation(len(rows))][:, places]
            drops.append(whole - score(_answers(evaluated, changed, batch_size), rows))
        # Rounded here: a column without effect has nothing but last digits, which must not put it before another.
        found.append(Importance(name, round(float(np.mean(drops)), 6) + 0.0, round(float(np.std(drops)), 6)))
    return sorted(found, key=lambda each: (-each.drop, each.name))


def _answers(
    evaluated: EvaluationInputs, samples: npt.NDArray[np.float32], batch_size: int
) -> npt.NDArray[np.floating]:
    with torch.inference_mode():
        parts = [
            evaluated.serving(part).numpy().round(ANSWER_DECIMALS)
            for part in torch.from_numpy(samples).split(batch_size)
        ]
    return np.concatenate(parts)
