"""Arrays for people, arrays for models, and targets of several numbers: what each makes of values at their limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from samebits.base.errors import UserError
from samebits.data.readers.array.arrays import axis_statistics
from samebits.data.readers.own.values import as_array
from samebits.preprocess import build_preprocess
from samebits.signature.array import ArrayInputs
from samebits.signature.array_preview import array_picture, array_text
from samebits.signature.classes import ClassTarget
from samebits.signature.signature import Signature
from samebits.signature.vector import VectorTarget


def signature(values: np.ndarray) -> Signature:
    mean, std = axis_statistics(lambda rows: values[rows], np.arange(len(values)))
    inputs = ArrayInputs(shape=list(values.shape[1:]), stored_dtype=values.dtype.name, mean=mean, std=std)  # type: ignore[arg-type]
    return Signature(inputs=inputs, target=ClassTarget(classes=["a", "b"]))


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "float16", "float32"])
def test_a_model_sees_mean_0_and_deviation_1_of_each_channel(kind: str) -> None:
    values = np.random.default_rng(0).normal(100, 20, (500, 3, 4)).astype(kind)
    found = signature(values)
    seen = build_preprocess(found)(torch.from_numpy(found.inputs.used(values)))
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen.mean(dim=(0, 2)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.std(dim=(0, 2), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_large_whole_numbers_keep_their_differences() -> None:
    values = (2_000_000_000 + np.arange(8, dtype=np.int32)).reshape(8, 1)
    found = signature(values)
    seen = build_preprocess(found)(torch.from_numpy(values)).flatten()
    torch.testing.assert_close(seen.diff(), torch.full((7,), 1 / np.std(np.arange(8)), dtype=torch.float32))


def test_statistics_do_not_depend_on_how_many_arrays_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(3, 20, (100, 3, 7)).astype(np.float32)
    whole = axis_statistics(lambda rows: values[rows], np.arange(100))
    monkeypatch.setattr("samebits.data.readers.array.arrays._CHUNK_BYTES", 8 * 21 * 9)
    assert axis_statistics(lambda rows: values[rows], np.arange(100)) == whole


@pytest.mark.parametrize("shape", [(1,), (500,), (2, 50), (40, 9), (3, 20, 300), (2, 5, 6, 7), (4, 1)])
def test_any_array_has_a_picture_and_a_line(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    picture = array_picture(values)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert max(picture.shape) <= 96
    assert array_text(values).startswith(f"float32 [{', '.join(map(str, shape))}], ")
    array_picture(np.zeros(shape, dtype=np.int16))  # nothing to scale by


@pytest.mark.parametrize(
    ("mode", "kind", "channels"),
    [
        *((mode, "uint8", 1) for mode in ("1", "L", "LA")),
        *((mode, "uint8", 3) for mode in ("P", "CMYK", "RGB")),
        ("RGBA", "uint8", 4),
        ("I;16", "uint16", 1),
        ("I", "int32", 1),
        ("F", "float32", 1),
    ],
)
def test_pil_images(mode: str, kind: str, channels: int) -> None:
    found = as_array(Image.new(mode, (6, 5)))
    assert (found.dtype.name, found.shape) == (kind, (channels, 5, 6))


@pytest.mark.parametrize("value", ["1.5; -2", "1.5|-2", " 1.5  -2 ", [1.5, -2], (1.5, -2.0), np.array([1.5, -2])])
def test_a_vector(value: object) -> None:
    assert VectorTarget.accept(value) == (1.5, -2.0)


@pytest.mark.parametrize("value", ["", [], "1;nan", "1,5", [1e39], [[1.0]], 3.0, np.zeros((2, 2)), None])
def test_no_vector(value: object) -> None:
    with pytest.raises(ValueError, match=r"number|axis"):
        VectorTarget.accept(value)


def test_vectors_of_different_lengths() -> None:
    with pytest.raises(UserError, match="targets have 2 numbers, but 1 have 3"):
        VectorTarget.gather([(1.0, 2.0), (1.0, 3.0), (1.0, 2.0, 3.0)])
