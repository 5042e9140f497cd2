"""A checkpoint with the data that it was trained on, as every stage after the training opens them."""

from __future__ import annotations

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.checkpoints.checkpoint import Checkpoint, load_checkpoint
from samebits.data.loading.prepared import DatasetInfo, read_info


def load_trained(project: Project) -> tuple[Checkpoint, DatasetInfo]:
    """The project's checkpoint and prepared data.

    Raises:
        UserError: if one of them is missing or damaged, or the checkpoint is of other data.
    """
    checkpoint = load_checkpoint(project.checkpoint)
    info = read_info(project.prepared)
    if checkpoint.config.data_digest != info.digest:
        raise UserError(
            f"{project.checkpoint} was trained on data {checkpoint.config.data_digest[:16]}, {project.prepared} holds "
            f"{info.digest[:16]}",
            "run dvc repro, which trains on the prepared data",
        )
    return checkpoint, info
