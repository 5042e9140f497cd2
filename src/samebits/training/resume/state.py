"""The training state: everything that the next step depends on and that is no pure function of its number."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn, optim

from samebits.base.errors import listed
from samebits.checkpoints.stream import LazyTensors
from samebits.checkpoints.tied import load_weights, named_weights
from samebits.training.optim.ema import ModelEma
from samebits.training.optim.finite import not_finite
from samebits.training.resume.saved import StateCounters, no_counters
from samebits.training.shards import Gathered, Shards

Row = dict[str, float | None]
"""Of the curve: `step`, and metrics by name."""

_MODELS = ("model", "average", "best")
"""Parts of a state whose tensors are called as the model's."""


@dataclass
class TrainingState:
    """Model, optimiser, average, scaler and the counters; saved and restored whole.

    The order of the data, the augmentation, the learning rate and the random numbers of a step are functions of
    (seed, step) and are not here.

    Attributes:
        shards: where the model is cut over processes: this state holds the rows of one of them.
        step: updates made.
        losses: the training loss of each update, float64 [S] on the device with S of at least `step`. The curve is made
            of them, whose points lie otherwise where the number of epochs is another.
        curve: rows of curves.csv so far; None where a metric was not finite.
        best: the weights of the epoch with the lowest validation loss, where they may be needed.
        best_loss, best_epoch: that epoch's.
        unbounded: names in the model of what held infinities from the beginning, such as the mask of an attention.
    """

    model: nn.Module
    optimizer: optim.Optimizer
    average: ModelEma | None
    scaler: torch.amp.GradScaler | None
    shards: Shards | None = None
    step: int = 0
    losses: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    curve: list[Row] = field(default_factory=list)
    best: dict[str, torch.Tensor] | None = None
    best_loss: float = math.inf
    best_epoch: int = 0
    unbounded: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.unbounded = frozenset(not_finite(self.model.state_dict()))

    @property
    def eval_model(self) -> nn.Module:
        """The model that is validated and saved: the average where there is one."""
        return self.average.model if self.average else self.model

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor of the state under a flat name; of a model that is cut, this process's rows."""
        found = {f"model.{name}": value for name, value in self._weights(self.model).items()}
        for index, slot in enumerate(self._slots()):
            found |= {f"optimizer.{index}.{name}": value for name, value in slot.items()}
        if self.average:
            found |= {f"average.{name}": value for name, value in self._weights(self.average.model).items()}
        if self.best is not None:
            found |= {f"best.{name}": value for name, value in self.best.items()}
        found["losses"] = self.losses[: self.step]
        return found

    def whole(self) -> Mapping[str, torch.Tensor]:
        """All of it on rank 0, of a model that is cut, too: then every other process calls `Gathered.send_all`."""
        tensors = self.tensors()
        if self.shards is None:
            return tensors
        like = {name: self.shards.whole_of(name, value) for name, value in tensors.items()}
        return Gathered(tensors, self.shards, like)

    def weights(self) -> dict[str, torch.Tensor]:
        """Those that are evaluated, by name: the average where there is one. See `tensors`."""
        return self._weights(self.eval_model)

    def kept_weights(self) -> Mapping[str, torch.Tensor]:
        """Those that the training ends with: of the best epoch where it is asked for. See `whole`."""
        kept = self.best if self.best is not None else self.weights()
        return kept if self.shards is None else Gathered(kept, self.shards, self.shards.whole, "model.")

    def _weights(self, model: nn.Module) -> dict[str, torch.Tensor]:
        return named_weights(model) if self.shards is None else self.shards.rows(model)

    def gradients(self) -> dict[str, torch.Tensor]:
        """Those that there are, by name; of a model that is cut, this process's rows."""
        return {name: each.grad for name, each in self._trained.items() if each.grad is not None}

    @functools.cached_property
    def _trained(self) -> dict[str, nn.Parameter]:
        """What is updated, by name. Found once: to walk through a model at each step takes its time."""
        named = {name: each for name, each in self.model.named_parameters() if each.requires_grad}
        return {name: self.shards.trained[name] for name in named} if self.shards else named

    def damaged(self, tensors: dict[str, torch.Tensor]) -> list[str]:
        """Names of the tensors of a state of this training that hold NaN or infinity, and should not."""
        return not_finite(tensors, {f"{part}.{name}" for part in _MODELS for name in self.unbounded})

    def reserve(self, steps: int, device: torch.device) -> None:
        """Make room for the losses of so many updates."""
        losses = torch.zeros(steps, dtype=torch.float64, device=device)
        losses[: self.step] = self.losses[: self.step]
        self.losses = losses

    def counters(self) -> dict[str, Any]:
        """Everything else, as JSON values."""
        return {
            "step": self.step,
            "curve": self.curve,
            "best_loss": None if math.isinf(self.best_loss) else self.best_loss,
            "best_epoch": self.best_epoch,
            "scaler": self.scaler.state_dict() if self.scaler else None,
        }

    def problem(self, tensors: dict[str, torch.Tensor], counters: dict[str, Any]) -> str:
        """Why this training cannot go on from a saved state; empty if it can: then `restore` takes it."""
        try:
            StateCounters.model_validate(counters)
        except ValidationError as error:
            return no_counters(error)
        whole = self.whole()
        known = whole.like if isinstance(whole, LazyTensors) else whole
        mine = {name: value for name, value in known.items() if name.startswith(("model.", "average."))}
        best = {f"best.{name.removeprefix('model.')}": value for name, value in mine.items() if name[:6] == "model."}
        if any(name.startswith("best.") for name in tensors):
            mine |= best
        if missing := [name for name in (*mine, "losses") if name not in tensors]:
            return f"it lacks {listed(missing)}"
        shapes = self.shards.slot_shapes() if self.shards else [each.shape for each in self._parameters()]
        slots = {f"optimizer.{index}": shape for index, shape in enumerate(shapes)}
        wrong = []
        for name, value in tensors.items():
            slot = slots.get(name.rpartition(".")[0])
            if name in mine:
                fits = (value.shape, value.dtype) == (mine[name].shape, mine[name].dtype)
            elif name == "losses":
                fits = value.shape == (counters["step"],) and value.dtype == torch.float64
            else:
                fits = slot is not None and value.shape in (slot, ())
            wrong += [] if fits else [name]
        if wrong:
            return f"it is of another model: {listed(wrong)}"
        if (counters["scaler"] is None) != (self.scaler is None):
            return "it was computed in another precision"
        names = self.damaged(tensors)
        return f"{listed(names)} is not finite" if names else ""

    def restore(self, tensors: dict[str, torch.Tensor], counters: dict[str, Any]) -> None:
        """Take over a saved state, in place. Of a model that is cut, the state may be whole or this process's rows.

        Optimiser tensors take the memory layout of their parameter: the fused kernels walk both in step.

        Raises:
            KeyError, RuntimeError: if the saved state is of another model or optimiser.
        """
        if self.shards:
            tensors = {name: self.shards.mine(name, value) for name, value in tensors.items()}
            for name, value in self.tensors().items():
                if name.startswith(("model.", "average.")):
                    value.copy_(tensors[name])
        else:
            load_weights(self.model, _below("model.", tensors))
            if self.average:
                load_weights(self.average.model, _below("average.", tensors))
        for index, parameter in enumerate(self._parameters()):
            self.optimizer.state[parameter] = {
                name: torch.empty_like(parameter, dtype=value.dtype).copy_(value)
                if value.shape == parameter.shape
                else value.to(parameter.device)
                for name, value in _below(f"optimizer.{index}.", tensors).items()
            }
        best = _below("best.", tensors)
        self.best = best or None
        self.losses = tensors["losses"]
        self.step = counters["step"]
        self.curve = counters["curve"]
        self.best_loss = math.inf if counters["best_loss"] is None else counters["best_loss"]
        self.best_epoch = counters["best_epoch"]
        if self.scaler:
            self.scaler.load_state_dict(counters["scaler"])

    def _parameters(self) -> list[torch.Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _slots(self) -> list[dict[str, torch.Tensor]]:
        """The optimiser's tensors (momentum, moments, step) of each parameter, in the order of the groups."""
        states = [self.optimizer.state.get(parameter, {}) for parameter in self._parameters()]
        return [{name: value for name, value in state.items() if torch.is_tensor(value)} for state in states]


def metrics_of(row: Row) -> dict[str, float]:
    """The metrics in a row of the curve, without the columns that say where it stands."""
    return {name: value for name, value in row.items() if name not in ("step", "epoch") and value is not None}


def step_of(row: Row) -> int:
    """Where a row of the curve stands."""
    return int(row["step"] or 0)


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
