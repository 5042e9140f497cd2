"""What the image peers on PyTorch share: the models, the data set as torchvision's are written, its loader.

The models are those of our recipes, written down with torch alone: the convnet of `mnist` and `fashion_mnist`
(107,818 parameters at 28x28), the ResNet-9 of `fashion_mnist`, and torchvision's ResNet-18 with a stem for small
images.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clock import add_arguments
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

MEAN, STD = (0.2860,), (0.3530,)
RATE = 0.05


def parse(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder with inputs.npy and targets.npy")
    parser.add_argument("--model", choices=sorted(MODELS), required=True)
    parser.add_argument("--augment", action="store_true", help="shift by up to 2 pixels, mirror half of the images")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    add_arguments(parser)
    return parser.parse_args()


def convolution(before: int, after: int, kernel: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, stride, padding, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


class Crop(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :, 2:-2, 2:-2]


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(*convolution(width, width, 3, padding=1), *convolution(width, width, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.change(x)


def convnet() -> nn.Module:
    return nn.Sequential(
        Crop(),
        *convolution(1, 32, 5, stride=2),
        *convolution(32, 32, 3),
        nn.AvgPool2d(2),
        *convolution(32, 64, 3, padding=1),
        *convolution(64, 128, 3),
        nn.Flatten(),
        nn.Linear(128 * 2 * 2, 10),
    )


def resnet9() -> nn.Module:
    return nn.Sequential(
        *convolution(1, 24, 3, padding=1),
        *convolution(24, 48, 3, padding=1),
        nn.MaxPool2d(2),
        Residual(48),
        *convolution(48, 96, 3, padding=1),
        nn.MaxPool2d(2),
        *convolution(96, 192, 3, padding=1),
        nn.MaxPool2d(2),
        Residual(192),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(192, 10),
    )


def resnet18() -> nn.Module:
    net = models.resnet18(weights=None, num_classes=10)
    net.conv1 = nn.Conv2d(1, 64, 3, 1, 1, bias=False)
    net.maxpool = nn.Identity()
    return net


MODELS = {"convnet": convnet, "resnet9": resnet9, "resnet18": resnet18}


def build(name: str) -> nn.Module:
    return MODELS[name]()


class Images(Dataset[Any]):
    """Item by item through PIL, as `torchvision.datasets.MNIST` does it."""

    def __init__(self, folder: Path, transform: Any) -> None:
        self.data = np.load(folder / "inputs.npy")
        self.targets = np.load(folder / "targets.npy")
        self.transform = transform

    def __getitem__(self, index: int) -> tuple[Any, int]:
        pixels = self.data[index]
        image = Image.fromarray(pixels[0], mode="L") if len(pixels) == 1 else Image.fromarray(pixels.transpose(1, 2, 0))
        return self.transform(image), int(self.targets[index])

    def __len__(self) -> int:
        return len(self.data)


def transform(augment: bool, side: int = 28, padding: int = 2, mean: Any = MEAN, std: Any = STD) -> Any:
    moved = [transforms.RandomCrop(side, padding=padding), transforms.RandomHorizontalFlip()] if augment else []
    return transforms.Compose([*moved, transforms.ToTensor(), transforms.Normalize(mean, std)])


def loader(arguments: argparse.Namespace) -> DataLoader[Any]:
    data = Images(arguments.data, transform(arguments.augment))
    return DataLoader(data, batch_size=arguments.batch, shuffle=True, num_workers=arguments.workers, drop_last=True)


def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, nesterov=True)
