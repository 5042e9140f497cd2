"""The residual network for signals: shapes, outputs that do not depend on the batch, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from samebits.base.errors import UserError
from samebits.models.conv1d import Settings, build
from samebits.signature.array import ArrayInputs
from samebits.signature.classes import ClassTarget
from samebits.signature.signature import Signature


def of(*shape: int) -> Signature:
    inputs = ArrayInputs(shape=list(shape), stored_dtype="float32", mean=[0.0] * shape[0], std=[1.0] * shape[0])
    return Signature(inputs=inputs, target=ClassTarget(classes=["a", "b", "c"]))


@pytest.mark.parametrize("shape", [(4, 100), (1, 1), (3, 7), (50,)])
@pytest.mark.parametrize("stride", [1, 4])
def test_any_length_gives_an_output_for_each_class(shape: tuple[int, ...], stride: int) -> None:
    model = build(Settings(name="conv1d", stages=[8, 8], stride=stride), of(*shape)).eval()
    signals = torch.randn(5, *shape)
    outputs = model(signals)
    assert outputs.shape == (5, 3)
    torch.testing.assert_close(model(signals[:1]), outputs[:1])


def test_it_learns_the_frequency_of_a_signal() -> None:
    torch.manual_seed(0)
    model = build(Settings(name="conv1d", stages=[8, 16]), of(1, 32))
    labels = torch.arange(60) % 3
    phase = torch.rand(60, 1) * 6
    signals = torch.sin(torch.arange(32) * (labels[:, None] + 1) / 3 + phase).unsqueeze(1)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(model(signals), labels)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():  # torch.optim takes seconds to import
            for parameter in model.parameters():
                parameter.sub_(0.1 * parameter.grad)
    assert loss.item() < 0.2


def test_arrays_of_three_axes_are_refused() -> None:
    with pytest.raises(UserError, match=r"takes arrays \[C, L\] or \[L\], those of the data are \[1, 8, 8\]"):
        build(Settings(name="conv1d"), of(1, 8, 8))


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="must be odd"):
        Settings(name="conv1d", kernel=4)
