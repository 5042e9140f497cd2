"""An augmentation of the user's own: a class of the folder `custom` that changes one training sample at a time.

Its random numbers come from a generator that is made for each sample from (seed, epoch, sample): what happens to a
sample is a function of these, as with the built-in changes, so the number of workers and a resume do not matter.
"""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import torch

from samebits.base.errors import UserError
from samebits.base.own_code import asked, build_own, name_of
from samebits.data.loading.order import Int64, Stream
from samebits.data.loading.prepared import Array, Split
from samebits.params.own import OwnPart
from samebits.signature.signature import Signature

_TRIED = 32
"""Samples that are changed before a training, each twice."""


class OwnAugmentation:
    """The class that `augment.own` names, for batches.

    Args:
        seed: of the training.

    Raises:
        UserError: if there is no such file or class, or it cannot be built.
    """

    def __init__(self, part: OwnPart, signature: Signature, seed: int) -> None:
        self.name = name_of(part)
        self._own = build_own(part, "augment.own")
        if not callable(self._own):
            raise UserError(f"{self.name} cannot be called", "give it __call__(self, sample, random)")
        self._inputs, self._target, self._seed = signature.inputs, signature.target, seed

    def __call__(self, inputs: Array, targets: Array, rows: Int64, epoch: int) -> tuple[Array, Array]:
        """A batch with each sample changed, and its mask, where the target is one.

        Args:
            inputs, targets: [B, ...]; not changed.
            rows: int64 [B], the samples' rows in the training split.

        Raises:
            UserError: if it fails, or gives something of another shape or type.
        """
        inputs, targets = inputs.copy(), targets.copy() if self._target.moves else targets
        for place, row in enumerate(rows.tolist()):
            sample = self._inputs.unpadded(inputs[place])
            mask = targets[place] if self._target.moves else None
            found = self._changed(sample, mask, row, epoch)
            sample[...] = found[0]
            if mask is not None:
                mask[...] = found[1]
        return inputs, targets

    def require_repeatable(self, split: Split) -> None:
        """Change some samples twice, the second time in reverse order: the same have to come out.

        Raises:
            UserError: if not, or if a random number was drawn elsewhere than from the generator.
        """
        rows = np.linspace(0, len(split) - 1, min(_TRIED, len(split))).astype(np.int64)
        inputs, targets = split.samples(rows)
        before = _global_states()
        first, second = self(inputs, targets, rows, 0), self(inputs[::-1], targets[::-1], rows[::-1], 0)
        drawn = [name for name, state in _global_states().items() if state != before[name]]
        fix = "draw every random number from the generator that it is called with, and keep nothing between two calls"
        if drawn:
            raise UserError(f"{self.name} draws from {' and '.join(drawn)}, whose numbers depend on other draws", fix)
        for place in range(len(rows)):
            if any(_bytes(one[place]) != _bytes(two[::-1][place]) for one, two in zip(first, second, strict=True)):
                raise UserError(
                    f"{self.name} gives two different results for training sample {rows[place]} and the same generator",
                    fix,
                )

    def _changed(self, sample: Array, mask: Array | None, row: int, epoch: int) -> tuple[Any, ...]:
        given = [sample.copy()] if mask is None else [sample.copy(), mask.copy()]
        key = np.array([self._seed, Stream.OWN_AUGMENT], dtype=np.uint64)
        counter = np.array([0, 0, row, epoch], dtype=np.uint64)  # the lower two words count the draws
        generator = np.random.Generator(np.random.Philox(counter=counter, key=key))
        shown = " and ".join(_shown(each) for each in given)
        takes = f"it is called with {'a sample' if mask is None else 'an image, its mask'} and a numpy.random.Generator"
        found = asked(
            lambda: self._own(*given, generator), f"{self.name} fails on training sample {row} ({shown})", takes
        )
        parts = found if mask is not None and isinstance(found, tuple | list) else (found,)
        wanted = [sample] if mask is None else [sample, mask]
        if list(map(_shown, parts)) != list(map(_shown, wanted)):
            raise UserError(
                f"{self.name} gives {' and '.join(map(_shown, parts))} for training sample {row}, {shown}",
                f"give the same shape and type{'' if mask is None else ', image and mask'}",
            )
        arrays = tuple(map(np.asarray, parts))
        if arrays[0].dtype.kind == "f" and not np.isfinite(arrays[0]).all() and np.isfinite(sample).all():
            raise UserError(f"{self.name} makes training sample {row} NaN or infinite", "give finite numbers")
        if problem := self._inputs.problem(arrays[0]):
            raise UserError(
                f"{self.name} changes training sample {row} so that {problem}", "keep to values of the data"
            )
        if mask is not None and (problem := self._target.problem(arrays[1][None])):
            raise UserError(
                f"{self.name} changes the mask of training sample {row} so that {problem}",
                "move its pixels without mixing them, and give 255 to what does not count",
            )
        return arrays


def _shown(value: object) -> str:
    """Type and shape of an array or a tensor alike."""
    if not isinstance(value, np.ndarray | torch.Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def _bytes(array: Array) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def _global_states() -> dict[str, Any]:
    """The states of the generators that everything in a process shares."""
    return {
        "Python's random": random.getstate(),
        "numpy.random": pickle.dumps(np.random.get_state(legacy=False)),
        "torch's generator": torch.get_rng_state().numpy().tobytes(),
    }
