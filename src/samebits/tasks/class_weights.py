"""How much the samples of each class count in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.tasks.own_section import TakesOwnLoss, TakesOwnMetrics


class ClassWeights(TakesOwnLoss, TakesOwnMetrics):
    """Part of the `task` section of tasks with classes.

    Attributes:
        class_weights: how much a sample of each class counts in training: `none` (alike), `balanced` (the less, the
            more samples its class has; 1 on average), or a mapping of class names to weights, 1 where left out; a name
            such as 0 or true in quotes, since DVC stops at a mix of numbers and texts.
    """

    of_the_loss: ClassVar[tuple[str, ...]] = ("class_weights",)

    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0.0)]] = "none"

    @field_validator("class_weights", mode="before")
    @classmethod
    def _names_of_classes(cls, value: object) -> object:
        """YAML reads `0: 1.0` as a number, but the class is called "0"."""
        if not isinstance(value, dict):
            return value
        numbers = {name: f"{name:.15g}" for name in value if isinstance(name, int | float)}
        return {str(name).lower() if isinstance(name, bool) else numbers.get(name, name): value[name] for name in value}

    def of_classes(self, classes: Sequence[str], counts: Sequence[int]) -> tuple[float, ...] | None:
        """The weight of each class; None where all weigh alike.

        Args:
            counts: training samples of each class; empty outside of training.

        Raises:
            UserError: if a weight is for no class.
        """
        given = self.class_weights
        if isinstance(given, dict):
            unknown = sorted(set(given) - set(classes))
            if unknown:
                near = nearest(unknown[0], list(classes))
                raise UserError(
                    f"task.class_weights names {', '.join(unknown)}, which is no class of the data",
                    f"{f'did you mean {near}? ' if near else ''}the classes: {', '.join(classes)}",
                )
            return tuple(given.get(name, 1.0) for name in classes)
        if given == "none" or not counts:
            return None
        return tuple(sum(counts) / (len(counts) * max(1, count)) for count in counts)
