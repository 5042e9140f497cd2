"""Split conformal prediction (Vovk et al., 2005; Lei et al., 2018): a limit that a new sample of the same kind stays
below as often as was asked for, from samples that the model was not trained on."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def conformal_limit(scores: npt.NDArray[np.float64], coverage: float) -> float | None:
    """The score that ceil((n + 1) coverage) of n samples do not exceed; None where n is too small for that coverage.

    Of n + 1 samples that change places freely, each is as likely to be the new one: hence n + 1.
    """
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)  # 0.95 of 19 + 1 is 19, whatever float64 makes of it
    return None if rank > len(scores) else float(np.partition(scores, rank - 1)[rank - 1])


def fewest_samples(coverage: float) -> int:
    """Samples that a limit of this coverage needs at least."""
    return math.ceil(coverage / (1.0 - coverage) - 1e-9)
