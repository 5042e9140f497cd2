"""A quantised copy of the ONNX model: 8-bit integers in place of floats, kept only if it stays as good.

Static quantisation by ONNX Runtime (Jacob et al., 2018): weights by channel, activations by the range that training
samples show. The answers differ from the checkpoint's, so it is judged by its score on the whole test split instead of
by parity.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.data.loading.prepared import Array, Split
from samebits.export.parity import Predictor, answers, served_inputs
from samebits.signature.target_kind import TargetKind

if TYPE_CHECKING:
    import onnx as onnx_library

FILE = "model.int8.onnx"
_BATCH = 64
_STEPS = np.float32(256)
_LAST = {"Add", "Div", "Mul", "Reshape", "Sigmoid", "Squeeze", "Sub"}
"""Operators that turn outputs into answers."""
_MASKED = -9e3
"""Values below are what a mask adds to scores: -10,000, the lowest float, minus infinity."""


@dataclass(frozen=True)
class QuantizationResult:
    """How a quantised model does on the test split.

    Attributes:
        score: accuracy or R².
        loss: how much lower than the checkpoint's.
        agreement: share of samples (of masks, pixels; of tags, words) that get the checkpoint's class; None for
            numbers.
    """

    score: float
    loss: float
    agreement: float | None


def quantize(exact: Path, path: Path, split: Split, samples: int) -> None:
    """Write the quantised model.

    Args:
        exact: the fp32 ONNX model; its metadata goes into the copy.
        path: where to write.
        split: the training split, of which the first `samples` in the order of their hashes show the ranges.

    Raises:
        UserError: if ONNX Runtime cannot quantise the model.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load(str(exact))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared, quantized, ranges = (Path(folder) / name for name in ("prepared.onnx", "quantized.onnx", "ranges"))
        try:
            quant_pre_process(str(exact), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
            masked = _write_ranges(ranges, prepared, _Samples(model.graph.input[0].name, split, samples))
            quantize_static(
                str(prepared),
                str(quantized),
                calibration_cache_path=ranges,
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_exact(onnx.load(str(prepared)).graph, masked),
            )
        except Exception as error:  # it raises what its passes happen to raise
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(f"ONNX Runtime cannot quantise the model: {reason}", "set export.int8: false") from error
        small = onnx.load(str(quantized))
    del small.metadata_props[:]
    small.metadata_props.extend(model.metadata_props)
    small.producer_name, small.producer_version = model.producer_name, model.producer_version
    write_bytes(path, small.SerializeToString(deterministic=True))


def _exact(graph: onnx_library.GraphProto, masked: Collection[str]) -> list[str]:
    """Names of the nodes that stay as they are.

    What ends in answers: softmax, else probabilities come in steps of 1/255, and a rare class has none; and what gives
    numbers their unit: of years, a range from zero on has steps of 8. And what gives or takes masked values: with a
    mask in their range, all scores of attention would be the same integer.
    """
    last, wanted = set[str](), {each.name for each in graph.output}
    for node in reversed(graph.node):  # which follow each other
        if node.op_type in _LAST and not wanted.isdisjoint(node.output):
            last.add(node.name)
            wanted.update(node.input)
    return [
        node.name
        for node in graph.node
        if node.op_type == "Softmax" or node.name in last or not {*node.input, *node.output}.isdisjoint(masked)
    ]


def _write_ranges(path: Path, model: Path, samples: _Samples) -> set[str]:
    """The least and the largest value of every activation over the samples, for `quantize_static`; the names of those
    with masked values, which have no range."""
    from onnxruntime.quantization.calibrate import TensorData, TensorsData, create_calibrator, save_tensors_data

    calibrator = create_calibrator(model, augmented_model_path=str(path.with_name("augmented.onnx")))
    calibrator.collect_data(samples)
    found = calibrator.compute_data()
    masked = {name for name, data in found.items() if data.range_value[0] < _MASKED}
    ranges = {
        name: TensorData(lowest=-_coarser(-data.range_value[0]), highest=_coarser(data.range_value[1]))
        for name, data in found.items()
        if name not in masked
    }
    save_tensors_data(TensorsData(found.calibration_method, ranges), path)
    return masked


def _coarser(bound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The next number up that has 8 significant bits.

    ONNX Runtime's kernels, and so the last bits of an activation, are the processor's. Ranges are bytes of the
    quantised model, and one of 8 bits is at most 1/128 wider: as coarse as the integers themselves.
    """
    fraction, exponent = np.frexp(bound)
    return np.ldexp(np.ceil(fraction * _STEPS) / _STEPS, exponent).astype(np.float32)


class _Samples:
    """Batches of training samples, as ONNX Runtime asks for them."""

    def __init__(self, name: str, split: Split, samples: int) -> None:
        count = min(samples, len(split))
        starts = range(0, count, _BATCH)
        self._batches = (
            {name: served_inputs(split, np.arange(at, min(at + _BATCH, count), dtype=np.int64))} for at in starts
        )

    def get_next(self) -> dict[str, Array] | None:
        """The next batch; None after the last."""
        return next(self._batches, None)


def measure_quantized(
    predict: Predictor,
    reference: npt.NDArray[np.float32],
    split: Split,
    score: Callable[[npt.NDArray[np.float32], Split], dict[str, float]],
    largest_loss: float,
) -> QuantizationResult:
    """Compare the quantised model with the checkpoint on the whole test split.

    Args:
        reference: the checkpoint's answers.
        score: of answers, by the name of the metric.
        largest_loss: by how much its score may be lower.

    Raises:
        UserError: if it is lower by more.
    """
    scores = score(reference, split)
    if not scores:
        raise UserError(
            "the test split does not say how good a model is: all of its targets are equal", "set export.int8: false"
        )
    given = answers(predict, split)
    (name, exact), (_, found) = next(iter(scores.items())), next(iter(score(given, split).items()))
    loss = exact - found
    if not loss <= largest_loss:  # NaN included
        raise UserError(
            f"the int8 model reaches a test {name} of {found:.4f}, the checkpoint {exact:.4f}; export.int8_loss allows "
            f"{largest_loss:g} less",
            "set export.int8: false, raise export.int8_samples or, if that is acceptable, export.int8_loss; nothing "
            "was written",
        )
    same = _agreement(split.info.signature.target, given, reference)
    return QuantizationResult(found, round(loss, 6), None if same is None else round(same, 6))


def _agreement(target: TargetKind, given: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float | None:
    """Share of what the checkpoint decides that is decided so here; None for numbers."""
    (_, found), (_, wanted) = target.decisions(given), target.decisions(reference)
    return None if found is None or wanted is None else float((found == wanted)[wanted >= 0].mean())


def measured(judged: QuantizationResult) -> dict[str, float]:
    """How it did here, for the record: 8-bit products saturate on some processors and not on others."""
    values = {"score": judged.score, "loss": judged.loss}
    return values if judged.agreement is None else values | {"same_class": judged.agreement}
