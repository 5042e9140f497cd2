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

from samebits.signature.kind import InputKind, ReadingCode
from samebits.signature.signature import Signature
from samebits.signature.special_tokens import SEPARATORS

READERS = {"pixels.py": "samebits.data.readers.image.pixels", "cells.py": "samebits.data.readers.cells"}
"""File beside a model -> the module that it is a copy of. It imports the standard library, numpy and Pillow alone."""


def reader_files(inputs: InputKind | type[InputKind]) -> dict[str, bytes]:
    """The copy of the module that reads files, which lies beside a model, by name."""
    if (name := inputs.reader) is None:
        return {}
    return {name: Path(str(import_module(READERS[name]).__file__)).read_bytes()}


def usage(signature: Signature, formats: dict[str, Any]) -> list[str]:
    """Markdown: how inputs are read, and a block of Python for each exported file.

    Args:
        formats: name -> entry with `file`; those of the export.
    """
    inputs = signature.inputs
    name, answer, writes = inputs.input_name, signature.target.output_name, signature.target.generates
    code = _prompt(signature.tokens.length) if writes else signature.target.reading_code(inputs)
    after = signature.target.answer_code(inputs)
    lines = []
    if code.documented:
        lines += [f"`{inputs.reader}` reads a file as the training data were read. {_how(inputs, code)}", ""]
    if "onnx" in formats:
        opened = [f'session = onnxruntime.InferenceSession("{formats["onnx"]["file"]}")']
        if code.metadata:
            opened += ['inputs = json.loads(session.get_modelmeta().custom_metadata_map["preprocessing"])']
        run = (
            _greedy(signature.tokens.length)
            if writes
            else [f'{answer} = session.run(["{answer}"], {{"{name}": {name}}})[0]', *after]
        )
        imports = [*(["import json"] if after else []), *code.imports]
        lines += _block([*imports, "import onnxruntime", "", *opened, *code.read, *run])
        if writes:
            lines += ["The same, with sampling and texts of any length:", ""]
            lines += ["```", f'samebits generate "a prompt" --model {formats["onnx"]["file"]}', "```", ""]
    if "torch_export" in formats and not writes:
        opened = [f'program, metadata = load_exported(Path("{formats["torch_export"]["file"]}"))']
        known = "onnx" in formats
        if code.metadata and not known:
            opened += ['inputs = metadata["preprocessing"]']
        lines += _block(
            [
                *([] if known else [line for line in code.imports if line != "from pathlib import Path"]),
                "from pathlib import Path",
                "import torch",
                "from samebits.export.torch_export import load_exported  # refuses archives that could run code",
                "",
                *opened,
                *([f"# {name} as above"] if known else code.read),
                f"{answer} = program.module()(torch.from_numpy({name}))",
            ]
        )
    if "huggingface" in formats:
        lines += [f"`{formats['huggingface']['file']}` is a folder for transformers: its README.md says how.", ""]
    return lines


def _prompt(length: int) -> ReadingCode:
    read = [
        'tokenizer = Tokenizer.from_file("tokenizer.json")',
        f"ends = [tokenizer.token_to_id(name) for name in {SEPARATORS}]",
        "ends = [token for token in ends if token is not None][:1]  # what stands between texts",
        'prompt = ends + tokenizer.encode("a prompt", add_special_tokens=False).ids',
        f"tokens, made = prompt[-{length}:], []",
    ]
    return ReadingCode(["import numpy", "from tokenizers import Tokenizer"], read)


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


def _how(inputs: InputKind, code: ReadingCode) -> str:
    """In the words of the function's documentation."""
    text = str(inspect.getdoc(getattr(import_module(READERS[str(inputs.reader)]), code.documented)))
    return " ".join(text.split("\n\n")[1].split())


def _block(lines: list[str]) -> list[str]:
    return ["```python", *lines, "```", ""]
