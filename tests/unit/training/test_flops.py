"""Operations a sample against counts by hand, and the peak that is measured once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from samebits.compute.hardware import Precision
from samebits.training import flops
from samebits.training.flops import PEAKS, flops_a_sample, peak_flops

CPU = torch.device("cpu")
FP32 = Precision("fp32", None, scaled=False)
BF16 = Precision("bf16", torch.bfloat16, scaled=False)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_a_linear_layer_costs_two_products_forward_and_backward() -> None:
    # The gradient of the input is not asked for: one product forward, one for the weights.
    found = flops_a_sample(nn.Linear(48, 5), nn.Identity(), lambda _: torch.ones(8, 48), 4)
    assert found == 2 * 2 * 48 * 5


def test_a_convolution_counts_each_place_of_the_kernel() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False))
    found = flops_a_sample(model, nn.Identity(), lambda _: torch.ones(2, 3, 8, 8), 1)
    first, second = 2 * 64 * 9 * 3 * 4, 2 * 64 * 4 * 2
    assert found == 2 * first + 3 * second


@pytest.mark.parametrize(("layer", "side"), [(nn.Conv2d, 8), (nn.ConvTranspose2d, 10)])
def test_groups_see_their_own_channels_alone(layer: type[nn.Conv2d | nn.ConvTranspose2d], side: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 12, 1, bias=False), layer(12, 12, 3, groups=12, bias=False))
    found = flops_a_sample(model, nn.Identity(), lambda _: torch.ones(2, 3, 10, 10), 1)
    first, depthwise = 2 * 100 * 3 * 12, 2 * side * side * 9 * 12
    assert found == 2 * first + 3 * depthwise


def test_batches_of_several_lengths_are_averaged_by_sample() -> None:
    lengths = [2, 6]
    model = nn.Linear(4, 1, bias=False)
    found = flops_a_sample(model, nn.Identity(), lambda step: torch.ones(3, lengths[step], 4), 2)
    assert found == 2 * 2 * 4 * (2 + 6) / 2


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flops_a_sample(model, nn.Identity(), lambda _: torch.ones(3, 4), 1)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_model_that_branches_on_numbers_has_no_count() -> None:
    assert flops_a_sample(Branching(), nn.Identity(), lambda _: torch.ones(2, 2), 1) is None


def test_the_peak_is_measured_once_for_each_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flops, "_MEASURE_SECONDS", 0.0)
    first = peak_flops(tmp_path, CPU, FP32)
    assert first > 1e8
    monkeypatch.setattr(flops, "_product", lambda *_: pytest.fail("measured again"))
    assert peak_flops(tmp_path, CPU, FP32) == first
    monkeypatch.setattr(flops, "_product", lambda *_: 5e18)
    assert peak_flops(tmp_path, CPU, BF16) == 5e18
    assert len(json.loads((tmp_path / PEAKS).read_text())) == 2


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}'])
def test_a_broken_note_of_peaks_is_measured_anew(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / PEAKS).write_text(content)
    monkeypatch.setattr(flops, "_product", lambda *_: 5e18)
    monkeypatch.setattr(flops, "_convolution", lambda *_: 1e18)
    assert peak_flops(tmp_path, CPU, FP32) == 5e18
