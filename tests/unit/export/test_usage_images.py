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
