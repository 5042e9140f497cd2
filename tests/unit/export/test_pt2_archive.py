"""A `.pt2` archive that could run code is refused before torch sees it, and what it would have run does not run."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from samebits.base.errors import UserError
from samebits.checkpoints.serving import ServingModel
from samebits.export import torch_export
from samebits.export.pt2_archive import CONSTANTS, MODEL, SAMPLE_INPUTS, WEIGHTS, pack, unpack
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature
from samebits.tasks.classification import Classification

Members = dict[str, bytes]


class Touch:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("good") / "model.pt2"
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 4 * 4, 3))
    inputs = ImageInputs(shape=[1, 6, 6], mean=[0.1], std=[0.3])
    signature = Signature(inputs=inputs, target=ClassTarget(classes=["a", "b", "c"]))
    serving = ServingModel(network, Classification(0.0), signature).eval()
    torch_export.export(serving, torch.zeros(2, 1, 6, 6, dtype=torch.uint8), path, {"labels": ["a", "b", "c"]})
    return path


def edit_json(name: str, change: Callable[[Any], None]) -> Callable[[Members], None]:
    def edit(members: Members) -> None:
        value = json.loads(members[name])
        change(value)
        members[name] = json.dumps(value).encode()

    return edit


def put(name: str, data: bytes) -> Callable[[Members], None]:
    return lambda members: members.__setitem__(name, data)


def first_node(value: Any) -> Any:
    return value["graph_module"]["graph"]["nodes"][0]


def first_tensor(value: Any) -> Any:
    return next(iter(value["graph_module"]["graph"]["tensor_values"].values()))


def first_entry(value: Any) -> Any:
    return next(iter(value["config"].values()))


def call(value: Any, target: str, text: str) -> None:
    node = first_node(value)
    node["target"] = target
    node["inputs"] = [{"name": "a", "arg": {"as_string": text}, "kind": 1}]


EDITS: dict[str, Callable[[Members], None]] = {
    "legacy weights": put("data/weights/model.pt", b"x"),
    "legacy constants": put("data/constants/model.pt", b"x"),
    "opaque object": put("data/constants/opaque_obj_0", b"x"),
    "torchbind object": put("data/constants/custom_obj_0", b"x"),
    "compiled library": put("data/aotinductor/model/model.so", b"\x7fELF"),
    "second model": put("models/other.json", b"{}"),
    "escaping name": put("../../evil", b"x"),
    "unknown extra": put("extra/run.py", b"import os"),
    "pickled weight": edit_json(WEIGHTS, lambda value: first_entry(value).update(use_pickle=True)),
    "pickled constant": edit_json(CONSTANTS, lambda value: first_entry(value).update(use_pickle=True)),
    "weight elsewhere": edit_json(
        WEIGHTS, lambda value: first_entry(value).update(path_name="../../models/model.json")
    ),
    "weight on a device": edit_json(
        WEIGHTS, lambda value: first_entry(value)["tensor_meta"].update(device={"type": "cuda", "index": 0})
    ),
    "os.system": edit_json(MODEL, lambda value: call(value, "torch.os.system", "id")),
    "torch.load": edit_json(MODEL, lambda value: call(value, "torch.load", "x.pt")),
    "aten.save": edit_json(MODEL, lambda value: call(value, "torch.ops.aten.save.default", "x")),
    "aten.from_file": edit_json(MODEL, lambda value: call(value, "torch.ops.aten.from_file.default", "x")),
    "methodcaller": edit_json(MODEL, lambda value: call(value, "_operator.methodcaller", "x")),
    "extension operator": edit_json(MODEL, lambda value: call(value, "#aoti:run", "x")),
    "other namespace": edit_json(MODEL, lambda value: call(value, "torch.ops.evil.run.default", "x")),
    "subgraph": edit_json(
        MODEL, lambda value: first_node(value)["inputs"].append({"name": "f", "arg": {"as_graph": {}}})
    ),
    "operator as argument": edit_json(
        MODEL, lambda value: first_node(value)["inputs"].append({"name": "f", "arg": {"as_operator": "torch.load"}})
    ),
    "guard": edit_json(MODEL, lambda value: value.update(guards_code=["__import__('os').system('id')"])),
    "guard that is a name": edit_json(MODEL, lambda value: value.update(guards_code=["exit"])),
    "placeholder that is code": edit_json(MODEL, lambda value: first_node(value).update(name="x):\n  import os\n")),
    "expression": edit_json(
        MODEL,
        lambda value: first_tensor(value)["sizes"].append(
            {"as_expr": {"expr_str": "__import__('os').system('id')", "hint": None}}
        ),
    ),
    "power tower": edit_json(
        MODEL, lambda value: first_tensor(value)["sizes"].append({"as_expr": {"expr_str": "9**9**9**9", "hint": None}})
    ),
    "metadata": edit_json(MODEL, lambda value: first_node(value).update(metadata={"torch_fn": "torch.load"})),
    "namedtuple": edit_json(
        MODEL, lambda value: value["graph_module"].update(treespec_namedtuple_fields={"os.system": ["a"]})
    ),
    "tree spec": edit_json(
        MODEL,
        lambda value: value["graph_module"]["module_call_graph"][0]["signature"].update(
            in_spec='[1, {"type": "collections.defaultdict", "context": "[\\"os.system\\"]", "children_spec": []}]'
        ),
    ),
    "nothing in it": lambda members: members.pop(MODEL) and None,
    "no JSON": put(MODEL, b"{"),
    "deep JSON": put(MODEL, b"[" * 100_000),
    "deep object": put(MODEL, b'{"graph_module":' + b"[" * 970 + b"]" * 970 + b"}"),
    "other version": put("archive_version", b"1"),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_could_run_code_is_refused(good: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    members = unpack(good.read_bytes())
    EDITS[name](members)
    bad = tmp_path / "model.pt2"
    bad.write_bytes(pack(members).getvalue())

    reached: list[object] = []
    monkeypatch.setattr(torch.export, "load", reached.append)
    with pytest.raises(UserError, match=r"model\.pt2"):
        torch_export.load_exported(bad)
    assert reached == []


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_malicious_pickle_runs_in_torch_and_not_here(good: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for proof, load in ((theirs, torch.export.load), (ours, torch_export.load_exported)):
        members = unpack(good.read_bytes())
        members[SAMPLE_INPUTS] = pickle.dumps(Touch(proof))
        bad = tmp_path / f"{proof.name}.pt2"
        bad.write_bytes(pack(members).getvalue())
        with pytest.raises((UserError, RuntimeError, AssertionError)) as caught:
            load(bad)
        assert proof.exists() == (proof is theirs)
    assert isinstance(caught.value, UserError)
    assert "is a pickle" in str(caught.value)


def test_plain_torch_export_archives_are_refused_for_their_pickle(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(2, 2), (torch.zeros(2, 2),))
    torch.export.save(program, tmp_path / "plain.pt2")
    with pytest.raises(UserError, match="refused"):
        torch_export.load_exported(tmp_path / "plain.pt2")


def rewrite(members: Members, *, compress: int = zipfile.ZIP_STORED, twice: str = "", root: str = "archive") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        for name, data in members.items():
            archive.writestr(f"{root}/{name}", data)
        if twice:
            archive.writestr(f"{root}/{twice}", b"x")
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", ["twice", "compressed", "truncated", "text", "empty", "missing"])
def test_archives_that_are_not_what_they_seem(good: Path, tmp_path: Path, case: str) -> None:
    members, data = unpack(good.read_bytes()), good.read_bytes()
    bad = tmp_path / "model.pt2"
    cases = {
        "twice": lambda: rewrite(members, twice=MODEL),
        "compressed": lambda: rewrite(members, compress=zipfile.ZIP_DEFLATED),
        "truncated": lambda: data[: len(data) // 2],
        "text": lambda: b"hello",
        "empty": lambda: b"",
    }
    if case in cases:
        bad.write_bytes(cases[case]())
    with pytest.raises(UserError):
        torch_export.load_exported(bad)


def test_flipped_bytes_never_escape_as_another_error(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    bad = tmp_path / "model.pt2"
    for at in range(0, len(data), max(1, len(data) // 40)):
        bad.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            torch_export.load_exported(bad)
        except UserError:
            continue


def test_the_archive_holds_no_pickle_and_no_path(good: Path) -> None:
    members = unpack(good.read_bytes())
    assert members[SAMPLE_INPUTS] == b""
    assert not any(data.startswith(b"\x80") for data in members.values())
    for word in (b"/home", b"/tmp", b"site-packages", b".py", b"stack_trace"):
        assert word not in members[MODEL]


def test_good_archive_loads_with_its_metadata_in_plain_torch_too(good: Path) -> None:
    program, metadata = torch_export.load_exported(good)
    assert metadata == {"labels": ["a", "b", "c"]}
    images = torch.randint(0, 256, (5, 1, 6, 6), dtype=torch.uint8)
    assert torch.equal(program.module()(images), torch.export.load(good).module()(images))
