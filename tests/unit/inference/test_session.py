"""Models and tokenisers that were tampered with: one message and exit code 2, never a traceback, a crash or a hang."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image
from tokenizers import Tokenizer, models

from samebits.base import sandbox
from samebits.base.errors import UserError
from samebits.cli.main import main
from samebits.data.readers.text.tokenizer import PretrainedTokenizer, read_tokenizer
from samebits.inference.session import Session, open_model, open_tokenizer

FLOAT, UINT8, INT32, INT64, BOOL = (
    *(TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT32),
    *(TensorProto.INT64, TensorProto.BOOL),
)
IMAGE = {"kind": "image", "shape": [1, 4, 4], "mean": [0.1], "resize": "pad"}
COLUMN = {"kind": "number", "name": "a", "source": None, "part": None, "format": None}
TABLE = {"kind": "table", "missing": [""], "decimal": ".", "columns": [COLUMN]}


def write(
    path: Path,
    nodes: list[Any] | None = None,
    inputs: list[tuple[str, int, list[Any]]] | None = None,
    output: tuple[int, list[Any]] = (FLOAT, ["batch", 2]),
    metadata: dict[str, str] | None = None,
) -> Path:
    """A classifier of 4x4 images into two classes, but for what is given."""
    nodes = nodes or [
        helper.make_node("Cast", ["images"], ["pixels"], to=FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["grey"], axes=[2, 3], keepdims=0),
        helper.make_node("Concat", ["grey", "grey"], ["answer"], axis=1),
    ]
    inputs = [("images", UINT8, ["batch", 1, 4, 4])] if inputs is None else inputs
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info("answer", *output)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    known = {"labels": '["a", "b"]', "preprocessing": json.dumps(IMAGE)} | (metadata or {})
    for key, value in known.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def preprocessing(**change: Any) -> dict[str, str]:
    return {"preprocessing": json.dumps(IMAGE | change)}


def calibration(**change: Any) -> dict[str, str]:
    known = {"format_version": 1, "weights_sha256": "0" * 64, "samples": 9}
    return {"calibration": json.dumps(known | change)}


def table(**change: Any) -> dict[str, str]:
    return {"preprocessing": json.dumps(TABLE | change)}


def constant(value: Any, kind: int) -> list[Any]:
    array = np.asarray(value)
    tensor = helper.make_tensor("v", kind, array.shape, array.ravel())
    return [helper.make_node("Constant", [], ["answer"], value=tensor)]


def loop() -> list[Any]:
    """Counts without end, then answers."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Add", ["so_far", "so_far"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("go", BOOL, []),
            helper.make_tensor_value_info("so_far", FLOAT, None),
        ],
        [helper.make_tensor_value_info("still", BOOL, []), helper.make_tensor_value_info("next", FLOAT, None)],
    )
    return [
        helper.make_node("Cast", ["images"], ["pixels"], to=FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["grey"], axes=[2, 3], keepdims=0),
        helper.make_node("Constant", [], ["for_ever"], value=helper.make_tensor("t", INT64, [], [2**62])),
        helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("y", BOOL, [], [True])),
        helper.make_node("Loop", ["for_ever", "yes", "grey"], ["counted"], body=body),
        helper.make_node("Concat", ["counted", "counted"], ["answer"], axis=1),
    ]


def huge() -> list[Any]:
    return [
        helper.make_node("Constant", [], ["size"], value=helper.make_tensor("s", INT64, [2], [1 << 20, 1 << 20])),
        helper.make_node("ConstantOfShape", ["size"], ["all"]),
        helper.make_node("ReduceMean", ["all"], ["answer"], axes=[0], keepdims=1),
    ]


