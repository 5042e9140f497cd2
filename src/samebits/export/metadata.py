"""What travels inside an exported file, so that the file alone is enough to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from samebits.checkpoints.checkpoint import CheckpointConfig
    from samebits.inference.calibration import Calibration

FORMAT_VERSION = 2


def export_metadata(
    config: CheckpointConfig, dataset: dict[str, Any], weights_sha256: str, calibration: Calibration | None = None
) -> dict[str, Any]:
    """Labels, preprocessing and provenance. Only facts that two runs on the same inputs share.

    Args:
        dataset: name, title, licence and digest of the prepared data.
        weights_sha256: of `model.safetensors`.
        calibration: what was fitted on the validation split; its temperature is in the graph.

    Returns:
        a dictionary for JSON; each value stands under its key in the file's own metadata.
    """
    signature = config.signature
    fitted = {} if calibration is None else {"calibration": calibration.model_dump(exclude_none=True)}
    return {
        "format_version": FORMAT_VERSION,
        "task": config.task.get("name"),
        "labels": list(signature.classes),
        "preprocessing": {
            "inside_the_model": True,
            "input": signature.inputs.input_name,
            "dtype": signature.inputs.served_dtype,
            **signature.inputs.model_dump(),
        },
        "target": signature.target.model_dump(),
        "output": {
            "name": signature.target.output_name,
            "dtype": "float32",
            "meaning": signature.target.meaning,
        },
        "model": {**config.model, "step": config.step, "epoch": config.epoch, "weights_sha256": weights_sha256},
        "dataset": dataset,
        **fitted,
    }
