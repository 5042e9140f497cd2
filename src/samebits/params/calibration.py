"""`calibration`: what is fitted on the validation split after the training, so that answers say how sure they are."""

from __future__ import annotations

from pydantic import Field, model_validator

from samebits.params.section import Section


class CalibrationParams(Section):
    """Calibration on the validation split; no weight of the model changes.

    Attributes:
        temperature: divide the logits by one number that is fitted on the validation split (Guo et al., 2017), in the
            evaluation and in every exported file. false: probabilities as the network gives them.
        coverage: of the intervals of predicted numbers, and of the sets of classes (split conformal prediction); null:
            neither.
        sets: of a classifier, also the set of classes that holds the true one as often as `coverage` says.
        ood_rate: share of samples like those of the validation split that may be called unlike the training data, of a
            classifier; null: none is.
    """

    temperature: bool = True
    coverage: float | None = Field(default=0.95, ge=0.5, lt=1.0)
    sets: bool = False
    ood_rate: float | None = Field(default=0.01, gt=0.0, le=0.5)

    @model_validator(mode="after")
    def _sets_need_a_coverage(self) -> CalibrationParams:
        if self.sets and self.coverage is None:
            raise ValueError("sets need a coverage: set coverage to 0.95, or sets: false")
        return self
