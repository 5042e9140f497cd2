"""A safetensors file, written a tensor at a time: what `safetensors.torch.save` gives, never all in memory at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from samebits.base.files import atomic_file

_LENGTH = 8  # bytes that hold the length of the header, whose multiple it is


class LazyTensors(Mapping[str, torch.Tensor]):
    """Tensors that are made when they are asked for, each once and in the order of `file_order`.

    Attributes:
        like: shapes and types, on the meta device.
    """

    like: Mapping[str, torch.Tensor]

    def __iter__(self) -> Iterator[str]:
        return iter(self.like)

    def __len__(self) -> int:
        return len(self.like)


def file_order(like: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Names in the order in which safetensors writes them, with what it calls their types."""
    empty = save({name: torch.empty(0, dtype=value.dtype) for name, value in like.items()})
    length = int.from_bytes(empty[:_LENGTH], "little")
    return {name: each["dtype"] for name, each in json.loads(empty[_LENGTH : _LENGTH + length]).items()}


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors, on any device, atomically. The same values give the same bytes."""
    like = tensors.like if isinstance(tensors, LazyTensors) else tensors
    order, header, at = file_order(like), {}, 0
    for name, dtype in order.items():
        end = at + like[name].numel() * like[name].element_size()
        header[name] = {"dtype": dtype, "shape": list(like[name].shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)
    with atomic_file(path) as file:
        file.write(len(text).to_bytes(_LENGTH, "little") + text)
        for name in order:
            value = tensors[name].detach().cpu().contiguous()
            file.write(value.reshape(-1).view(torch.uint8).numpy().data)
