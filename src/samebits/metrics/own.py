"""A metric of the user's own: a class of the folder `custom`, see docs/own_code.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError, listed
from samebits.base.own_code import Named, build_own, name_of
from samebits.protocols import Metric as OfTheUser

Array = npt.NDArray[Any]

TAKEN = frozenset(
    {
        *("accuracy", "bias", "bits_per_byte", "calibration_error", "exact_match"),
        *("entity_f1", "entity_macro_f1", "entity_precision", "entity_recall"),
        *("tag_accuracy", "tag_log_loss", "tag_macro_f1"),
        *("log_loss", "loss", "macro_f1", "mae", "mae_in_std", "mean_average_precision", "mean_dice", "mean_iou"),
        *("median_absolute_error", "micro_f1", "perplexity", "pixel_accuracy", "pixel_log_loss", "r2", "rmse"),
        *("rmse_in_std", "interval_coverage", "interval_width", "ood_rate", "set_coverage", "set_size"),
    }
)
"""Names of metrics of ours (`registry`, which the stage `train` does not depend on)."""

_NAME = re.compile("[a-z][a-z0-9_]{0,60}")
_TOP_K = re.compile("top_[0-9]+_accuracy")


@dataclass(frozen=True)
class OwnMetric:
    """A metric of the user's own.

    Attributes:
        place: `Cost of custom/metrics.py`, for messages.
        name, better: what it says of itself.
    """

    own: OfTheUser
    place: str
    name: str
    better: Literal["higher", "lower"]

    def of(self, predictions: Array, targets: Array) -> npt.NDArray[np.float64]:
        """The number, [], or one a sample, [N]; NaN where it is undefined.

        Raises:
            UserError: if it gives something else.
        """
        given = [_read_only(each) for each in (predictions, targets)]
        found = np.asarray(self.own(*given))
        if found.dtype.kind not in "biuf" or found.shape not in {(), (len(targets),)}:
            raise UserError(
                f"{self.place} gives {found.dtype} {list(found.shape)} for {len(targets)} samples",
                f"give a number, or one number a sample, [{len(targets)}], whose mean it is",
            )
        return found.astype(np.float64)

    def mean(self, predictions: Array, targets: Array) -> float:
        """The number of a split."""
        return float(self.of(predictions, targets).mean())


def own_metrics(parts: Sequence[Named]) -> tuple[OwnMetric, ...]:
    """The metrics that `task.own_metrics` names.

    Raises:
        UserError: if one cannot be built, or does not say its name and which end is better.
    """
    found = [_own_metric(part) for part in parts]
    names = [each.name for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"task.own_metrics has more than one of the name {listed(twice)}", "give each a name of its own"
        )
    return tuple(found)


def _own_metric(part: Named) -> OwnMetric:
    own, place = build_own(part, "task.own_metrics"), name_of(part)
    name, better = (getattr(own, each, None) for each in ("name", "better"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            f"{place} has the name {name!r}" if name is not None else f"{place} has no name",
            'write a class with a `name` of small letters, digits and _, such as name = "cost"',
        )
    if name in TAKEN or _TOP_K.fullmatch(name):
        raise UserError(f"{place} has the name {name}, which a metric of samebits has", "call it otherwise")
    if better not in ("higher", "lower"):
        raise UserError(f"{place} does not say which end is better", 'give it better = "higher" or better = "lower"')
    if not callable(own):
        raise UserError(f"{place} cannot be called", "give it __call__(self, predictions, targets)")
    return OwnMetric(own, place, name, cast(Any, better))


def _read_only(array: Array) -> Array:
    """As metrics get it: floating-point numbers in float64, and a view that cannot be written to."""
    given = (array.astype(np.float64, copy=False) if array.dtype.kind == "f" else array).view()
    given.flags.writeable = False
    return given
