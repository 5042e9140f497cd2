"""Lightning: a module, a Trainer with its defaults (logger, checkpoints, progress bar), fp32 or bf16-mixed."""

from __future__ import annotations

import tempfile
from typing import Any

import lightning
import torch
from clock import Clock
from images import build, loader, optimizer, parse
from torch.nn import functional


class Module(lightning.LightningModule):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.model = build(name)

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        data, target = batch
        loss = functional.cross_entropy(self.model(data).float(), target)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimizer(self)


class Timed(lightning.Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.clock.step(outputs["loss"].item()):
            trainer.should_stop = True


def main() -> None:
    arguments = parse(__doc__)
    lightning.seed_everything(0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            accelerator="cpu",
            precision="bf16-mixed" if arguments.precision == "bf16" else "32-true",
            max_epochs=1000,
            default_root_dir=folder,
            callbacks=[Timed(Clock(arguments, arguments.batch))],
        )
        trainer.fit(Module(arguments.model), loader(arguments))


if __name__ == "__main__":
    main()
