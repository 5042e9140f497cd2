"""The card of a model of image files says how a file becomes an input."""

from __future__ import annotations

from samebits.export.usage import usage


def test_the_card_tells_how_a_file_is_read() -> None:
    inputs = {"kind": "image", "input": "images", "shape": [1, 16, 16], "resize": "pad", "value_range": [0.0, 4095.0]}
    metadata = {"preprocessing": inputs, "output": {"name": "probabilities"}, "task": "classification"}
    text = "\n".join(usage(metadata, {"onnx": {"file": "model.onnx"}}))
    assert "EXIF rotation is applied, transparency is laid on white" in text
    assert 'load_pixels(path, 1, (16, 16), "pad", value_range=[0.0, 4095.0])' in text


def test_the_card_reads_16_bits_as_the_model_takes_them() -> None:
    inputs = {"kind": "image", "input": "images", "dtype": "int32", "shape": [5, 16, 24], "resize": "pad", "bits": 16}
    metadata = {"preprocessing": inputs, "output": {"name": "probabilities"}, "task": "classification"}
    text = "\n".join(usage(metadata, {"onnx": {"file": "model.onnx"}}))
    assert 'load_pixels(path, 5, (24, 16), "pad", bits=16) for path in paths]).astype(numpy.int32)' in text
