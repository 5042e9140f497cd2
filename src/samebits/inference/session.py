"""An exported model as its user has it: the .onnx file and, for texts, `tokenizer.json` beside it.

ONNX Runtime and `tokenizers` alone: no torch, no project.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samebits.base.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Opened = tuple[Any, dict[str, Any]]
"""ONNX Runtime's session and the file's metadata: `labels` and `preprocessing`, parsed."""

_TOKENIZER = "tokenizer.json"
_CURE = "make it: dvc repro export (or fetch it: dvc pull)"


def open_model(path: Path) -> Opened:
    """An exported model of any kind.

    Raises:
        UserError: if it is missing, damaged, or was not written by the export stage.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder", f"name the file in it, as {path / 'model.onnx'}")
    if not path.is_file():
        raise UserError(f"{path} does not exist", _CURE)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its own log; failures raise
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        stored = session.get_modelmeta().custom_metadata_map
        return session, {key: json.loads(stored[key]) for key in ("labels", "preprocessing")}
    except KeyError as error:
        raise not_ours(path, error) from None
    except Exception as error:  # onnxruntime raises a class of its own for each way a file can be damaged
        raise UserError(f"{path} is no ONNX model that can be loaded: {str(error).splitlines()[0]}", _CURE) from None


def not_ours(path: Path, missing: KeyError) -> UserError:
    """The error for a key that our exporter would have written."""
    return UserError(f"{path} has no {missing} in its metadata: the export stage did not write it", _CURE)


def open_tokenizer(model: Path, preprocessing: dict[str, Any]) -> Tokenizer:
    """The tokeniser beside a model of texts.

    Raises:
        UserError: if it is missing, or is not the one that the model was trained with.
    """
    path = model.with_name(_TOKENIZER)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "it belongs beside the model; " + _CURE) from None
    if hashlib.sha256(data).hexdigest() != preprocessing.get("tokenizer_sha256"):
        raise UserError(f"{path} is not the tokeniser that the model was trained with", _CURE)
    from tokenizers import Tokenizer

    return Tokenizer.from_str(data.decode())
