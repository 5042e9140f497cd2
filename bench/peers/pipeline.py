"""torchvision and a DataLoader alone: images per second to normalised float batches.

`--way pil` is what the examples do, `--way v2` torchvision's newer transforms on tensors, `--way folder` an ImageFolder
of JPEG files, decoded and brought to `--side` in each epoch.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from clock import Clock, add_arguments
from images import Images, transform
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from torchvision.transforms import v2


class Tensors(Images):
    """The same samples as tensors, with no PIL between."""

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(torch.from_numpy(self.data[index])), int(self.targets[index])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--way", choices=["pil", "v2", "folder"], required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--shift", type=int, default=2)
    parser.add_argument("--channels", type=int, default=1)
    add_arguments(parser)
    arguments = parser.parse_args()
    mean = std = (0.5,) * arguments.channels
    if arguments.way == "pil":
        data: Any = Images(arguments.data, transform(True, arguments.side, arguments.shift, mean, std))
    elif arguments.way == "v2":
        steps = [v2.RandomCrop(arguments.side, padding=arguments.shift), v2.RandomHorizontalFlip()]
        scaled = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
        data = Tensors(arguments.data, v2.Compose([*steps, *scaled]))
    else:
        moved = transform(True, arguments.side, arguments.shift, mean, std).transforms
        sized = [transforms.Resize(arguments.side), transforms.CenterCrop(arguments.side)]
        data = datasets.ImageFolder(str(arguments.data), transforms.Compose([*sized, *moved]))
    clock = Clock(arguments, arguments.batch)
    while True:
        for _ in DataLoader(data, arguments.batch, shuffle=True, num_workers=arguments.workers, drop_last=True):
            if clock.step():
                return


if __name__ == "__main__":
    main()
