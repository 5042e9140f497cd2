"""What a model goes by: how its answer changes where a part of the sample is left out (occlusion: Zeiler and Fergus,
2014). It needs no gradient, so an exported file is enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from samebits.demo.form import Form
from samebits.inference.items import Item
from samebits.signature.kind import Array, Floats, Floats64
from samebits.signature.target_kind import TargetKind

_LEAST = 1e-6
"""Probabilities nearer to 0 and 1 are not told apart: their logarithm is rounding."""
_LARGEST = 1 << 20
"""Values of a sample that is taken apart: it is held a hundred times."""


def explain(form: Form, item: Item, label: int | None = None) -> dict[str, Any]:
    """The effect of each part of a sample on the model's answer.

    Args:
        label: the class in question; None: of each place, the one that the model says.

    Returns:
        `map` [rows][columns], `words` [[text, effect or null], ...] or `columns` [[name, effect], ...]; `least`, if any
        part counts, the answer without the one that counts most (empty where that is a mean); or `error`. An effect is
        above 0 where the part speaks for the class (the logarithm of its probability falls without it) or raises the
        number, in standard deviations of the target.

    Raises:
        UserError: if the model cannot be run.
    """
    if item.error:
        return {"error": item.error}
    kind = form.kind
    ready = kind.ready([item])
    if not ready.places:
        return {"error": next(iter(ready.errors.values()))}
    if ready.samples[0].size > _LARGEST:
        return {"error": f"it has more than {_LARGEST:,} values: too many to leave out one part after the other"}
    variants = form.variants(item, ready.samples[0])
    parts = [kind.given(variants.samples[k : k + kind.batch]) for k in range(0, len(variants.samples), kind.batch)]
    if not all(all(finite) for _, finite in parts):
        return {"error": "the model's answer to a part of it is no finite number"}
    answers = np.stack([each for given, _ in parts for each in given])
    changes = effects(kind.target, answers, label)
    of_parts = [float(changes[np.array(places) - 1].mean()) if places else 0.0 for places in variants.parts]
    found: dict[str, Any] = variants.told(of_parts)
    if any(of_parts):
        places = variants.parts[int(np.argmax(np.abs(of_parts)))]
        found["least"] = kind.target.shown(answers[places[0]], kind.reading.top) if len(places) == 1 else ""
    return found


def effects(target: TargetKind, answers: Floats, label: int | None = None) -> Floats64:
    """How much the first answer loses in each of the others, [n] of answers [1 + n, ...]."""
    if not target.labels:
        numbers = target.outputs_of(answers.astype(np.float64))
        change: Floats64 = numbers[0] - numbers[1:]
        return change if change.ndim == 1 else _sizes(change)
    outputs = target.outputs_of(np.clip(answers.astype(np.float64), _LEAST, 1.0 - _LEAST))
    outputs = np.moveaxis(outputs, -1 if target.per_position else 1, 1)
    said: Array = outputs[:1].argmax(axis=1) if label is None else np.full((1, *outputs.shape[2:]), label)
    of_said = np.take_along_axis(outputs, said[:, None], axis=1)[:, 0].reshape(len(outputs), -1).mean(axis=1)
    found: Floats64 = of_said[0] - of_said[1:]
    return found


def _sizes(change: Floats64) -> Floats64:
    """Of several numbers, how far they move together, whichever way."""
    found: Floats64 = np.sqrt((change.reshape(len(change), -1) ** 2).mean(axis=1))
    return found
