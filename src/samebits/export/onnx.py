"""ONNX: the model for ONNX Runtime and whatever else reads the format, with a dynamic batch."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.checkpoints.serving import ServingModel
from samebits.export.reason import reason
from samebits.inference.session import onnx_session

if TYPE_CHECKING:
    import onnx as onnx_library

FILE = "model.onnx"
_LARGEST = 1 << 20
LARGEST_FILE = (1 << 31) - (16 << 20)
"""Bytes of weights: a protobuf message has at most 2 GiB, with room for the graph."""
OPSET = 20
"""Released with ONNX 1.15 (2023); readers from ONNX Runtime 1.17 on take it."""


def export(serving: ServingModel, example: torch.Tensor, path: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """Write `serving` as ONNX, with torch's dynamo exporter.

    Args:
        serving: in eval mode.
        example: an input with N >= 2: a batch of one would be taken for a constant.
        path: where to write; the bytes depend on the model, the metadata and the library versions alone.
        metadata: JSON values; each becomes a `metadata_props` entry under its key.

    Returns:
        facts for the report: opset and IR version.

    Raises:
        UserError: if the model cannot be exported, or the exported graph is not valid.
    """
    import onnx as onnx_library

    try:
        with _quiet():
            program = torch.onnx.export(
                serving,
                serving.example(example),
                dynamo=True,
                dynamic_shapes=dynamic_axes(serving),
                input_names=list(serving.input_names),
                output_names=list(serving.output_names),
                opset_version=OPSET,
                verbose=False,
            )
        if program is None:
            raise RuntimeError("torch.onnx gave nothing back")
        model = program.model_proto
        _strip(model)
        for key, value in metadata.items():
            model.metadata_props.add(key=key, value=value if isinstance(value, str) else _compact(value))
        onnx_library.checker.check_model(model, full_check=True)
        data = model.SerializeToString(deterministic=True)
    except Exception as error:  # the exporter runs the model's own code and hands on whatever it raises
        raise UserError(
            f"the model cannot be exported to ONNX: {reason(error)}",
            "remove onnx from export.formats, or rewrite the operation that torch.onnx does not know",
        ) from error
    write_bytes(path, data)
    return {"opset": OPSET, "ir_version": model.ir_version}


def require(serving: ServingModel, metadata: dict[str, Any]) -> None:
    """Refuse a model that no ONNX file can hold, before anything is computed.

    Raises:
        UserError: with its size.
    """
    size = sum(each.nbytes for each in (*serving.parameters(), *serving.buffers()))
    if size > LARGEST_FILE:
        raise UserError(
            f"the model's weights have {size / 2**30:.2f} GiB, an ONNX file holds at most {LARGEST_FILE / 2**30:.2f}",
            "set export.formats: [torch_export] and export.int8: false, or make the model smaller",
        )


def dynamic_axes(serving: ServingModel) -> tuple[dict[int, Any], ...]:
    """Of each input, its axes that may have any length; a cache may be empty."""
    names = {name for axes in serving.dynamic for name in axes.values()}
    sizes = {
        name: torch.export.Dim(name, min=0 if name == "past" else 1, max=serving.largest.get(name, _LARGEST))
        for name in sorted(names)
    }
    return tuple({axis: sizes[name] for axis, name in axes.items()} for axes in serving.dynamic)


def load(path: Path) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]:
    """The exported file as a function from served samples to answers, on the CPU."""
    run = load_all(path)
    return lambda samples: run(samples)[0]


def load_all(path: Path) -> Callable[..., list[npt.NDArray[np.float32]]]:
    """The exported file as a function from all inputs to all outputs, on the CPU."""
    session = onnx_session(path, torch.get_num_threads())
    names = [each.name for each in session.get_inputs()]

    def run(*inputs: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        outputs: list[npt.NDArray[np.float32]] = session.run(None, dict(zip(names, inputs, strict=True)))
        return outputs

    return run


def _strip(model: onnx_library.ModelProto) -> None:
    """Remove what torch leaves of the machine and the session: stack traces, paths, node names of the traced graph."""
    graph = model.graph
    del model.metadata_props[:]
    del graph.metadata_props[:]
    graph.doc_string = model.doc_string = ""
    for part in [*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        del part.metadata_props[:]
        part.doc_string = ""
    for function in model.functions:
        del function.metadata_props[:]
        function.doc_string = ""
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells its progress on stdout and its own deprecations as warnings; failures still raise.

    Its optimiser warns where it cannot compute a constant in advance: the operation then stays in the graph.
    """
    levels = {each: each.level for each in map(logging.getLogger, ("torch.onnx", "onnxscript"))}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
