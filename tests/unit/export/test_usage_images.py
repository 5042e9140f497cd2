"""The card of a model of image files says how a file becomes an input."""

from __future__ import annotations

from samebits.export.usage import usage
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature


def test_the_card_tells_how_a_file_is_read() -> None:
    inputs = ImageInputs(shape=[1, 16, 16], mean=[0.5], std=[0.2], value_range=[0.0, 4095.0])
    signature = Signature(inputs=inputs, target=ClassTarget(classes=["a", "b"]))
    text = "\n".join(usage(signature, {"onnx": {"file": "model.onnx"}}))
    assert "EXIF rotation is applied, transparency is laid on white" in text
    assert 'load_pixels(path, 1, (16, 16), "pad", value_range=[0.0, 4095.0])' in text


def test_the_card_reads_16_bits_as_the_model_takes_them() -> None:
    inputs = ImageInputs(shape=[5, 16, 24], bits=16, mean=[0.5] * 5, std=[0.2] * 5)
    signature = Signature(inputs=inputs, target=ClassTarget(classes=["a", "b"]))
    assert inputs.served == "16-bit 5-channel images of 24×16 pixels as raw pixels"
    text = "\n".join(usage(signature, {"onnx": {"file": "model.onnx"}}))
    assert 'load_pixels(path, 5, (24, 16), "pad", bits=16) for path in paths]).astype(numpy.int32)' in text
