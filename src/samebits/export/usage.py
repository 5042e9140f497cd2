"""The lines of a model card that use the model: from raw files to answers, without samebits.

They need onnxruntime, numpy and, as the inputs ask, Pillow or tokenizers. What they do with a file is not told twice: a
text's cleaning is inside `tokenizer.json`, and of images and tables the module that also prepares the training data
lies beside the model as a copy.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from samebits.signature.special_tokens import SEPARATORS

READERS = {
    "image": ("pixels.py", "samebits.data.readers.image.pixels"),
    "table": ("cells.py", "samebits.data.readers.cells"),
}
"""Kind of inputs -> name of the file beside the model, and the module that it is a copy of.

Such a module imports nothing but the standard library, numpy and Pillow.
"""


def reader_files(kind: str) -> dict[str, bytes]:
    """What lies beside a model of such inputs, by name."""
    if kind not in READERS:
        return {}
    name, module = READERS[kind]
    return {name: Path(str(import_module(module).__file__)).read_bytes()}


def usage(metadata: dict[str, Any], formats: dict[str, Any]) -> list[str]:
    """Markdown: how inputs are read, and a block of Python for each exported file.

    Args:
        metadata: what the exported files carry.
        formats: name -> entry with `file`; those of the export.
    """
    inputs, answer = metadata["preprocessing"], metadata["output"]["name"]
    name = inputs["input"]
    writes = metadata["task"] == "language_model"
    libraries, read = _prompt(inputs["length"]) if writes else _READ[inputs["kind"]](inputs)
    lines = []
    if inputs["kind"] == "image":
        lines += [
            "`pixels.py` reads a file as the training data were read. " + _how_images_are_read(),
            "",
        ]
    if "onnx" in formats:
        opened = [f'session = onnxruntime.InferenceSession("{formats["onnx"]["file"]}")']
        if inputs["kind"] == "table":
            opened += ['inputs = json.loads(session.get_modelmeta().custom_metadata_map["preprocessing"])']
        run = (
            _greedy(inputs["length"]) if writes else [f'{answer} = session.run(["{answer}"], {{"{name}": {name}}})[0]']
        )
        lines += _block([*libraries, "import onnxruntime", "", *opened, *read, *run])
        if writes:
            lines += ["The same, with sampling and texts of any length:", ""]
            lines += ["```", f'samebits generate "a prompt" --model {formats["onnx"]["file"]}', "```", ""]
    if "torch_export" in formats and not writes:
        opened = [f'program, metadata = load_exported(Path("{formats["torch_export"]["file"]}"))']
        known = "onnx" in formats
        if inputs["kind"] == "table" and not known:
            opened += ['inputs = metadata["preprocessing"]']
        lines += _block(
            [
                *([] if known else [line for line in libraries if line != "from pathlib import Path"]),
                "from pathlib import Path",
                "import torch",
                "from samebits.export.torch_export import load_exported  # refuses archives that could run code",
                "",
                *opened,
                *([f"# {name} as above"] if known else read),
                f"{answer} = program.module()(torch.from_numpy({name}))",
            ]
        )
    return lines


def _image(inputs: dict[str, Any]) -> tuple[list[str], list[str]]:
    channels, height, width = inputs["shape"]
    arguments = f'{channels}, ({width}, {height}), "{inputs["resize"]}"'
    if value_range := inputs.get("value_range"):
        arguments += f", value_range={value_range}"
    kind = ""
    if bits := inputs.get("bits"):
        arguments += f", bits={bits}"
        kind = f".astype(numpy.{inputs['dtype']})"
    return ["from pathlib import Path", "import numpy", "from pixels import load_pixels"], [
        'paths = [Path("first.png"), Path("second.png")]',
        f"images = numpy.stack([load_pixels(path, {arguments}) for path in paths]){kind}",
    ]


def _tokens(inputs: dict[str, Any]) -> tuple[list[str], list[str]]:
    return ["from pathlib import Path", "import numpy", "from tokenizers import Tokenizer"], [
        'texts = [Path(name).read_text(encoding="utf-8") for name in ("first.txt", "second.txt")]',
        'rows = Tokenizer.from_file("tokenizer.json").encode_batch(texts)',
        "tokens = numpy.array([row.ids for row in rows], dtype=numpy.int32)",
    ]


def _table(inputs: dict[str, Any]) -> tuple[list[str], list[str]]:
    return ["import csv", "import json", "import cells", "import numpy"], [
        "",
        "",
        "def value(text, column):",
        '    if column["kind"] == "category":',
        '        return column["values"].index(text) + 1 if text in column["values"] else 0',
        '    if text in inputs["missing"]:',
        "        return numpy.nan",
        '    if column["part"]:  # of a date',
        '        return cells.date_part(cells.moment(text, column["format"]), column["part"])',
        '    return cells.number(text, inputs["decimal"])',
        "",
        "",
        'with open("rows.csv", encoding="utf-8-sig", newline="") as file:',
        "    records = list(csv.DictReader(file))",
        'columns = [(column.get("source") or column["name"], column) for column in inputs["columns"]]',
        "cut = [[value(record[name].strip(), column) for name, column in columns] for record in records]",
        "rows = numpy.array(cut, dtype=numpy.float32)",
    ]


_READ = {"image": _image, "tokens": _tokens, "table": _table}
"""Kind of inputs -> imports, and lines that make the input of files."""


def _prompt(length: int) -> tuple[list[str], list[str]]:
    return ["import numpy", "from tokenizers import Tokenizer"], [
        'tokenizer = Tokenizer.from_file("tokenizer.json")',
        f"ends = [tokenizer.token_to_id(name) for name in {SEPARATORS}]",
        "ends = [token for token in ends if token is not None][:1]  # what stands between texts",
        'prompt = ends + tokenizer.encode("a prompt", add_special_tokens=False).ids',
        f"tokens, made = prompt[-{length}:], []",
    ]


def _greedy(length: int) -> list[str]:
    return [
        'layers, _, heads, _, size = next(each.shape for each in session.get_inputs() if each.name == "keys")',
        "keys = values = numpy.zeros((layers, 1, heads, 0, size), dtype=numpy.float32)",
        f"for _ in range(min(20, {length + 1} - len(tokens))):  # the model sees {length} tokens",
        '    given = {"tokens": numpy.array([tokens], dtype=numpy.int32), "keys": keys, "values": values}',
        "    logits, keys, values = session.run(None, given)",
        "    tokens = [int(logits[0, -1].argmax())]",
        "    if tokens == ends:",
        "        break",
        "    made += tokens",
        "text = tokenizer.decode(prompt + made)[len(tokenizer.decode(prompt)) :]",
    ]


def _how_images_are_read() -> str:
    """In the words of the function's documentation."""
    text = str(inspect.getdoc(import_module("samebits.data.readers.image.pixels").read_image))
    return " ".join(text.split("\n\n")[1].split())


def _block(lines: list[str]) -> list[str]:
    return ["```python", *lines, "```", ""]
