"""Strict mode names the operation and the module, for real operations of torch that are not deterministic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from samebits.base.errors import UserError
from samebits.compute.determinism import set_determinism
from samebits.compute.deterministic_errors import deterministic_errors


class Put(nn.Module):
    """`put_` without accumulation: the order of writes to one place is not defined, on any device."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.zeros(4).put_(torch.tensor([0, 1]), torch.ones(2))


class _PutBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] + torch.zeros(4).put_(torch.tensor([0, 1]), torch.ones(2))


class PutInBackward(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _PutBackward.apply(x)
        return result


class Block(nn.Module):
    """A module inside a module, its output in a dictionary."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.before, self.inner = nn.Linear(4, 4), inner

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": self.inner(self.before(x))}


class Net(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(nn.ReLU()), Block(inner)])
        self.head = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)["y"]
        result: torch.Tensor = self.head(x)
        return result


@pytest.fixture
def strict() -> Iterator[Callable[[str], None]]:
    yield lambda mode: set_determinism(mode, 1)
    torch.use_deterministic_algorithms(False)


def step(model: nn.Module) -> None:
    model(torch.ones(3, 4)).sum().backward()


@pytest.mark.parametrize(("inner", "part"), [(Put(), "forward"), (PutInBackward(), "backward")])
def test_operation_and_module_are_named(inner: nn.Module, part: str, strict: Callable[[str], None]) -> None:
    strict("strict")
    model = Net(inner)
    with pytest.raises(UserError) as error, deterministic_errors(model):
        step(model)
    name = f"module blocks.1.inner ({type(inner).__name__})"
    assert f"put_ in the {part} pass of {name} has no deterministic implementation" in error.value.problem
    assert "reproducibility: warn" in error.value.fix


def test_a_module_of_torch_is_named(strict: Callable[[str], None]) -> None:
    strict("strict")
    model = nn.Sequential(nn.Identity(), nn.MaxUnpool2d(2))
    _, places = nn.MaxPool2d(2, return_indices=True)(torch.rand(1, 1, 4, 4))
    with pytest.raises(UserError, match=r"max_unpool\w+ in the forward pass of module 1 \(MaxUnpool2d\)"), \
            deterministic_errors(model):  # fmt: skip
        model[1](model[0](torch.rand(1, 1, 2, 2)), places)


def test_outside_of_the_model_the_operation_alone_is_named(strict: Callable[[str], None]) -> None:
    strict("strict")
    with pytest.raises(UserError, match="strict, and put_ has no deterministic"), deterministic_errors(nn.Linear(1, 1)):
        Put()(torch.ones(4))


@pytest.mark.parametrize("mode", ["warn", "off"])
@pytest.mark.filterwarnings("ignore:put_ does not have")
def test_other_modes_go_on(mode: str, strict: Callable[[str], None]) -> None:
    strict(mode)
    model = Net(PutInBackward())
    with deterministic_errors(model):
        step(model)
    assert model.head.weight.grad is not None


def test_other_errors_pass(strict: Callable[[str], None]) -> None:
    strict("strict")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), deterministic_errors(nn.Linear(1, 1)):
        nn.Linear(2, 2)(torch.ones(3, 3))


def test_the_hooks_go_after_the_first_step_and_change_nothing(strict: Callable[[str], None]) -> None:
    strict("strict")
    model = Net(nn.Tanh())
    step(model)
    plain = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    with deterministic_errors(model):
        step(model)
        watched = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        assert any(module._forward_hooks for module in model.modules())
        step(model)
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
