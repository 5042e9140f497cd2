"""Export: files that serve the model without this code, checked against it before they are kept.

To add a format: write its module with `FILE`, `export(serving, example, path, metadata)` and `load(path)`, then add
its line to `EXPORTERS`. `FILE` may be a folder. Two more functions, where it needs them: `require(serving, metadata)`
refuses a model before anything is computed; `write_card(path, serving, metadata, scores)` adds a card to a folder.
"""

from __future__ import annotations

EXPORTERS = {
    "huggingface": "samebits.export.huggingface",
    "onnx": "samebits.export.onnx",
    "torch_export": "samebits.export.torch_export",
}