TAMPERED: dict[str, Callable[[Path], Any]] = {
    "labels are no list": lambda p: write(p, metadata={"labels": '{"a": 1}'}),
    "labels are numbers": lambda p: write(p, metadata={"labels": "[1, 2]"}),
    "labels are too few": lambda p: write(p, metadata={"labels": '["a"]'}),
    "labels are none": lambda p: write(p, metadata={"labels": "[]"}),
    "labels are no JSON": lambda p: write(p, metadata={"labels": "["}),
    "labels are nested deeply": lambda p: write(p, metadata={"labels": "[" * 100_000}),
    "a calibration that is no object": lambda p: write(p, metadata={"calibration": "[]"}),
    "a temperature of 0": lambda p: write(p, metadata=calibration(temperature=0)),
    "intervals of classes": lambda p: write(p, metadata=calibration(coverage=0.9, half_widths=[1.0])),
    "an infinite interval": lambda p: write(p, metadata=calibration(coverage=0.9, half_widths=[float("inf")])),
    "sets of no coverage": lambda p: write(p, metadata=calibration(set_probability=0.5)),
    "preprocessing is a list": lambda p: write(p, metadata={"preprocessing": "[]"}),
    "an unknown kind": lambda p: write(p, metadata=preprocessing(kind="sound")),
    "kind is a list": lambda p: write(p, metadata=preprocessing(kind=["image"])),
    "shape is a text": lambda p: write(p, metadata=preprocessing(shape="1x4x4")),
    "shape is huge": lambda p: write(p, metadata=preprocessing(shape=[1, 10**9, 10**9])),
    "shape is another": lambda p: write(p, metadata=preprocessing(shape=[1, 5, 5])),
    "mean is a text": lambda p: write(p, metadata=preprocessing(mean=["x"])),
    "mean is infinite": lambda p: write(p, metadata=preprocessing(mean=[float("inf")])),
    "resize is another": lambda p: write(p, metadata=preprocessing(resize="melt")),
    "a digit without end": lambda p: write(p, metadata={"preprocessing": '{"shape": [' + "9" * 10_000 + "]}"}),
    "a table on images": lambda p: write(p, metadata=table()),
    "a table without columns": lambda p: write(p, metadata=table(columns=[])),
    "a column without a name": lambda p: write(p, metadata=table(columns=[{"kind": "number"}])),
    "an unknown part of a date": lambda p: write(p, metadata=table(columns=[COLUMN | {"part": "eon"}])),
    "an encoding that is no text": lambda p: write(p, metadata=table(columns=[COLUMN], encoding=[])),
    "an encoding of no text": lambda p: write(p, metadata=table(columns=[COLUMN], encoding="rot13")),
    "a separator of three letters": lambda p: write(p, metadata=table(columns=[COLUMN], separator="abc")),
    "quotes that are no switch": lambda p: write(p, metadata=table(columns=[COLUMN], quotes="yes")),
    "texts of no length": lambda p: write(p, metadata={"preprocessing": '{"kind": "tokens", "length": 0}'}),
    "an input of floats": lambda p: write(
        p, [helper.make_node("ReduceMean", ["images"], ["answer"], axes=[2, 3])], [("images", FLOAT, [2, 2, 1, 1])]
    ),
    "an input of three axes": lambda p: write(
        p,
        [
            helper.make_node("Cast", ["images"], ["pixels"], to=FLOAT),
            helper.make_node("ReduceMean", ["pixels"], ["answer"], axes=[2], keepdims=0),
        ],
        [("images", UINT8, ["batch", 2, 4])],
    ),
    "no input": lambda p: write(p, constant([[0.5, 0.5]], FLOAT), []),
    "an answer of integers": lambda p: write(
        p, constant([[1, 2]], INT64), [("images", UINT8, ["batch", 1, 4, 4])], (INT64, [1, 2])
    ),
    "an answer of one axis": lambda p: write(
        p, constant([0.5, 0.5], FLOAT), [("images", UINT8, ["batch", 1, 4, 4])], (FLOAT, [2])
    ),
    "a constant of 4 TiB": lambda p: write(p, huge(), output=(FLOAT, [1, None])),
    "an unknown operation": lambda p: write(p, [helper.make_node("Explode", ["images"], ["answer"])]),
    "half of the file": lambda p: write(p).write_bytes(write(p).read_bytes()[:120]),
    "an empty file": lambda p: p.write_bytes(b""),
    "noise": lambda p: p.write_bytes(bytes(range(256)) * 40),
}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("L", (4, 4), 200).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_the_model_as_it_should_be_answers(tmp_path: Path, picture: Path) -> None:
    assert main(["predict", "--model", str(write(tmp_path / "model.onnx")), str(picture)]) == 0


@pytest.mark.parametrize("case", TAMPERED)
def test_a_tampered_model_is_one_message(
    case: str, tmp_path: Path, picture: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    TAMPERED[case](path)
    assert main(["predict", "--model", str(path), str(picture)]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err.startswith("samebits predict: error: ")
    assert len(told.err.splitlines()) == 2  # the problem and the fix
    assert len(told.err) < 1000
    assert main(["generate", "--model", str(path), "a"]) == 2


def test_an_answer_that_is_no_number_is_an_error_of_its_sample(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    write(path, constant([[np.nan, 0.5]], FLOAT), [("images", UINT8, ["batch", 1, 4, 4])], (FLOAT, [1, 2]))
    assert main(["predict", "--model", str(path), str(picture)]) == 3
    assert "error: the model's answer to it is no finite number" in capsys.readouterr().out


def test_a_loop_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    path = write(tmp_path / "model.onnx", loop())
    monkeypatch.setattr("samebits.inference.session.RUN_SECONDS", 0.3)
    session = Session(path, onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]))
    with pytest.raises(UserError, match=r"takes more than 0\.3 s for one run"):
        session.answers(np.zeros((1, 1, 4, 4), dtype=np.uint8), 2)
    monkeypatch.setattr(sandbox, "SECONDS", 3.0)
    with pytest.raises(UserError, match=r"it takes more than 3 s to load it and run it once"):
        open_model(path)


def vocabulary(**words: int) -> dict[str, Any]:
    tokenizer = json.loads(Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]")).to_str())
    tokenizer["model"]["vocab"] |= words
    return tokenizer  # type: ignore[no-any-return]


FIXED = {"strategy": {"Fixed": 2**40}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
GROWS = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
BEYOND = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"[X]": {"id": "[X]", "ids": [4_000_000_000], "tokens": ["[X]"]}},
}
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "an empty vocabulary": (vocabulary() | {"model": {"type": "WordLevel", "vocab": {}, "unk_token": "a"}}, ""),
    "a huge number": (vocabulary(dog=4_000_000_000), "number 4,000,000,000"),
    "a token beyond the vocabulary": (vocabulary() | {"post_processor": BEYOND}, "its vocabulary ends at 1"),
    "rows without end": (vocabulary() | {"padding": FIXED | {"pad_to_multiple_of": None}}, "crash"),
    "texts that grow": (vocabulary() | {"normalizer": {"type": "Sequence", "normalizers": [GROWS] * 6}}, ""),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case == "texts that grow" else case for case in HOSTILE]
)
def test_a_hostile_tokenizer_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if case == "texts that grow":
        monkeypatch.setattr(sandbox, "SECONDS", 3.0)
    content, why = HOSTILE[case]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"data\.text\.tokenizer own is no tokenizer\.json: .*{why}"):
        read_tokenizer(PretrainedTokenizer(path, "own"))
    known = {"tokenizer_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    with pytest.raises(UserError, match=rf"is no tokenizer\.json that can be used: .*{why}"):
        open_tokenizer(tmp_path / "model.onnx", known)
