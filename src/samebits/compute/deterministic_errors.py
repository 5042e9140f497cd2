"""Names operation and module where `reproducibility: strict` meets one that has no deterministic implementation.

torch names the operation alone (torch.use_deterministic_algorithms). In the forward pass the module stands in the
traceback. In the backward pass there is no Python frame of it: there, hooks of the first step tell which module's part
of the graph was being worked on.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from samebits.base.errors import UserError

_MESSAGE = re.compile(r"(\S+) does not have a deterministic implementation")

_FIX = (
    "set reproducibility: warn (it is used, and the bits may differ from run to run), or put a module in its place "
    "that uses another operation"
)


@contextlib.contextmanager
def deterministic_errors(model: nn.Module, watch_backward: bool = True) -> Iterator[None]:
    """Turn torch's error into one that names operation and module.

    Args:
        model: whose modules are meant.
        watch_backward: hook the modules during the first step; not for a compiled model, which hooks would split.

    Raises:
        UserError: naming both, with the fix.
    """
    watch = _BackwardWatch(model) if watch_backward and _is_strict() else None
    try:
        yield
    except RuntimeError as error:
        found = _MESSAGE.search(str(error))
        if found is None:
            raise
        named = module_in(error.__traceback__, model)
        part = "forward"
        if named is None and watch is not None and watch.current is not None:
            named, part = watch.current, "backward"
        where = f" in the {part} pass of {_shown(model, named)}" if named is not None else ""
        raise UserError(
            f"reproducibility: strict, and {found[1]}{where} has no deterministic implementation on this device", _FIX
        ) from None
    finally:
        if watch is not None:
            watch.remove()


def _is_strict() -> bool:
    return torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()


def module_in(trace: TracebackType | None, model: nn.Module) -> str | None:
    """The qualified name of the innermost module whose method stands in a traceback; None if none does."""
    names = {id(module): name for name, module in model.named_modules()}
    found = None
    while trace is not None:
        found = names.get(id(trace.tb_frame.f_locals.get("self")), found)
        trace = trace.tb_next
    return found


def _shown(model: nn.Module, name: str) -> str:
    kind = type(model.get_submodule(name)).__name__
    return f"module {name} ({kind})" if name else f"the model itself ({kind})"


class _BackwardWatch:
    """Hooks that note which module's part of the graph the backward pass works on.

    They stay for one forward pass of the model with its backward pass, and change nothing that is computed.

    Attributes:
        current: the module whose node is running or ran last; None outside of the backward pass.
    """

    def __init__(self, model: nn.Module) -> None:
        self.current: str | None = None
        self._model = model
        self._owned: set[Any] = set()
        self._forwards = 0
        self._hooks: list[RemovableHandle] = [model.register_forward_pre_hook(self._forward_begins)]
        for name, module in model.named_modules():
            # An inner module ends before the one that holds it, so that a node belongs to the innermost.
            self._hooks.append(module.register_forward_hook(self._claim(name)))

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._owned.clear()

    def _forward_begins(self, _module: nn.Module, _inputs: Any) -> None:
        self._forwards += 1
        self.current = None
        if self._forwards > 1:
            self.remove()

    def _claim(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def after(_module: nn.Module, _inputs: Any, output: Any) -> None:
            todo: list[Any] = [tensor.grad_fn for tensor in _tensors(output) if tensor.grad_fn is not None]
            while todo:
                node = todo.pop()
                if node is None or node in self._owned:
                    continue
                self._owned.add(node)
                node.register_prehook(lambda _gradients: self._enter(name))
                todo += [each for each, _ in node.next_functions]

        return after

    def _enter(self, name: str) -> None:
        self.current = name


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
