"""Images of every kind, on a model whose answer shows what it was given; no torch is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

import samebits
from samebits.base.errors import UserError
from samebits.inference.answer import Answers
from samebits.inference.image import classify, load_image

LABELS = ["left", "right", "top"]


def brightness_model(path: Path, shape: tuple[int, int, int] = (1, 8, 8), mean: float = 0.1, **metadata: Any) -> Path:
    """Softmax over the brightness of the left half, the right half, and the top quarter."""
    channels, height, width = shape
    weights = np.zeros((channels, height, width, 3), dtype=np.float32)
    deep = metadata.get("preprocessing", {}).get("bits") == 16
    weights[:, :, : width // 2, 0] = weights[:, :, width // 2 :, 1] = 1 / (65535 if deep else 255)
    weights[:, : height // 4, :, 2] = 1 / (65535 if deep else 255)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["pixels"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
        ],
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.INT32 if deep else TensorProto.UINT8, ["batch", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor("weights", TensorProto.FLOAT, [channels * height * width, 3], weights.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    known = {"labels": LABELS, "preprocessing": {"shape": list(shape), "mean": [mean] * channels}} | metadata
    for key, value in known.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    onnx.save(model, str(path))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return brightness_model(tmp_path / "model.onnx")


def left_bright(size: int = 16) -> np.ndarray:
    pixels = np.zeros((size, size), dtype=np.uint8)
    pixels[:, : size // 2] = 200
    return pixels


def test_a_model_is_a_function_of_images(model: Path, tmp_path: Path) -> None:
    pixels = left_bright()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    told = classify([tmp_path / "a.png"], model=model)[0]
    ask = samebits.load(model)
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels), pixels, pixels[None]):
        assert ask(given).top() == told.classes
    assert ask([pixels, pixels])[1].label == told.classes[0][0]
    for wrong, why in ((tmp_path / "b.png", "does not exist"), (np.zeros((2, 3, 4, 5)), "shape"), (None, "no image")):
        with pytest.raises(UserError, match=why):
            ask(wrong)


def test_classes_come_by_probability_with_their_labels(model: Path, tmp_path: Path) -> None:
    Image.fromarray(left_bright()).save(tmp_path / "a.png")
    Image.fromarray(left_bright()[:, ::-1].copy()).save(tmp_path / "b.png")
    first, second = classify([tmp_path / "a.png", tmp_path / "b.png"], model=model, top=2)
    assert [label for label, _ in first.classes] == ["left", "top"]
    assert second.classes[0][0] == "right"
    assert first.classes[0][1] > 0.99


def test_one_line_an_image_is_printed(model: Path, tmp_path: Path) -> None:
    Image.fromarray(left_bright()).save(tmp_path / "a.png")
    answers = Answers(classify([tmp_path / "a.png"], model=model, top=1))
    assert list(answers.lines()) == [f"{tmp_path / 'a.png'}: left 100.0%"]
    (found,) = answers.json()["predictions"]
    assert found["name"] == str(tmp_path / "a.png")
    assert [each["label"] for each in found["classes"]] == ["left"]


def save_as(path: Path, kind: str) -> None:
    grey = Image.fromarray(left_bright())
    if kind == "I;16":
        Image.fromarray(left_bright().astype(np.uint16) * 257).save(path.with_suffix(".png"))
    elif kind == "P":
        grey.convert("RGB").quantize(8).save(path.with_suffix(".png"))
    elif kind == "1":
        grey.point(lambda value: 255 * (value > 100)).convert("1").save(path.with_suffix(".png"))
    elif kind == "gif":
        grey.save(path.with_suffix(".gif"), save_all=True, append_images=[Image.new("L", grey.size)])
    elif kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6  # shown turned by 90 degrees clockwise
        grey.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".jpg"), exif=exif, quality=95)
    else:
        suffix = ".jpg" if kind in {"CMYK", "YCbCr"} else ".png"
        grey.convert("RGB").convert(kind).save(path.with_suffix(suffix))


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK", "YCbCr", "I;16", "gif", "exif"])
def test_every_mode_gives_the_same_picture(kind: str, tmp_path: Path) -> None:
    save_as(tmp_path / "image", kind)
    (file,) = tmp_path.glob("image.*")
    pixels = load_image(file, 1, (8, 8))[0].astype(int)
    bright = {"1": 255}.get(kind, 200)
    assert abs(pixels[:, :4] - bright).max() <= 6
    assert abs(pixels[:, 4:]).max() <= 6


def test_deep_images_are_scaled_as_in_training(tmp_path: Path) -> None:
    inputs = {"shape": [1, 8, 8], "mean": [0.1], "value_range": [-1.0, 1.0]}
    model = brightness_model(tmp_path / "model.onnx", preprocessing=inputs)
    Image.fromarray(left_bright().astype(np.float32) / 100 - 1).save(tmp_path / "a.tiff")
    (found,) = classify([tmp_path / "a.tiff"], model=model)
    assert found.classes[0][0] == "left"
    with pytest.raises(UserError, match="no range of their own"):
        classify([tmp_path / "a.tiff"], model=brightness_model(tmp_path / "other.onnx"))


def test_16_bits_are_served_as_they_are(tmp_path: Path) -> None:
    inputs = {"shape": [1, 8, 12], "mean": [0.1], "bits": 16}
    model = brightness_model(tmp_path / "model.onnx", (1, 8, 12), preprocessing=inputs)
    pixels = left_bright()[:, :12].astype(np.uint16) * 257
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", pixels)
    first, second = classify([tmp_path / "a.png", tmp_path / "a.npy"], model=model)
    assert first.classes[0][0] == "left"
    assert first.classes == second.classes
    assert "its background is light" in first.notes[0]
    assert classify([tmp_path / "a.png"], model=model, invert=True)[0].classes[0][0] == "right"
    np.save(tmp_path / "dark.npy", 65535 - pixels)
    assert classify([tmp_path / "dark.npy"], model=model)[0].notes == ()
    Image.fromarray(left_bright()).save(tmp_path / "shallow.png")
    with pytest.raises(UserError, match="it has 8 bits, not 16"):
        classify([tmp_path / "shallow.png"], model=model)


def test_arrays_of_many_channels(tmp_path: Path) -> None:
    model = brightness_model(tmp_path / "model.onnx", (5, 8, 12))
    pixels = np.repeat(left_bright()[None, :8, :12], 5, axis=0)
    np.save(tmp_path / "first.npy", pixels)
    np.save(tmp_path / "last.npy", pixels.transpose(1, 2, 0))
    first, last = classify([tmp_path / "first.npy", tmp_path / "last.npy"], model=model)
    assert first.classes[0][0] == "left"
    assert first.classes == last.classes
    np.save(tmp_path / "four.npy", pixels[:4])
    with pytest.raises(UserError, match=r"its shape is \[4, 8, 12\], not \[height, width, 5\]"):
        classify([tmp_path / "four.npy"], model=model)


def test_floats_have_no_agreed_range(tmp_path: Path) -> None:
    Image.fromarray(left_bright().astype(np.float32)).save(tmp_path / "image.tiff")
    with pytest.raises(UserError, match="no range of their own"):
        load_image(tmp_path / "image.tiff", 1, (8, 8))


def test_colour_goes_to_three_channels_in_order(tmp_path: Path) -> None:
    Image.new("RGB", (5, 5), (10, 120, 250)).save(tmp_path / "c.png")
    pixels = load_image(tmp_path / "c.png", 3, (4, 4))
    assert pixels.shape == (3, 4, 4)
    assert pixels[:, 0, 0].tolist() == [10, 120, 250]


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "t.png")
    assert load_image(tmp_path / "t.png", 1, (4, 4)).min() == 255


def test_shrinking_takes_the_mean_of_the_area(tmp_path: Path) -> None:
    checks = (np.indices((16, 16)).sum(axis=0) % 2 * 200).astype(np.uint8)
    Image.fromarray(checks).save(tmp_path / "checks.png")
    assert set(load_image(tmp_path / "checks.png", 1, (4, 4)).ravel().tolist()) == {100}


def test_a_fitting_image_is_taken_as_it_is(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(pixels).save(tmp_path / "same.png")
    assert (load_image(tmp_path / "same.png", 1, (8, 8))[0] == pixels).all()


def test_the_aspect_ratio_stays_and_the_border_colour_fills(tmp_path: Path) -> None:
    pixels = np.full((4, 8), 50, dtype=np.uint8)
    pixels[1:3, 2:6] = 250
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    out = load_image(tmp_path / "wide.png", 1, (8, 8))[0]
    assert (out[:2] == 50).all()
    assert (out[6:] == 50).all()
    assert (out[3:5, 2:6] == 250).all()


def test_a_light_background_is_noted_and_can_be_inverted(model: Path, tmp_path: Path) -> None:
    paper = np.full((16, 16), 255, dtype=np.uint8)
    paper[4:12, 2:7] = 0
    Image.fromarray(paper).save(tmp_path / "paper.png")
    (said,) = classify([tmp_path / "paper.png"], model=model)
    assert any("--invert" in note for note in said.notes)
    (inverted,) = classify([tmp_path / "paper.png"], model=model, invert=True)
    assert inverted.notes == ()
    assert inverted.classes[0][0] == "left"
    assert any("note: " in line for line in Answers([said]).lines())


def test_a_flat_image_is_noted(model: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 8), 7).save(tmp_path / "flat.png")
    assert "flat colour" in classify([tmp_path / "flat.png"], model=model)[0].notes[0]


def test_all_bad_images_are_named_at_once(model: Path, tmp_path: Path) -> None:
    Image.fromarray(left_bright(64)).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    names = ["good.png", "truncated.png", "empty.png", "text.jpg", "folder.png", "missing.png"]
    with pytest.raises(UserError) as caught:
        classify([tmp_path / name for name in names], model=model)
    said = str(caught.value)
    assert "5 of 6 images" in said
    assert all(str(tmp_path / name) in said for name in names[1:])
    assert "good.png" not in said
    assert "does not exist" in said
    assert "is a folder" in said
    assert "no image" in said


def test_bombs_and_slivers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.data.readers.image.pixels.LARGEST_PIXELS", 1000)
    Image.new("L", (40, 40)).save(tmp_path / "bomb.png")
    Image.new("L", (900, 1)).save(tmp_path / "sliver.png")
    with pytest.raises(UserError, match="40x40 pixels are more than"):
        load_image(tmp_path / "bomb.png", 1, (8, 8))
    with pytest.raises(UserError, match="900x1 pixels are too long"):
        load_image(tmp_path / "sliver.png", 1, (8, 8))


def test_models_that_cannot_be_used_name_the_fix(tmp_path: Path) -> None:
    Image.fromarray(left_bright()).save(tmp_path / "a.png")
    (tmp_path / "text.onnx").write_text("hello")
    brightness_model(tmp_path / "many.onnx", (17, 8, 8))
    strange = onnx.load(str(brightness_model(tmp_path / "bare.onnx")))
    del strange.metadata_props[:]
    onnx.save(strange, str(tmp_path / "bare.onnx"))
    cases = {
        "none.onnx": "does not exist",
        "text.onnx": "no ONNX model",
        "bare.onnx": "metadata",
        "many.onnx": "1 to 16 channels",
    }
    for name, message in cases.items():
        with pytest.raises(UserError, match=message):
            classify([tmp_path / "a.png"], model=tmp_path / name)


@pytest.mark.parametrize(("paths", "top"), [([], 3), ([Path("a.png")], 0)])
def test_nothing_to_do_is_an_error(model: Path, paths: list[Path], top: int) -> None:
    with pytest.raises(UserError):
        classify(paths, model=model, top=top)


def test_torch_is_not_imported(model: Path, tmp_path: Path) -> None:
    Image.fromarray(left_bright()).save(tmp_path / "a.png")
    program = (
        "import sys; from pathlib import Path; from samebits.inference.image import classify; "
        "classify([Path(sys.argv[1])], model=Path(sys.argv[2])); "
        "assert not {'torch', 'mlflow', 'dvc'} & set(sys.modules), 'heavy import'"
    )
    source = Path(__file__).resolve().parents[3] / "src"
    command = [sys.executable, "-c", program, str(tmp_path / "a.png"), str(model)]
    done = subprocess.run(command, check=False, env={"PYTHONPATH": str(source)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_image_beyond_pillows_own_limit_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(file)
    with pytest.raises(UserError, match=r"bomb\.png: it has more than 100,000,000 pixels"):
        load_image(file, 1, (8, 8))


def test_a_folder_as_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        classify([tmp_path / "x.png"], model=tmp_path)
