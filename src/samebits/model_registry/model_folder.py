"""The folder that a registered version is: the exported file as MLflow's users expect a model.

Two flavors: `python_function` answers as `samebits predict` does, `onnx` is the graph itself. A model that answers with
masks, with tags for words or by writing has the graph as its `python_function`, too: its answers are no rows.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from samebits.inference.session import open_model
from samebits.inference.table import example_row
from samebits.model_registry.candidate import MODEL, example_inputs
from samebits.model_registry.code_archive import code_archive
from samebits.signature.signature import INPUTS

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

CODE = "samebits.zip"
_BESIDE = {".json", ".md", ".py"}
"""Of models/export: the card, what was measured, the tokenizer, the reader of the inputs; no second copy of weights."""

_NEEDS = {"image": ["pillow"], "text": ["tokenizers"]}


def save_model(model: Path, folder: Path) -> None:
    """Write MLflow's folder for an exported file: signature, an example of the input, requirements, no pickle.

    Args:
        model: in a folder of the export stage.
        folder: does not exist, or is empty.

    Raises:
        UserError: if it is no file of the export stage.
    """
    import mlflow.onnx
    import onnx
    from mlflow.models import Model, ModelSignature

    session, found = open_model(model)
    inputs, target = found["preprocessing"], found["target"]
    predictor = INPUTS[inputs.get("kind", "image")].predictor
    if target.predictor:
        example = example_inputs(session, batch=2)
        outputs = dict(zip([out.name for out in session.get_outputs()], session.run(None, example), strict=True))
        signature = ModelSignature(_tensors(example), _tensors(outputs))
    else:
        example, signature = _EXAMPLES[predictor](model, inputs)
    # Named, or MLflow starts a process that loads the model to find them. Of MLflow, this environment may have the
    # part without the server alone, which is another package.
    packages = ["onnx", "onnxruntime", "numpy", "pandas", "pydantic", *_NEEDS.get(predictor, [])]
    needed = [f"mlflow=={mlflow.__version__}", *(f"{name}=={metadata.version(name)}" for name in packages)]
    mlflow.onnx.save_model(
        onnx.load(str(model)),
        str(folder),
        signature=signature,
        input_example=example,
        pip_requirements=needed,
        metadata={"target": target.model_dump(), "classes": list(target.labels)},
        save_as_external_data=False,
    )
    # As exported, byte for byte.
    (folder / MODEL).write_bytes(model.read_bytes())
    for path in sorted(model.parent.iterdir()):
        if path.suffix in _BESIDE and path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    if not target.predictor:
        described = Model.load(str(folder))
        loader, archive = code_archive()
        (folder / CODE).write_bytes(archive)
        described.flavors["python_function"] |= {"loader_module": loader, "code": CODE}
        described.save(str(folder / "MLmodel"))


def _tensors(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Schema:
    # `infer_signature` needs scipy, and without it gives a signature that admits anything.
    from mlflow.types import Schema, TensorSpec

    return Schema([TensorSpec(each.dtype, (-1, *each.shape[1:]), name) for name, each in arrays.items()])


def _answered(model: Path, example: Any, given: Schema) -> tuple[Any, ModelSignature]:
    """An example, and the signature with the columns of its answer."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Map

    from samebits.model_registry.python_function import PythonFunction

    kinds: dict[type, Any] = {str: DataType.string, float: DataType.double, dict: Map(DataType.double)}
    answer = PythonFunction(model).predict(example).to_dict("records")[0]
    return example, ModelSignature(
        given, Schema([ColSpec(kinds[type(each)], str(name)) for name, each in answer.items()])
    )


def _image(model: Path, inputs: dict[str, Any]) -> tuple[Any, ModelSignature]:
    """The bytes of a file of black pixels: .npy, which holds any number of channels and any depth."""
    import pandas as pd
    from mlflow.types import ColSpec, DataType, Schema

    channels, height, width = inputs["shape"]
    file = io.BytesIO()
    np.save(file, np.zeros((height, width, channels), dtype=np.uint16 if inputs.get("bits", 8) == 16 else np.uint8))
    return _answered(model, pd.DataFrame({"image": [file.getvalue()]}), Schema([ColSpec(DataType.binary, "image")]))


def _text(model: Path, inputs: dict[str, Any]) -> tuple[Any, ModelSignature]:
    import pandas as pd
    from mlflow.types import ColSpec, DataType, Schema

    name = inputs.get("column") or "text"
    return _answered(model, pd.DataFrame({name: ["An example."]}), Schema([ColSpec(DataType.string, name)]))


def _table(model: Path, inputs: dict[str, Any]) -> tuple[Any, ModelSignature]:
    """Cells as files have them: numbers, dates, texts, or nothing. The model's own reader says which are wrong."""
    import pandas as pd
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    of_any_type: Any = AnyType()  # type: ignore[no-untyped-call]
    row = example_row(inputs)
    return _answered(model, pd.DataFrame([row]), Schema([ColSpec(of_any_type, name) for name in row]))


def _array(model: Path, inputs: dict[str, Any]) -> tuple[Any, ModelSignature]:
    example = {"arrays": np.zeros((1, *inputs["shape"]), dtype=inputs["stored_dtype"])}
    return _answered(model, example, _tensors(example))


_EXAMPLES: dict[str, Callable[[Path, dict[str, Any]], tuple[Any, ModelSignature]]] = {
    "image": _image,
    "text": _text,
    "table": _table,
    "array": _array,
}
