"""Metrics of a language model on a test split.

Rows are resampled, as neighbouring tokens are no independent samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.metrics.bootstrap import Floats, Statistic
from samebits.metrics.metric import Metric, four_decimals, per_sample, percent, two_decimals
from samebits.metrics.scores import token_metrics


@dataclass(frozen=True)
class TokenLosses:
    """What the model makes of every token of a split.

    Attributes:
        losses: minus the log of the probability of the token that came, [rows, L].
        hits: whether it was the most probable one, [rows, L].
        bytes_per_token: of the text; None where bits per byte have no meaning.
    """

    losses: Floats
    hits: npt.NDArray[np.bool_]
    bytes_per_token: float | None
    width: int = 1

    def __len__(self) -> int:
        return len(self.losses)


def _of_loss(name: str, losses: TokenLosses) -> Statistic | None:
    if name not in token_metrics(0.0, losses.bytes_per_token):
        return None
    means = losses.losses.mean(axis=1)
    return lambda drawn: np.array(
        [token_metrics(loss, losses.bytes_per_token)[name] for loss in drawn.mean(means).tolist()]
    )


METRICS: list[Metric[TokenLosses]] = [
    Metric("bits_per_byte", "Bits per byte", four_decimals, "lower", lambda found: _of_loss("bits_per_byte", found)),
    Metric(
        "perplexity",
        "Perplexity",
        two_decimals,
        "lower",
        lambda found: _of_loss("perplexity", found),
        headline=True,
    ),
    Metric("loss", "Loss", four_decimals, "lower", per_sample(lambda found: found.losses.mean(axis=1))),
    Metric(
        "accuracy",
        "Next token right",
        percent,
        "higher",
        per_sample(lambda found: found.hits.mean(axis=1)),
        headline=True,
    ),
]
