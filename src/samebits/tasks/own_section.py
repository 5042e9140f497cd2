"""Parts of the `task` section with which a loss or metrics of the user's own come in."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from samebits.params.own import OwnLoss, OwnPart
from samebits.params.section import Section


class TakesOwnMetrics(Section):
    """Part of the `task` section of tasks whose predictions for a split are one array.

    Attributes:
        own_metrics: metrics of your own, each `{file, class_name, arguments}` (docs/own_code.md).
    """

    own_metrics: list[OwnPart] = Field(default=[])


class TakesOwnLoss(Section):
    """Part of the `task` section of tasks whose loss can be replaced.

    Attributes:
        own_loss: a loss of your own or of torch.nn instead of the task's, `{file, class_name, arguments, batchwise}`
            (docs/own_code.md); null is the task's.
    """

    of_the_loss: ClassVar[tuple[str, ...]] = ()
    """Keys that shape the task's own loss alone."""

    own_loss: OwnLoss | None = None

    @model_validator(mode="after")
    def _no_other_loss(self) -> Self:
        """A key that does nothing would be taken for one that does."""
        for key in self.of_the_loss if self.own_loss else ():
            value, default = getattr(self, key), type(self).model_fields[key].default
            if value != default:
                raise ValueError(
                    f"own_loss replaces the task's loss, so {key}: {value} does nothing: set it to {default}"
                )
        return self
