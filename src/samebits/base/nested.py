"""Nested mappings: values at dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(values: Mapping[str, Any], separator: str = ".", prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one: `{"train": {"lr": 1}}` becomes `{"train.lr": 1}`. Lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, separator, f"{prefix}{key}{separator}"))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def value_at(values: Any, key: str, *default: Any) -> Any:
    """The value at a dotted key of nested mappings, else `default`.

    Raises:
        KeyError: if there is neither.
    """
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            if default:
                return default[0]
            raise KeyError(key)
        values = values[part]
    return values
