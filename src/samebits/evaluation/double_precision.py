"""A model of float32 computed in float64, so that what is written of its answers is the same on every machine.

Processors, vendors' libraries and numbers of threads round float32 differently, by about 1e-7 of a number: of ten
thousand answers with six decimals some always differ. In float64 they differ by about 1e-15, and hardly ever in what is
written (samebits.base.decimals).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from samebits.base.errors import UserError


class _Wider(TorchFunctionMode):
    """Models say float32 in places: `.float()`, `dtype=torch.float32`. Here that means float64."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        given = {name: _wider(value) for name, value in (kwargs or {}).items()}
        return func(*map(_wider, args), **given)


def _wider(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


@contextmanager
def double_precision(*models: torch.nn.Module) -> Iterator[None]:
    """Within it, these models compute in float64; their weights are converted for good.

    Raises:
        UserError: if a model cannot.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        for model in models:
            model.double()
        with _Wider():
            yield
    except (RuntimeError, NotImplementedError) as error:
        if "double" not in str(error).lower():
            raise
        raise UserError(
            f"the model cannot be computed in float64: {str(error).partition(chr(10))[0]}",
            "set evaluate.precision: fp32 (the last digits of the results are then this machine's), or remove what "
            "fixes the model's numbers to float32",
        ) from error
    finally:
        torch.set_default_dtype(default)
