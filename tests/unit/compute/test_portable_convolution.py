"""Weight gradients of small images: the numbers of torch's own kernel, for every stride, padding and layout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from samebits.compute import portable_convolution
from samebits.compute.portable_convolution import small_weight_gradients

KEYS = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
CHANNELS = 128
GEOMETRIES = [
    ((1, 1), (3, 3), [1, 1], [1, 1]),
    ((2, 1), (3, 2), [2, 1], [1, 2]),  # two of the six weights see padding alone
    ((4, 4), (3, 3), [1], [1]),
    ((4, 5), (2, 3), [3, 2], [0, 2]),
    ((8, 7), (3, 3), [2, 2], [1, 1]),
    ((7, 2), (1, 2), [3], [0]),
]
"""Image, kernel, stride, padding; the output has 16 positions or fewer."""
DENSE = ((1, 1), False, (0, 0), 1)


@pytest.fixture
def products() -> list[tuple[torch.Size, torch.Size]]:
    """Shapes that were multiplied."""
    return []


def backward(products: list[tuple[torch.Size, torch.Size]], *given: object) -> tuple[Tensor | None, ...]:
    def product(a: Tensor, b: Tensor) -> Tensor:
        products.append((a.shape, b.shape))
        return a @ b

    found: tuple[Tensor | None, ...] = small_weight_gradients(product)["convolution_backward"](KEYS, *given)
    return found


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_geometry_has_torchs_gradients(
    layout: torch.memory_format, products: list[tuple[torch.Size, torch.Size]]
) -> None:
    generator = torch.Generator().manual_seed(0)
    for size, kernel, stride, padding in GEOMETRIES:
        x = torch.randn(2, CHANNELS, *size, generator=generator).to(memory_format=layout)
        weight = torch.randn(CHANNELS + 1, CHANNELS, *kernel, generator=generator).to(memory_format=layout)
        out = torch.conv2d(x, weight, None, stride, padding)
        grad = torch.randn(out.shape, generator=generator)
        given = (grad, x, weight, [len(weight)], stride, padding, *DENSE, [True, True, True])
        products.clear()
        found = backward(products, *given)
        assert products
        expected = torch.ops.aten.convolution_backward(*given)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours is not None
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        # Else the optimizer's gradient is a copy in the other layout.
        assert found[1] is not None
        assert found[1].stride() == weight.stride()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_depthwise_convolutions_are_summed(layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch) -> None:
    summed = []
    plain = portable_convolution._depthwise
    monkeypatch.setattr(portable_convolution, "_depthwise", lambda a, b: summed.append(len(a)) or plain(a, b))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, CHANNELS, 2, 7, generator=generator).to(memory_format=layout)
    weight = torch.randn(CHANNELS, 1, 5, 3, generator=generator).to(memory_format=layout)
    out = torch.conv2d(x, weight, None, [1, 2], [2, 1], groups=CHANNELS)
    given = (torch.randn(out.shape, generator=generator), x, weight, None, [1, 2], [2, 1], *DENSE[:-1], CHANNELS)
    found = backward([], *given, [False, True, False])
    assert summed == [CHANNELS] * 9  # the first and the last row see padding alone
    expected = torch.ops.aten.convolution_backward(*given, [False, True, False])
    torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=1e-4)
    assert found[1] is not None
    assert found[1].stride() == weight.stride()


def test_what_lies_in_the_padding_is_not_multiplied(products: list[tuple[torch.Size, torch.Size]]) -> None:
    x, weight = torch.ones(2, CHANNELS, 1, 1), torch.ones(CHANNELS, CHANNELS, 3, 3)
    grad = torch.ones(2, CHANNELS, 1, 1)
    _, of_weight, _ = backward(products, grad, x, weight, None, [1, 1], [1, 1], *DENSE, [False, True, False])
    assert products == [((CHANNELS, 2), (2, CHANNELS))]
    assert of_weight is not None
    assert of_weight[:, :, 1, 1].eq(2).all()
    assert of_weight.sum() == 2 * CHANNELS**2


CASES = [
    *("large", "few channels", "one position", "groups", "depthwise", "dilation", "transposed"),
    *("double", "one axis", "no images", "not asked"),
]


@pytest.mark.parametrize("case", CASES)
def test_all_else_is_torchs_own(case: str, products: list[tuple[torch.Size, torch.Size]]) -> None:
    channels = 8 if case == "few channels" else CHANNELS
    groups, transposed = {"groups": 2, "depthwise": CHANNELS}.get(case, 1), case == "transposed"
    spread = 2 if case == "dilation" else 1
    axes = 1 if case == "one axis" else 2
    size, kernel = 6 if case == "large" else 3, 1 if case == "one position" else 3
    x = torch.randn(0 if case == "no images" else 2, channels, *[size] * axes)
    weight = torch.randn(channels, channels // groups, *[kernel] * axes)
    if case == "double":
        x, weight = x.double(), weight.double()
    padding, rest = [spread] * axes, ([spread] * axes, transposed, [0] * axes, groups)
    grad = torch.randn_like(torch.convolution(x, weight, None, [1] * axes, padding, *rest))
    given = (grad, x, weight, None, [1] * axes, padding, *rest, [True, case != "not asked", False])
    for ours, theirs in zip(backward(products, *given), torch.ops.aten.convolution_backward(*given), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert torch.equal(ours, theirs)
    assert not products
