"""What this CPU can do in bf16: GFLOP/s of matrix products and of ResNet-18's convolutions, and the model's FLOPs.

    python bench/ours/peak.py --seconds 1.0

A shape's rate is the best of its repetitions; the peak is that of the best shape. The convolutions are those of
ResNet-18 at 28x28 in batches of 128, channels_last, forward alone and forward with backward.
"""

from __future__ import annotations

import argparse
import json
from functools import partial

import launched  # noqa: F401  first: it may replace the process
import torch
from torch import nn

from samebits.compute import determinism
from samebits.models.layers import resnet
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature
from samebits.training.flops import flops_a_sample, shortest_seconds

BATCH = 128
CONVOLUTIONS = ((64, 28), (128, 14), (256, 7), (512, 4))
PRODUCTS = (1024, 2048, 4096)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    seconds = parser.parse_args().seconds
    determinism.set_determinism("strict", determinism.THREADS)
    best = partial(shortest_seconds, device=torch.device("cpu"), seconds=seconds)
    found: dict[str, float] = {}
    for size in PRODUCTS:
        left, right = (torch.randn(size, size, dtype=torch.bfloat16) for _ in range(2))
        with torch.inference_mode():
            took = best(lambda left=left, right=right: left @ right)
        found[f"product {size}"] = 2 * size**3 / took / 1e9
    for width, side in CONVOLUTIONS:
        layer = nn.Conv2d(width, width, 3, padding=1, bias=False, dtype=torch.bfloat16)
        layer = layer.to(memory_format=torch.channels_last)
        images = torch.randn(BATCH, width, side, side, dtype=torch.bfloat16)
        images = images.contiguous(memory_format=torch.channels_last)
        once = 2 * 9 * width * width * side * side * BATCH
        with torch.inference_mode():
            took = best(lambda layer=layer, images=images: layer(images))
        found[f"convolution {width} at {side}x{side}, forward"] = once / took / 1e9
        images.requires_grad_()
        slope = torch.ones(BATCH, width, side, side, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
        took = best(lambda layer=layer, images=images, slope=slope: layer(images).backward(slope))
        found[f"convolution {width} at {side}x{side}, forward and backward"] = 3 * once / took / 1e9
    print(json.dumps({"gflops": found, "flops_a_sample": flops_of_a_sample()}))


def flops_of_a_sample() -> float:
    """Operations of one training sample of ResNet-18 at 28x28, forward and backward, as torch counts them."""
    inputs = ImageInputs(shape=[1, 28, 28], mean=[0.0], std=[1.0])
    signature = Signature(inputs=inputs, target=ClassTarget(classes=[str(each) for each in range(10)]))
    net = resnet.build(resnet.Settings(name="resnet18", stem="small"), signature)
    operations = flops_a_sample(net, nn.Identity(), lambda _: torch.empty(2, *inputs.shape), 1)
    assert operations is not None
    return operations


if __name__ == "__main__":
    main()
