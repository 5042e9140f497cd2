"""Places for trials to run in, and the GPU that each gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from samebits.base.errors import UserError
from samebits.sweeps.spec import SweepFile
from samebits.tracking.environment.gpu import visible_gpus

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Slot:
    """A place for one trial at a time; `gpu` as CUDA_VISIBLE_DEVICES has it, None to leave that alone."""

    index: int
    gpu: str | None

    def environment(self) -> dict[str, str]:
        return {} if self.gpu is None else {_VISIBLE: self.gpu, "HIP_VISIBLE_DEVICES": self.gpu}


def make_slots(
    file: SweepFile, jobs: int, count: int | None = None, environ: Mapping[str, str] = os.environ
) -> list[Slot]:
    """As many slots as trials at a time; GPUs are dealt out in turn, so more trials than GPUs share them evenly.

    Args:
        count: GPUs that there are; else they are counted.

    Raises:
        UserError: if the file asks for a GPU that is not there.
    """
    if file.gpus == "none":
        return [Slot(index, None) for index in range(jobs)]
    present = len(visible_gpus(environ)) if count is None else count
    named = [part.strip() for part in environ.get(_VISIBLE, "").split(",") if part.strip()]
    names = named[:present] if named else [str(index) for index in range(present)]
    if isinstance(file.gpus, list):
        missing = [index for index in file.gpus if index >= len(names)]
        if missing:
            raise UserError(
                f"gpus = {file.gpus}: there {'is' if len(names) == 1 else 'are'} {len(names)} here, so no GPU "
                f"{', '.join(map(str, missing))}",
                "name those that `nvidia-smi` shows, counted from 0, or write gpus: auto",
            )
        names = [names[index] for index in file.gpus]
    return [Slot(index, names[index % len(names)] if names else None) for index in range(jobs)]
