"""Export: files that serve the model without this code, checked against it before they are kept.

To add a format: write its module with `FILE`, `export(serving, example, path, metadata)` and `load(path)`, then add
its line to `EXPORTERS`.
"""

from __future__ import annotations

EXPORTERS = {
    "onnx": "samebits.export.onnx",
    "torch_export": "samebits.export.torch_export",
}
