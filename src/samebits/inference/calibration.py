"""What was fitted on the validation split, as it lies beside a checkpoint and travels inside exported files.

The temperature is in the exported graph already. The rest is applied here, to answers: intervals of numbers, sets of
classes, and how unlike the training data a sample is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from samebits.base.decimals import printed
from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.params.section import Section, Sha256
from samebits.signature.kind import Column
from samebits.signature.of_classes import best_first
from samebits.signature.target_kind import TargetKind

FORMAT_VERSION = 1
_FIX = "make it again: dvc repro evaluate (or fetch it: dvc pull)"
_SHOWN = 8
_SMALLEST = float(np.finfo(np.float32).tiny)


class Calibration(Section):
    """Numbers fitted on the validation split. What was not asked for, or could not be fitted, is None.

    Attributes:
        weights_sha256: of the `model.safetensors` that they belong to.
        samples: of the validation split.
        temperature: what the logits are divided by; 1 leaves them as they are.
        log_loss: on the validation split, of the fitted temperature.
        log_loss_before: likewise, of a temperature of 1.
        coverage: of the intervals and sets.
        half_widths: of the interval of each number, in its unit.
        set_probability: the least probability of a class in the set; the most probable class always is.
        ood_rate: share of samples like those of the validation split that may be called unlike the training data.
        ood_threshold: the score (`ood_scores`) above which a sample is.
        reasons: name of a parameter -> why what it asks for is not there.
    """

    format_version: int = FORMAT_VERSION
    weights_sha256: Sha256
    samples: int = Field(ge=0)
    temperature: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    log_loss: float | None = None
    log_loss_before: float | None = None
    coverage: float | None = Field(default=None, gt=0.0, lt=1.0)
    half_widths: list[Annotated[float, Field(ge=0.0, allow_inf_nan=False)]] | None = Field(default=None, min_length=1)
    set_probability: float | None = Field(default=None, ge=0.0, le=1.0)
    ood_rate: float | None = Field(default=None, gt=0.0, lt=1.0)
    ood_threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    reasons: dict[str, str] = Field(default={})

    @model_validator(mode="after")
    def _of_a_coverage(self) -> Calibration:
        if self.coverage is None and (self.half_widths is not None or self.set_probability is not None):
            raise ValueError("intervals and sets have no coverage")
        return self

    def problem(self, target: TargetKind) -> str:
        """Why this cannot be of a model of such a target; empty if it can."""
        if self.half_widths is not None and (target.labels or len(self.half_widths) != math.prod(target.answer_shape)):
            return f"its {len(self.half_widths)} intervals are not those of the target"
        if not target.one_class and (self.set_probability is not None or self.ood_threshold is not None):
            return "its limits are of classes, and the target is not one class"
        return ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Rows (name, value) for people."""
        found = [("fitted on", f"{self.samples:,} validation samples")]
        if self.log_loss is not None and self.log_loss_before is not None:
            found.append(("temperature", f"{self.temperature:g}"))
            found.append(("their log loss", f"{self.log_loss_before:.4f} without it, {self.log_loss:.4f} with it"))
        if self.half_widths is not None:
            more = f" and {len(self.half_widths) - _SHOWN} more" if len(self.half_widths) > _SHOWN else ""
            wide = ", ".join(f"{each:.4g}" for each in self.half_widths[:_SHOWN])
            found.append((f"intervals of {self.coverage:.4g}", f"± {wide}{more}"))
        if self.set_probability is not None:
            found.append((f"sets of {self.coverage:.4g}", f"classes from {self.set_probability:.4g} on"))
        if self.ood_threshold is not None:
            found.append(("unlike the training data", f"above {self.ood_threshold:.4g}"))
        return found + [(f"no {name}", reason) for name, reason in self.reasons.items()]

    def interval(self, answer: npt.NDArray[np.floating]) -> tuple[tuple[float, float], ...]:
        """Ends of the interval of each number of one answer, to seven significant digits; empty where there is none."""
        if self.half_widths is None:
            return ()
        # Without numpy: of a million rows in a table it would take most of the time.
        pairs = zip(np.ravel(answer).tolist(), self.half_widths, strict=True)
        return tuple((float(f"{value - wide:.7g}"), float(f"{value + wide:.7g}")) for value, wide in pairs)

    def shown(self, answer: npt.NDArray[np.floating], target: TargetKind) -> str:
        """What follows one answer that is shown to people: its interval or set; of a vector, nothing."""
        ends, labels = self.interval(answer), self.label_set(answer, target)
        if len(ends) == 1:
            return f"   ({self.coverage:.4g}: {printed(ends[0][0])} to {printed(ends[0][1])})"
        return f"   ({self.coverage:.4g}: {', '.join(labels)})" if labels else ""

    def in_set(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_] | None:
        """Which classes are in the set, [n, K] of probabilities [n, K]; None where there are no sets."""
        if self.set_probability is None:
            return None
        best = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
        found: npt.NDArray[np.bool_] = (probabilities >= self.set_probability) | best
        return found

    def label_set(self, answer: npt.NDArray[np.floating], target: TargetKind) -> tuple[str, ...]:
        """The classes in the set of one answer, the most probable first; empty where there are no sets."""
        found = None if self.set_probability is None else self.in_set(answer[None])
        return () if found is None else tuple(label for label, _ in target.ranked(answer, int(found.sum())))

    def columns(self, target: TargetKind) -> dict[str, Column]:
        """The columns that a table of answers has beside `target.columns`, and what they hold."""
        found: dict[str, Column] = {}
        if self.half_widths is not None:
            many = len(self.half_widths) > 1
            ends = [f"{end} of {name}" if many else end for name in target.columns() for end in ("low", "high")]
            found |= dict.fromkeys(ends, "number")
        if self.set_probability is not None:
            found["set"] = "text"
        if self.ood_threshold is not None:
            found["ood_score"] = "share"
        return found

    def cells(
        self, answers: npt.NDArray[np.floating], target: TargetKind, ood_scores: Sequence[float | None]
    ) -> list[list[Any]]:
        """Answers [n, ...] as the cells of such columns, n in each."""
        found: list[list[Any]] = []
        if self.half_widths is not None:
            ends = zip(*map(self.interval, answers), strict=True)  # of each number
            found += [list(each) for pairs in ends for each in zip(*pairs, strict=True)]
        if (within := self.in_set(answers)) is not None:
            order, counts = best_first(answers).tolist(), within.sum(axis=1).tolist()
            rows = zip(order, counts, strict=True)
            found.append(["; ".join(target.labels[k] for k in row[:count]) for row, count in rows])
        return found + ([list(ood_scores)] if self.ood_threshold is not None else [])

    def ood_scores(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64] | None:
        """How unlike the training data samples are, 0 to 1, [n] of probabilities [n, K]; None where that is not said.

        A sample above `ood_threshold` is called unlike them.
        """
        return None if self.ood_threshold is None else entropy(probabilities, self.temperature)

    def ood_score(self, answer: npt.NDArray[np.floating]) -> float | None:
        """As `ood_scores`, of one answer [K]."""
        scores = self.ood_scores(answer[None])
        return None if scores is None else float(scores[0])

    def ood_scores_of(self, answers: Sequence[npt.NDArray[np.floating]]) -> Sequence[float | None]:
        """As `ood_score`, of each answer, many times faster than one by one."""
        if self.ood_threshold is None or not answers:
            return [None] * len(answers)
        found: list[float | None] = entropy(np.stack(answers), self.temperature).tolist()
        return found

    def notes(self, ood_score: float | None) -> tuple[str, ...]:
        """What the user should know about a sample."""
        if ood_score is None or self.ood_threshold is None or ood_score <= self.ood_threshold:
            return ()
        return (f"unlike the training data: {ood_score:.2f}, above {self.ood_threshold:.2f}",)

    def are_unlike(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_] | None:
        """Which samples are called unlike the training data, [n] of [n, K]; None where that is not said."""
        if self.ood_threshold is None:
            return None
        found: npt.NDArray[np.bool_] = entropy(probabilities, self.temperature) > self.ood_threshold
        return found


