"""What travels inside an exported file, so that the file alone is enough to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samebits.serving import INPUT, OUTPUT

if TYPE_CHECKING:
    from samebits.checkpoint import CheckpointConfig

FORMAT_VERSION = 1


def export_metadata(config: CheckpointConfig, dataset: dict[str, Any], weights_sha256: str) -> dict[str, Any]:
    """Labels, preprocessing and provenance. Only facts that two runs on the same inputs share.

    Args:
        dataset: name, title, licence and digest of the prepared data.
        weights_sha256: of `model.safetensors`.

    Returns:
        a dictionary for JSON; each value stands under its key in the file's own metadata.
    """
    return {
        "format_version": FORMAT_VERSION,
        "task": config.task.get("name"),
        "labels": list(config.classes),
        "preprocessing": {
            "inside_the_model": True,
            "input": INPUT,
            "dtype": "uint8",
            "layout": "NCHW",
            "shape": list(config.shape),
            "scale": "pixel / 255",
            "mean": list(config.mean),
            "std": list(config.std),
        },
        "output": {"name": OUTPUT, "dtype": "float32", "meaning": "softmax probabilities, in the order of labels"},
        "model": {**config.model, "step": config.step, "epoch": config.epoch, "weights_sha256": weights_sha256},
        "dataset": dataset,
    }
