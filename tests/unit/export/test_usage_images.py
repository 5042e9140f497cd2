"""The card of a model of image files says how a file becomes an input."""

from __future__ import annotations

from samebits.export.usage import usage


def test_the_card_tells_how_a_file_is_read() -> None:
    inputs = {"kind": "image", "input": "images", "shape": [1, 16, 16], "resize": "pad", "value_range": [0.0, 4095.0]}
    metadata = {"preprocessing": inputs, "output": {"name": "probabilities"}, "task": "classification"}
    text = "\n".join(usage(metadata, {"onnx": {"file": "model.onnx"}}))
    assert "EXIF rotation is applied, transparency is laid on white" in text
    assert 'load_pixels(path, 1, (16, 16), "pad", value_range=[0.0, 4095.0])' in text
