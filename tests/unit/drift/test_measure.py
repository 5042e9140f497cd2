"""What is measured of samples, by kind."""

from __future__ import annotations

import numpy as np
import pytest

from samebits.drift.measure import kind_of
from samebits.signature.array import ArrayInputs
from samebits.signature.image import ImageInputs
from samebits.signature.table import CategoryColumn, NumberColumn, TableInputs
from samebits.signature.tokens import TokenInputs


@pytest.mark.parametrize(("bits", "dtype", "largest"), [(8, np.uint8, 255), (16, np.int32, 65535)])
def test_of_images_light_contrast_sharpness_and_colours(bits: int, dtype: type, largest: int) -> None:
    inputs = ImageInputs(shape=[3, 2, 2], mean=[0.5] * 3, std=[0.1] * 3, bits=bits)
    rows = np.zeros((2, 3, 2, 2), dtype=dtype)
    rows[1, 0] = largest  # red
    rows[1, 1, :, 1] = largest  # green, the right half
    found = {name: each.values.tolist() for name, each in kind_of(inputs).measure(rows, ()).items()}
    assert found["brightness"] == [0.0, 0.5]
    assert found["contrast"] == [0.0, 0.5]
    assert found["sharpness"] == pytest.approx([0.0, 2 / 12])
    assert [found[name][1] for name in ("red", "green", "blue")] == [1.0, 0.5, 0.0]


def test_of_a_table_its_columns() -> None:
    number = NumberColumn(name="age", mean=0.0, std=1.0, fill=0.0)
    inputs = TableInputs(columns=[number, CategoryColumn(name="town", values=["Bern", "Rome"])])
    found = kind_of(inputs).measure(np.array([[np.nan, 0], [7, 2]], dtype=np.float32), ())
    assert np.isnan(found["age"].values).tolist() == [True, False]
    assert [found["town"].names[code] for code in found["town"].values] == ["(missing or unknown)", "Rome"]


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ([2, 5], ["[0] mean", "[0] std", "[0] min", "[0] max", "[1] mean", "[1] std", "[1] min", "[1] max"]),
        ([3], ["[0]", "[1]", "[2]"]),
        ([1, 5], ["mean", "std", "min", "max"]),
        ([100], ["mean", "std", "min", "max"]),
    ],
)
def test_of_arrays_each_channel_unless_there_are_too_many(shape: list[int], names: list[str]) -> None:
    inputs = ArrayInputs(shape=shape, stored_dtype="float32", mean=[0.0] * shape[0], std=[1.0] * shape[0])
    rows = np.arange(2 * np.prod(shape), dtype=np.float32).reshape(2, *shape)
    found = kind_of(inputs).measure(rows, ())
    assert list(found) == names
    first = next(iter(found.values())).values
    assert first.tolist() == [rows[k, 0].mean() if len(names) != 4 else rows[k].mean() for k in range(2)]


def test_of_texts_length_and_how_rare_the_tokens_are_in_training() -> None:
    inputs = TokenInputs(length=4, vocabulary=6, pad=0, tokenizer_sha256="0" * 64)
    kind = kind_of(inputs)
    trained_on = np.array([[1, 1, 2, 0], [1, 2, 1, 1]] * 100 + [[3, 0, 0, 0]], dtype=np.uint16)
    counts = kind.token_counts(trained_on).tolist()
    assert counts == [0, 500, 200, 1, 0, 0]
    found = {k: v.values for k, v in kind.measure(np.array([[1, 2, 0, 0], [3, 5, 4, 5]]), counts).items()}
    assert found["length in tokens"].tolist() == [2.0, 4.0]
    assert found["rare tokens"].tolist() == [0.0, 1.0]
    common, unknown = found["bits per token"]
    assert common < 2
    assert unknown > 8
    # Padding counts for nothing.
    wider = kind.measure(np.array([[1, 2, 0, 0, 0, 0]]), counts)["bits per token"].values
    assert wider == found["bits per token"][:1]
