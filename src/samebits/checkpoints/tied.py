"""A model's weights as named tensors, each once: tied ones (one tensor under two names) are saved under the first.

The model ties them again when it is built, so a file that holds the tensor once fills both places.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


def named_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state dict without second names of a tensor, on its device; what else shares memory is copied."""
    found: dict[str, Tensor] = {}
    places: set[tuple[object, ...]] = set()
    storages: set[int] = set()
    for name, value in model.state_dict().items():
        place, storage = _place(value), value.untyped_storage().data_ptr()
        if value.numel() and place in places:
            continue
        found[name] = value.clone() if value.numel() and storage in storages else value
        places.add(place)
        storages.add(storage)
    return found


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Fill a model with what `named_weights` gave.

    Raises:
        RuntimeError: if names or shapes are another model's.
    """
    filled: dict[str, Tensor] = dict(weights)
    first: dict[tuple[object, ...], str] = {}
    for name, value in model.state_dict().items():
        if name in weights:
            first.setdefault(_place(value), name)
        elif value.numel() and (tied := first.get(_place(value))):
            filled[name] = weights[tied]
    model.load_state_dict(filled)


def _place(value: Tensor) -> tuple[object, ...]:
    """Where and how a tensor lies in memory."""
    return (value.data_ptr(), value.dtype, tuple(value.shape), value.stride())