UNCALIBRATED = Calibration(weights_sha256="0" * 64, samples=0)
"""Of a model of which nothing is known: no answer has an interval, a set or a score."""


def entropy(probabilities: npt.NDArray[np.floating], temperature: float) -> npt.NDArray[np.float64]:
    """Entropy of the classes before the temperature was applied, as a share of the largest possible, [n] of [n, K].

    Args:
        probabilities: softmax(logits / temperature). Raised to its power and normalised they are softmax(logits).
    """
    logits = temperature * np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    total = shares.sum(axis=1, keepdims=True)
    found: npt.NDArray[np.float64] = (np.log(total[:, 0]) - (shares * logits).sum(axis=1) / total[:, 0]) / np.log(
        probabilities.shape[1]
    )
    return np.clip(found, 0.0, 1.0)


def load_calibration(path: Path, weights_sha256: str) -> Calibration | None:
    """What `evaluate` wrote for these weights; None if there is no such file.

    Raises:
        UserError: if it is damaged, of another format, or of other weights.
    """
    if not path.is_file():
        return None
    raw = read_json(path)
    if isinstance(raw, dict) and raw.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{path} has format {str(raw.get('format_version'))[:20]}, this code reads {FORMAT_VERSION}", _FIX
        )
    try:
        found = Calibration.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{path} is not what evaluate writes: {error.errors()[0]['msg']}", _FIX) from None
    if found.weights_sha256 != weights_sha256:
        raise UserError(
            f"{path} was fitted to weights {found.weights_sha256[:16]}, the checkpoint holds {weights_sha256[:16]}",
            _FIX,
        )
    return found
