"""`torch.export`: the model as an ATen graph with its weights, for PyTorch without our code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.checkpoints.serving import ServingModel
from samebits.export.onnx import dynamic_axes
from samebits.export.pt2_archive import MODEL, pack, read_safely, unpack
from samebits.export.reason import reason

FILE = "model.pt2"


def export(serving: ServingModel, example: torch.Tensor, path: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """Write `serving` as a `.pt2` archive without a pickle in it.

    `torch.export.save` pickles the example inputs and keeps stack traces with absolute paths; both are left out.
    `torch.export.load` reads the result, and so does `load_exported`, which trusts nobody.

    Args:
        serving: in eval mode.
        example: an input with N >= 2: a batch of one would be taken for a constant.
        path: where to write; the bytes depend on the model, the metadata and torch's version alone.
        metadata: JSON values, kept as `extra/metadata.json`.

    Raises:
        UserError: if the model cannot be exported.
    """
    try:
        # Without gradients: a part that turns them off by itself would be a graph within the graph.
        with torch.no_grad():
            program = torch.export.export(
                serving, serving.example(example), dynamic_shapes=dynamic_axes(serving), strict=False
            )
    except Exception as error:  # the exporter runs the model's own code and hands on whatever it raises
        raise UserError(
            f"the model cannot be exported by torch.export: {reason(error)}",
            "remove torch_export from export.formats, or rewrite what depends on the data or the batch size",
        ) from error
    program.example_inputs = None
    buffer = io.BytesIO()
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=2)
    torch.export.save(program, buffer, extra_files={"metadata.json": text})
    members = unpack(buffer.getvalue())
    members[MODEL] = _without_traces(members[MODEL])
    write_bytes(path, pack(members).getvalue())
    return {"aten_opset": json.loads(members[MODEL])["opset_version"]["aten"]}


def load_exported(path: Path) -> tuple[torch.export.ExportedProgram, dict[str, Any]]:
    """Load an archive that `export` wrote, whoever hands it to us: no code in it can run.

    Returns:
        the program (`.module()` makes it callable) and the exporter's metadata.

    Raises:
        UserError: if the file is missing, damaged, or holds anything that `export` does not write.
    """
    archive, metadata = read_safely(path)
    try:
        return torch.export.load(archive), metadata
    except Exception as error:  # what a graph that does not fit together raises depends on where it does not
        raise UserError(f"{path} is damaged: {error}", "make it again: dvc repro export") from error


def load(path: Path) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]:
    """The exported file as a function from served samples to answers, on the CPU."""
    run = load_all(path)
    return lambda samples: run(samples)[0]


def load_all(path: Path) -> Callable[..., list[npt.NDArray[np.float32]]]:
    """The exported file as a function from all inputs to all outputs, on the CPU."""
    module = load_exported(path)[0].module()

    def run(*inputs: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        with torch.inference_mode():
            outputs = module(*map(torch.from_numpy, inputs))
        return [each.numpy() for each in (outputs if isinstance(outputs, tuple | list) else (outputs,))]

    return run


def _without_traces(model: bytes) -> bytes:
    """The graph without its nodes' metadata (source lines and paths of the exporting machine) and without guards.

    Guards are Python source that `torch.export.load` would execute; ours would only say that the sizes of a cache fit
    those of the tokens, which the operations check again.
    """
    value = json.loads(model)
    value["guards_code"] = []
    for node in value["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
    return json.dumps(value, sort_keys=True).encode()
