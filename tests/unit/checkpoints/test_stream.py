"""A safetensors file a tensor at a time: the library's own bytes, and nothing asked for twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from samebits.checkpoints.stream import LazyTensors, file_order, write_tensors

TENSORS = {
    "b.weight": torch.arange(12.0).view(3, 4),
    "a.counter": torch.tensor(5),
    'odd "name" \u00e9': torch.zeros(0, 3),
    "half": torch.arange(5).bfloat16(),
    "flag": torch.tensor([True]),
    "byte": torch.arange(7, dtype=torch.uint8),
    "losses": torch.rand(2, dtype=torch.float64),
    "turned": torch.arange(6.0).view(2, 3).t(),
}


def test_the_bytes_are_the_librarys(tmp_path: Path) -> None:
    plain = {name: value.contiguous() for name, value in TENSORS.items()}
    for tensors in (TENSORS, {}):
        write_tensors(tmp_path / "a", tensors)
        assert (tmp_path / "a").read_bytes() == save({name: plain[name] for name in tensors})


class Asked(LazyTensors):
    def __init__(self, like: Mapping[str, torch.Tensor]) -> None:
        self.like = like
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> torch.Tensor:
        self.asked.append(name)
        return TENSORS[name]


def test_lazy_tensors_are_asked_for_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    lazy = Asked({name: value.to("meta") for name, value in TENSORS.items()})
    write_tensors(tmp_path / "a", lazy)
    assert lazy.asked == list(file_order(lazy.like))
    read = load_file(tmp_path / "a")
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], value) for name, value in TENSORS.items())
