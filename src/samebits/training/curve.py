"""The rows of the training curve, as functions of the losses of all updates: at which steps they lie depends on the
number of epochs, and a state may come from a training with another one."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

from samebits.params.train import TrainParams
from samebits.training.optim.finite import finite
from samebits.training.optim.schedules import lr_multiplier
from samebits.training.resume.state import Row, TrainingState, step_of

CURVE_POINTS = 400
"""Points of a training curve, whatever the number of steps; `golden.loss_trace` raises it to see each."""


@dataclass(frozen=True)
class CurveRows:
    """Where the rows of a training lie, and what is in them."""

    settings: TrainParams
    steps_per_epoch: int

    @property
    def total_steps(self) -> int:
        return self.settings.epochs * self.steps_per_epoch

    def at(self, step: int) -> bool:
        """Whether there is a row after update number `step`, counted from 1."""
        return step % self._every == 0 or step % self.steps_per_epoch == 0

    def values(self, state: TrainingState, step: int) -> dict[str, float]:
        """The mean loss since the row before, and the rate of the last update."""
        before = max((step - 1) // every * every for every in (self._every, self.steps_per_epoch))
        losses = state.losses[before:step].tolist()
        rate = lr_multiplier(self.settings.schedule, step - 1, self.total_steps)
        return {
            "train/loss": functools.reduce(operator.add, losses) / len(losses),
            "train/lr": self.settings.optimizer.lr * rate,
        }

    def redraw(self, state: TrainingState) -> None:
        """Make the curve of a state that comes from a training of another length."""
        validated = {step_of(row): row for row in state.curve if "epoch" in row}
        state.curve = []
        for step in range(1, state.step + 1):
            if self.at(step):
                state.curve.append(as_row(step, self.values(state, step)))
            if step in validated:
                state.curve.append(validated[step])

    @property
    def _every(self) -> int:
        return max(1, self.total_steps // CURVE_POINTS)


def as_row(step: int, values: dict[str, float]) -> Row:
    """A row with an empty cell for what is not finite: JSON, in which the state is saved, has no NaN."""
    return {"step": step, **{name: finite(value) for name, value in values.items()}}
