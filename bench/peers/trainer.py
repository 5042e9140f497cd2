"""transformers.Trainer with its defaults on the same mails, tokenised before: MiniLM with a head of two classes.

Batches are padded to their longest text (DataCollatorWithPadding's way). `--grouped` sorts texts of like length
together, the Trainer's own length bucketing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clock import Clock, add_arguments
from torch.utils.data import Dataset
from transformers import BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments


class Mails(Dataset[Any]):
    def __init__(self, folder: Path, length: int) -> None:
        self.pad = int(json.loads((folder / "about.json").read_text())["pad"])
        rows, self.targets = np.load(folder / "inputs.npy")[:, :length], np.load(folder / "targets.npy")
        ends = [int(np.flatnonzero(row != self.pad)[-1]) + 1 if (row != self.pad).any() else 1 for row in rows]
        self.rows = [row[:end].astype(np.int64) for row, end in zip(rows, ends, strict=True)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.rows[index].tolist(), "labels": int(self.targets[index])}

    def collate(self, items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(item["input_ids"]) for item in items)
        tokens = torch.full((len(items), longest), self.pad)
        for place, item in zip(tokens, items, strict=True):
            place[: len(item["input_ids"])] = torch.tensor(item["input_ids"])
        labels = torch.tensor([item["labels"] for item in items])
        return {"input_ids": tokens, "attention_mask": (tokens != self.pad).long(), "labels": labels}


class Timed(TrainerCallback):  # type: ignore[misc]
    def __init__(self, clock: Clock) -> None:
        self.clock, self.loss = clock, None

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.loss = (logs or {}).get("loss", self.loss)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.clock.step():
            control.should_training_stop = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder with config.json and model.safetensors")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--grouped", action="store_true")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, required=True, help="tokens of a mail that are read, the first")
    add_arguments(parser)
    arguments = parser.parse_args()
    mails = Mails(arguments.data, arguments.length)
    model = BertForSequenceClassification.from_pretrained(arguments.weights, num_labels=2)
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=arguments.batch,
            learning_rate=1e-4,
            weight_decay=0.01,
            max_grad_norm=1.0,
            num_train_epochs=3,
            bf16=arguments.precision == "bf16",
            use_cpu=True,
            report_to="none",
            train_sampling_strategy="group_by_length" if arguments.grouped else "random",
            seed=0,
        )
        trainer = Trainer(model=model, args=settings, train_dataset=mails, data_collator=mails.collate)
        trainer.add_callback(Timed(Clock(arguments, arguments.batch)))
        trainer.train()


if __name__ == "__main__":
    main()
