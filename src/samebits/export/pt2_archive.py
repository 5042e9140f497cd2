"""Reading a `.pt2` archive (torch.export) without letting it run code.

`torch.export.load` trusts its file. In torch 2.14 an archive can run code in five ways: a pickle behind
`data/sample_inputs/*.pt`, a legacy `*.pt` or a `use_pickle` entry (when `weights_only=True` fails, torch falls back
to `weights_only=False`); TorchBind and opaque objects among the constants; compiled libraries below
`data/aotinductor/`; guards, names and tree specs, which become Python source that is executed; and operators named by
attribute path, so that `torch.os.system` is one. Size expressions go through `sympy.sympify`, which is `eval`.

So nothing is refused by a list of what is bad. A member, a string or an operator is accepted if it is of a kind that
our exporter writes, and what was accepted is packed into a new archive in memory: torch never sees the file, in which
another ZIP reader could find other members.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any, NoReturn

from samebits.base.errors import UserError

_FIX = "load archives that the export stage wrote; make it again (dvc repro export) or fetch it (dvc pull)"

MODEL = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
METADATA = "extra/metadata.json"
REQUIRED = (MODEL, SAMPLE_INPUTS, WEIGHTS, CONSTANTS, "archive_format", "archive_version")
_BOOKKEEPING = {"byteorder", ".data/version", ".data/serialization_id", ".format_version", ".storage_alignment"}
_TENSOR = re.compile(r"data/(weights/weight|constants/tensor)_\d{1,9}")

# Operators of ATen compute on tensors. These do something else: read or write files, print.
_ATEN = re.compile(r"torch\.ops\.aten\.[A-Za-z_]\w*\.[A-Za-z_]\w*", re.ASCII)
_ATEN_REFUSED = {"from_file", "save", "warn", "_print"}
_ARITHMETIC = {
    f"_operator.{name}"
    for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge", "getitem")
}

_NAME = re.compile(r"[A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*", re.ASCII)
_VERSION = re.compile(r"\d+(\.\d+)*[a-z0-9.]*(\+[a-z0-9.]+)?", re.ASCII)
_SIZE = r"Symbol\('[su]\d{1,9}'"
_EXPRESSION = re.compile(
    # A power of a size alone: of two long numbers it would be computed for ever.
    rf"(Pow\({_SIZE}, positive=True, integer=True\), Integer\([2-9]\)\)|{_SIZE}|Integer\(-?\d{{1,18}}|"
    r"(Add|Mul|Min|Max|Mod|PythonMod|FloorDiv|CleanDiv)\(|, positive=True|, integer=True|, |\)){1,200}",
    re.ASCII,
)
_FLOAT = re.compile(r"-?Infinity|NaN")
# Options of an operator: the equation of einsum, the approximation of gelu, a padding mode.
_OPTION = re.compile(r"[A-Za-z0-9_,.> -]{0,200}", re.ASCII)
_EMPTY = ("custom_obj_values", "treespec_namedtuple_fields", "guards_code")
_LEAF = '{"type": null, "context": null, "children_spec": []}'


def _tuple(*children: str) -> str:
    return f'{{"type": "builtins.tuple", "context": "null", "children_spec": [{", ".join(children)}]}}'


_NO_KEYWORDS = '{"type": "builtins.dict", "context": "[]", "children_spec": []}'
# Positional tensors in, one tensor or a tuple of them out, as torch's pytree writes it: one, or three with a cache.
_TREES = {
    *(f"[1, {_tuple(_tuple(*[_LEAF] * count), _NO_KEYWORDS)}]" for count in (1, 3)),
    *(f"[1, {tree}]" for tree in (_LEAF, _tuple(*[_LEAF] * 3))),
}
_TAGS = {
    *("as_tensor", "as_tensors", "as_optional_tensor", "as_optional_tensors", "as_none", "as_bool", "as_bools"),
    *("as_int", "as_ints", "as_float", "as_floats", "as_string", "as_scalar_type", "as_memory_format", "as_layout"),
    *("as_device", "as_sym_int", "as_sym_ints", "as_expr", "as_name", "as_sym_bool", "as_sym_float"),
}


def read_safely(path: Path) -> tuple[io.BytesIO, dict[str, Any]]:
    """Check an archive and pack what was accepted anew.

    Returns:
        the new archive, for `torch.export.load`, and the metadata of the exporter.

    Raises:
        UserError: if the file is missing, damaged, or holds anything that our exporter does not write.
    """
    members = _members(path)
    if members[SAMPLE_INPUTS]:
        _refuse(path, f"{SAMPLE_INPUTS} is a pickle; our exporter leaves it empty")
    try:
        _check_model(path, _json(path, members, MODEL))
        for name, folder in ((WEIGHTS, "data/weights/"), (CONSTANTS, "data/constants/")):
            _check_payload(path, name, _json(path, members, name), folder, members)
        metadata = _json(path, members, METADATA) if METADATA in members else {}
    except RecursionError:
        _refuse(path, "its JSON is nested too deeply")
    return pack(members), metadata


def pack(members: dict[str, bytes]) -> io.BytesIO:
    """An archive with these members, by torch's own writer, in the order of the dictionary."""
    from torch.export.pt2_archive._package import PT2ArchiveWriter

    buffer = io.BytesIO()
    with PT2ArchiveWriter(buffer) as writer:
        for name, data in members.items():
            writer.write_bytes(name, data)
    buffer.seek(0)
    return buffer


