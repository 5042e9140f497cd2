"""Models of float32 in float64, whatever they say about types; one that cannot is refused with the way out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.evaluation.double_precision import double_precision


class Stubborn(nn.Module):
    """Says float32 in all the ways that models have."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(7, 5)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(x.to(torch.float32)).float()
        ones = torch.ones(5, dtype=torch.float32) + torch.tensor([0.1] * 5, dtype=torch.float32) + torch.zeros(5)
        return torch.softmax(hidden @ torch.diag(ones), dim=1, dtype=torch.float32)


class Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = [torch.ones(7, 5)]

    def forward(self, x: Tensor) -> Tensor:
        return x.double() @ self.hidden[0]


def test_a_model_of_float32_is_computed_in_float64() -> None:
    model, x = Stubborn(), torch.arange(21, dtype=torch.float32).reshape(3, 7)
    weight, bias = (each.detach().double().numpy() for each in (model.layer.weight, model.layer.bias))
    with double_precision(model), torch.inference_mode():
        found = model(x)
    scores = (x.double().numpy() @ weight.T + bias) * 1.1
    wanted = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-13)
    assert torch.zeros(1).dtype == torch.zeros(1).float().dtype == torch.float32


def test_a_model_that_cannot_is_refused() -> None:
    model = Fixed()
    with pytest.raises(UserError, match="cannot be computed in float64") as error, double_precision(model):
        model(torch.ones(3, 7))
    assert "evaluate.precision: fp32" in error.value.fix
    assert torch.get_default_dtype() == torch.float32


def test_other_errors_are_left_alone() -> None:
    model = nn.Linear(3, 4)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), double_precision(model):
        model(torch.ones(2, 7))
