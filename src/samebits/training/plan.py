"""What the trained weights are a function of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from samebits.base.files import sha256_file
from samebits.compute.hardware import Precision, hardware_kind
from samebits.data.loading.prepared import DatasetInfo
from samebits.params.augment import AugmentParams
from samebits.params.model_name import shown_model
from samebits.params.section import Section
from samebits.params.train import TrainParams
from samebits.params.transfer import TransferParams
from samebits.training.commitment.record import Origin

FROM_SCRATCH = TransferParams()


@dataclass(frozen=True)
class Plan:
    """What the trained weights are a function of: parameters, data, kind of hardware (and the code)."""

    seed: int
    reproducibility: str
    task: Section
    model: Section
    augment: AugmentParams
    train: TrainParams
    info: DatasetInfo
    device: torch.device
    precision: Precision
    transfer: TransferParams = FROM_SCRATCH
    weights: Path | None = None
    """The file that `transfer.weights` names."""
    processes: int = 1
    own_kind: str | None = None
    """Why the arithmetic is this machine's own; None if it is portable."""

    def inputs(self, code: str) -> dict[str, Any]:
        """All of it as plain values. A training with the same ones may resume. `code` is the code's digest."""
        origin = self.origin(code).model_dump()
        return {
            **origin.pop("parameters"),
            **origin,
            "hardware": hardware_kind(self.device),
            # With elastic training, their number cannot change a bit.
            "processes": 1 if self.train.elastic else self.processes,
        }

    def origin(self, code: str) -> Origin:
        """The part of it that no machine decides. `code` is the code's digest."""
        sections = {name: getattr(self, name) for name in ("task", "model", "augment", "train", "transfer")}
        plain = {name: section.model_dump(mode="json") for name, section in sections.items()}
        return Origin(
            code=code,
            data=self.info.digest,
            parameters=plain | {"seed": self.seed, "reproducibility": self.reproducibility},
            precision=self.precision.name,
            weights=sha256_file(self.weights) if self.weights else None,
        )

    def headline(self) -> str:
        """One line for people."""
        count = torch.get_num_threads()
        threads = f", {count} thread{'s' if count > 1 else ''}" if self.device.type == "cpu" else ""
        threads += f", {self.processes} processes" if self.processes > 1 else ""
        return (
            f"{shown_model(self.model.model_dump())} on {self.info.name}: {self.info.counts['train']:,} training "
            f"samples, {self.device}, {self.precision.name}{threads}"
        )
