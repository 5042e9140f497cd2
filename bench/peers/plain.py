"""Plain PyTorch, the loop of its MNIST example: PIL transforms, a DataLoader of two workers, fp32."""

from __future__ import annotations

import torch
from clock import Clock
from images import build, loader, optimizer, parse
from torch.nn import functional


def main() -> None:
    arguments = parse(__doc__)
    torch.manual_seed(0)
    model = build(arguments.model)
    model.train()
    update, batches, clock = optimizer(model), loader(arguments), Clock(arguments, arguments.batch)
    while True:
        for data, target in batches:
            update.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bf16"):
                loss = functional.cross_entropy(model(data).float(), target)
            loss.backward()
            update.step()
            if clock.step(loss.item()):
                return


if __name__ == "__main__":
    main()
