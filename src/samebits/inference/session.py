"""An exported model as its user has it: the .onnx file and, for texts, `tokenizer.json` beside it.

ONNX Runtime and `tokenizers` alone: no torch, no project. A file may come from anybody: whatever is wrong with it is
one message.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.base.sandbox import require_harmless
from samebits.inference.deadline import limited
from samebits.signature.target_kind import TargetKind

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from samebits.inference.calibration import Calibration

RUN_SECONDS = 120.0
"""For one run of a model, at most: one batch, or one token."""

_TOKENIZER = "tokenizer.json"
_FIX = "make it: dvc repro export (or fetch it: dvc pull)"
_LARGEST_SIDE = 1 << 14
_MOST_CHANNELS = 16
_MOST_VALUES = 1 << 28
_ARRAY_TYPES = {"uint8", "int16", "uint16", "int32", "float16", "float32"}


class Session:
    """ONNX Runtime's session on one file; its errors name the file."""

    def __init__(self, path: Path, session: Any) -> None:
        self.path, self._session = path, session

    def run(self, outputs: list[str] | None, inputs: dict[str, Any]) -> list[Any]:
        """The answers of one run.

        Raises:
            UserError: if the graph cannot be run on these inputs, or takes longer than `RUN_SECONDS`.
        """
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        try:
            with limited(options, RUN_SECONDS):
                answers: list[Any] = self._session.run(outputs, inputs, options)
        except Exception as error:  # onnxruntime raises a class of its own for each way a graph can fail
            if options.terminate:
                raise UserError(f"{self.path} takes more than {RUN_SECONDS:g} s for one run", _FIX) from None
            raise UserError(f"{self.path} cannot be run: {_line(error)}", _FIX) from None
        return answers

    def answers(self, samples: npt.NDArray[Any], target: TargetKind) -> npt.NDArray[np.float32]:
        """The first output for samples of the first input: float32 [N, ...].

        Raises:
            UserError: as `run`; or for an answer of another shape or type, or one that is not finite.
        """
        found, finite = self.checked_answers(samples, target)
        if not finite.all():
            raise UserError(f"{self.path} gives an answer that is no finite number", _FIX)
        return found

    def checked_answers(
        self, samples: npt.NDArray[Any], target: TargetKind
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """As `answers`, and of each sample whether its answer is finite, [N]: one sample does not cost the others."""
        found = self.run([self.get_outputs()[0].name], {self.get_inputs()[0].name: samples})[0]
        shape = target.answers_shape(samples)
        if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != np.float32:
            given = f"{found.dtype} {list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__
            raise UserError(f"{self.path} answers {given} where its metadata say float32 {list(shape)}", _FIX)
        finite: npt.NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(found.reshape(len(found), -1)), axis=1)
        return found, finite

    def require_inputs(self, wanted: dict[str, tuple[str, int]]) -> None:
        """Refuse a graph whose inputs are not of these types (`float`, `int32`, `uint8`) and numbers of axes.

        Raises:
            UserError: naming what it takes.
        """
        found = {each.name: (each.type, len(each.shape)) for each in self.get_inputs()}
        if found != {name: (f"tensor({kind})", axes) for name, (kind, axes) in wanted.items()}:
            taken = ", ".join(f"{name} {kind} of {axes} axes" for name, (kind, axes) in found.items())
            raise UserError(f"{self.path} takes {taken or 'nothing'}: that is not what its metadata say", _FIX)

    def get_inputs(self) -> list[Any]:
        """As of ONNX Runtime."""
        return list(self._session.get_inputs())

    def get_outputs(self) -> list[Any]:
        """As of ONNX Runtime."""
        return list(self._session.get_outputs())


def onnx_session(path: Path, threads: int = 0, *, spin: bool = True) -> Any:
    """ONNX Runtime's session on a file, on the CPU. It raises what ONNX Runtime raises.

    Args:
        threads: of one operator; 0: a thread per core.
        spin: whether they wait busily for more work: faster for a job, slower where the process does other things, too.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its own log; failures raise
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


Opened = tuple[Session, dict[str, Any]]
"""A session and the file's metadata: `labels`, `preprocessing`, `target` and `calibration`, parsed and checked."""


