"""What travels inside an exported file, so that the file alone is enough to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samebits.checkpoints.serving import INPUTS, OUTPUTS

if TYPE_CHECKING:
    from samebits.checkpoints.checkpoint import CheckpointConfig

FORMAT_VERSION = 2

_SERVED_DTYPES = {"|u1": "uint8", "<u2": "int32", "<i4": "int32", "<f4": "float32"}
"""By the type of a stored sample: see `samebits.data.loading.tensors.as_tensor`."""

_MEANINGS = {
    "class": "softmax probabilities, in the order of labels",
    "number": "the predicted number, in the unit of the data",
    "next_token": "scores of the next token, before softmax",
}


def export_metadata(config: CheckpointConfig, dataset: dict[str, Any], weights_sha256: str) -> dict[str, Any]:
    """Labels, preprocessing and provenance. Only facts that two runs on the same inputs share.

    Args:
        dataset: name, title, licence and digest of the prepared data.
        weights_sha256: of `model.safetensors`.

    Returns:
        a dictionary for JSON; each value stands under its key in the file's own metadata.
    """
    signature = config.signature
    return {
        "format_version": FORMAT_VERSION,
        "task": config.task.get("name"),
        "labels": list(signature.classes),
        "preprocessing": {
            "inside_the_model": True,
            "input": INPUTS[signature.inputs.kind],
            "dtype": _SERVED_DTYPES[signature.row_dtype],
            **signature.inputs.model_dump(),
        },
        "output": {
            "name": OUTPUTS[signature.target.kind],
            "dtype": "float32",
            "meaning": _MEANINGS[signature.target.kind],
        },
        "model": {**config.model, "step": config.step, "epoch": config.epoch, "weights_sha256": weights_sha256},
        "dataset": dataset,
    }