def unpack(data: bytes) -> dict[str, bytes]:
    """Members by name without the archive's root folder, without torch's bookkeeping.

    Raises:
        zipfile.BadZipFile: if it is no archive, or a member is damaged.
        ValueError: for two members of one name, more than one root folder, or compressed members.
    """
    members: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        root = entries[0].filename.partition("/")[0] if entries else ""
        if sum(entry.file_size for entry in entries) > len(data):
            raise ValueError("its members are larger than the file")
        for entry in entries:
            folder, _, name = entry.filename.partition("/")
            if folder != root or name in members:
                raise ValueError(f"member {entry.filename!r} is out of place")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"member {entry.filename!r} is compressed")
            if name not in _BOOKKEEPING:
                members[name] = archive.read(entry)
    return members


def _members(path: Path) -> dict[str, bytes]:
    try:
        members = unpack(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", _FIX) from None
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path} is no undamaged .pt2 archive: {error}", _FIX) from None
    for name in REQUIRED:
        if name not in members:
            _refuse(path, f"{name} is missing")
    for name in members:
        if name not in REQUIRED and name != METADATA and not _TENSOR.fullmatch(name):
            _refuse(path, f"it holds {name!r}, which our exporter does not write and which could run code")
    if members["archive_format"] != b"pt2" or members["archive_version"] != b"0":
        _refuse(path, "it is of another version of the format")
    return members


def _json(path: Path, members: dict[str, bytes], name: str) -> dict[str, Any]:
    try:
        value = json.loads(members[name])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: {name} is not valid JSON: {error}", _FIX) from None
    if not isinstance(value, dict):
        _refuse(path, f"{name} is not a JSON object")
    return value


def _check_payload(path: Path, name: str, value: dict[str, Any], folder: str, members: dict[str, bytes]) -> None:
    entries = value.get("config")
    if set(value) != {"config"} or not isinstance(entries, dict):
        _refuse(path, f"{name} is malformed")
    for tensor, entry in entries.items():
        if not isinstance(entry, dict) or entry.get("use_pickle") is not False:
            _refuse(path, f"{name}: {tensor!r} is a pickle")
        file = folder + str(entry.get("path_name"))
        if not _TENSOR.fullmatch(file) or file not in members or not isinstance(entry.get("tensor_meta"), dict):
            _refuse(path, f"{name}: {tensor!r} is no plain tensor")
        if entry["tensor_meta"].get("device") != {"type": "cpu", "index": None}:
            _refuse(path, f"{name}: {tensor!r} is not on the CPU")
    _check_strings(path, name, value)


def _check_model(path: Path, value: dict[str, Any]) -> None:
    _check_strings(path, MODEL, value)
    program = value.get("graph_module")
    graph = program.get("graph") if isinstance(program, dict) else None
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        _refuse(path, f"{MODEL} holds no graph")
    for node in nodes:
        target = str(node.get("target"))
        known = target in _ARITHMETIC or (
            _ATEN.fullmatch(target) is not None and target.split(".")[3] not in _ATEN_REFUSED
        )
        if not known:
            _refuse(path, f"its graph calls {target!r}, which is no operator on tensors")


def _check_strings(path: Path, where: str, value: Any, key: str = "") -> None:
    """Every string is a dotted name, a version, a size expression, an option or a known tree; `metadata` is empty."""
    if isinstance(value, dict):
        if key == "metadata" and value:
            _refuse(path, f"{where}: metadata is not empty")
        for name, part in value.items():
            if name.startswith("as_") and name not in _TAGS:
                _refuse(path, f"{where}: an argument of kind {name!r}")
            if name in _EMPTY and part:
                _refuse(path, f"{where}: {name} is not empty")
            _check_strings(path, where, name)
            _check_strings(path, where, part, name)
    elif isinstance(value, list):
        for part in value:
            _check_strings(path, where, part, key)
    elif isinstance(value, str):
        patterns = {"expr_str": _EXPRESSION, "torch_version": _VERSION, "as_float": _FLOAT, "as_floats": _FLOAT}
        patterns |= {"as_string": _OPTION, "as_strings": _OPTION}
        known = value in _TREES if key in {"in_spec", "out_spec"} else patterns.get(key, _NAME).fullmatch(value)
        if not known:
            _refuse(path, f"{where}: {key or 'a name'} is {value[:60]!r}")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise UserError(f"{path} is refused: {reason}", _FIX)