def open_model(path: Path, *, spin: bool = True) -> Opened:
    """An exported model of any kind; `spin` as of `onnx_session`.

    Raises:
        UserError: if it is missing, damaged, or was not written by the export stage.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder", f"name the file in it, as {path / 'model.onnx'}")
    if not path.is_file():
        raise UserError(f"{path} does not exist", _FIX)
    try:
        require_harmless("model", path)
        session = onnx_session(path, spin=spin)
        stored = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # onnxruntime raises a class of its own for each way a file can be damaged
        raise UserError(f"{path} is no ONNX model that can be loaded: {_line(error)}", _FIX) from None
    metadata: dict[str, Any] = {}
    for key, check in (("labels", _check_labels), ("preprocessing", _check_preprocessing)):
        if key not in stored:
            raise UserError(f"{path} has no {key!r} in its metadata: the export stage did not write it", _FIX)
        try:
            metadata[key] = json.loads(stored[key])
            check(metadata[key])
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else _line(error)
            raise UserError(f"{path}: {key!r} in its metadata is not what export writes: {reason}", _FIX) from None
    metadata["target"] = _target(path, stored.get("target"), metadata["labels"])
    metadata["calibration"] = _calibration(path, stored.get("calibration"), metadata["target"])
    return Session(path, session), metadata


def _target(path: Path, stored: str | None, labels: list[str]) -> TargetKind:
    """What the answers are. Files of earlier releases do not say it: of labels, their probabilities, else numbers."""
    from pydantic import TypeAdapter, ValidationError

    from samebits.signature.classes import ClassTarget
    from samebits.signature.number import NumberTarget
    from samebits.signature.signature import Target

    try:
        if stored is not None:
            return cast(TargetKind, TypeAdapter(Target).validate_json(stored))
        return ClassTarget(classes=labels) if labels else NumberTarget(name="value", mean=0.0, std=1.0)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UserError(f"{path}: 'target' in its metadata is not what export writes: {reason}", _FIX) from None


def _calibration(path: Path, stored: str | None, target: TargetKind) -> Calibration | None:
    """What was fitted on the validation split; files of earlier releases have none."""
    from pydantic import ValidationError

    from samebits.inference.calibration import Calibration

    if stored is None:
        return None
    try:
        found = Calibration.model_validate_json(stored)
        reason = found.problem(target)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
    if reason:
        raise UserError(f"{path}: 'calibration' in its metadata is not what export writes: {reason}", _FIX)
    return found


def open_tokenizer(model: Path, preprocessing: dict[str, Any]) -> Tokenizer:
    """The tokeniser beside a model of texts.

    Raises:
        UserError: if it is missing, is not the one that the model was trained with, or cannot be used.
    """
    path = model.with_name(_TOKENIZER)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "it belongs beside the model; " + _FIX) from None
    if hashlib.sha256(data).hexdigest() != preprocessing.get("tokenizer_sha256"):
        raise UserError(f"{path} is not the tokeniser that the model was trained with", _FIX)
    from tokenizers import Tokenizer

    try:
        require_harmless("tokenizer", path)
        return Tokenizer.from_str(data.decode())
    except Exception as error:  # the library raises a bare Exception
        raise UserError(f"{path} is no tokenizer.json that can be used: {_line(error)}", _FIX) from None


def _line(error: BaseException) -> str:
    text = error.problem if isinstance(error, UserError) else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:300]


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _check_texts(value: Any, what: str) -> None:
    _require(isinstance(value, list) and all(isinstance(each, str) for each in value), f"{what} is no list of texts")


def _check_labels(labels: Any) -> None:
    _check_texts(labels, "it")


def _check_preprocessing(value: Any) -> None:
    """Every key that is read later has the type and the range that the export stage gives it."""
    _require(isinstance(value, dict), "it is no object")
    kind = value.get("kind", "image")
    _require(kind in _CHECKS, f"kind is {str(kind)[:40]!r}")
    _CHECKS[kind](value)


def _check_image(value: dict[str, Any]) -> None:
    shape, mean = value["shape"], value["mean"]
    _require(isinstance(shape, list) and len(shape) == 3 and all(type(size) is int for size in shape), "shape")
    _require(all(1 <= size <= _LARGEST_SIDE for size in shape), f"shape is {shape}")
    _require(shape[0] <= _MOST_CHANNELS, f"shape is {shape}, images have 1 to {_MOST_CHANNELS} channels")
    _require(value.get("bits", 8) in {8, 16}, "bits")
    _require(isinstance(mean, list) and len(mean) == shape[0] and all(map(_is_number, mean)), "mean")
    _require(value.get("resize", "pad") in {"pad", "crop", "stretch"}, "resize")
    bounds = value.get("value_range")
    _require(
        bounds is None or (isinstance(bounds, list) and len(bounds) == 2 and all(map(_is_number, bounds))),
        "value_range",
    )


def _check_tokens(value: dict[str, Any]) -> None:
    _require(type(value["length"]) is int and 1 <= value["length"] <= 1 << 24, "length")


def _check_table(value: dict[str, Any]) -> None:
    from samebits.signature.table import DATE_PARTS

    _check_texts(value["missing"], "missing")
    _require(value["decimal"] in {".", ","}, "decimal")
    separator, encoding = value.get("separator"), value.get("encoding")
    _require(separator is None or (isinstance(separator, str) and len(separator) == 1), "separator")
    _require(isinstance(value.get("quotes", True), bool), "quotes")
    _require(encoding is None or isinstance(encoding, str), "encoding")
    "".encode(encoding or "utf-8")  # raises for what is no encoding of text
    _require(isinstance(value["columns"], list) and bool(value["columns"]), "columns")
    for column in value["columns"]:
        _require(isinstance(column, dict) and isinstance(column["name"], str), "a column has no name")
        for key in ("source", "format", "part"):
            _require(isinstance(column.get(key), str | None), key)
        if column["kind"] == "category":
            _check_texts(column["values"], "values")
        else:
            _require(column["kind"] == "number", "kind of a column")
            _require(column.get("part") is None or column["part"] in DATE_PARTS, "part")


def _check_array(value: dict[str, Any]) -> None:
    shape = value["shape"]
    _require(isinstance(shape, list) and bool(shape) and all(type(size) is int for size in shape), "shape")
    _require(all(size >= 1 for size in shape) and math.prod(shape) <= _MOST_VALUES, f"shape is {shape}")
    _require(value["dtype"] in ("uint8", "int32", "float32"), "dtype")
    _require(value["stored_dtype"] in _ARRAY_TYPES, "stored_dtype")


_CHECKS = {"image": _check_image, "tokens": _check_tokens, "table": _check_table, "array": _check_array}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
