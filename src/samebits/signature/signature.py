"""What goes into a model and what comes out of it.

`prepare` fits it on the training split and writes it into `dataset.json`; the checkpoint and every exported file carry
it on, so that a model file alone says how to feed it and how to read its answers.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from samebits.base.errors import UserError
from samebits.params.section import Section


class ImageInputs(Section):
    """Images, uint8 or uint16 [C, H, W].

    Attributes:
        shape: [C, H, W].
        bits: of a stored value; left out where it is 8.
        mean: of each channel over the training split, of pixels scaled to [0, 1].
        std: likewise; the population's. 0 for a constant channel.
        resize: how files of another aspect ratio are brought to the shape (see `samebits.data.readers.image.pixels`).
        value_range: the values of image files of more than 8 bits that become 0 and `largest`; left out where it is the
            full range of 16 bits.
    """

    kind: Literal["image"] = "image"
    shape: list[int] = Field(min_length=3, max_length=3)
    bits: Literal[8, 16] = Field(default=8, exclude_if=lambda value: value == 8)
    mean: list[float]
    std: list[float]
    resize: Literal["pad", "crop", "stretch"] = "pad"
    value_range: list[float] | None = Field(
        default=None, min_length=2, max_length=2, exclude_if=lambda value: value is None
    )

    @property
    def largest(self) -> int:
        """The largest value of a pixel: 255 or 65,535."""
        return (1 << self.bits) - 1

    @property
    def mean_pixel(self) -> tuple[int, ...]:
        """The mean of each channel as a pixel value, 0 to `largest`."""
        return tuple(round(value * self.largest) for value in self.mean)


class TokenInputs(Section):
    """Texts as token numbers, stored as uint16 or int32 [length], shorter ones padded at the end.

    Attributes:
        length: tokens of the longest row; for a language model, of the context.
        vocabulary: number of different tokens.
        pad: the token that fills short rows up, or null where rows are all full.
        bytes_per_token: UTF-8 bytes of the text behind one token, the mean over the test split; for bits per byte.
        tokenizer_sha256: of `tokenizer.json`, which lies beside whatever holds this.
        column: the column or key that held the texts, where the data had such.
    """

    kind: Literal["tokens"] = "tokens"
    length: int = Field(ge=1)
    vocabulary: int = Field(ge=2)
    pad: int | None = None
    bytes_per_token: float | None = None
    tokenizer_sha256: str
    column: str | None = Field(default=None, exclude_if=lambda value: value is None)


DATE_PARTS = ("year", "month", "day", "weekday", "hour", "minute", "second", "day_of_year")
"""What a date is taken apart into; weekday counts from Monday = 0."""

TOKENIZER = "tokenizer.json"
"""Beside the shards, the checkpoint and the exported files of texts."""


class NumberColumn(Section):
    """A numeric column, or one part of a date. Missing values are NaN; they become `fill` and set an indicator.

    Attributes:
        name: of the column in the table; of a date, the date's column and the part (`when.hour`).
        mean, std: over the training split, missing values left out; std is 0 for a constant column.
        fill: what a missing value is taken for (the training split's median).
        missing: whether the training split has missing values, so that there is an indicator to learn from.
        edges: rising quantiles of the training split, the lowest and the highest value included.
        grouped: whether thousands are grouped in the numbers that it was made of.
        source: the date's column, where this is a part of one.
        part: which part.
        format: how the date is written, a strptime format; null: year first, as in ISO 8601.
    """

    kind: Literal["number"] = "number"
    name: str
    mean: float
    std: float = Field(ge=0.0)
    fill: float
    missing: bool = False
    edges: list[float] = Field(default=[])
    grouped: bool = False
    source: str | None = None
    part: Literal["year", "month", "day", "weekday", "hour", "minute", "second", "day_of_year"] | None = None
    format: str | None = None


class CategoryColumn(Section):
    """A column of categories, stored as codes: 0 for missing or unseen in training, k + 1 for `values[k]`."""

    kind: Literal["category"] = "category"
    name: str
    values: list[str]


class TableInputs(Section):
    """Rows of a table, float32 [columns]: numbers as they are (NaN where missing), categories as codes.

    Attributes:
        columns: in the order of a row.
        missing: texts that stand for a missing value.
        decimal: the decimal mark of numbers that are written as text.
        separator, quotes, encoding: of the CSV that it was made of, as in `data.csv` and `data.encoding`.
    """

    kind: Literal["table"] = "table"
    columns: list[Annotated[NumberColumn | CategoryColumn, Field(discriminator="kind")]] = Field(min_length=1)
    missing: list[str] = Field(default=[""])
    decimal: Literal[".", ","] = "."
    separator: str | None = None
    quotes: bool = True
    encoding: str | None = None

    @property
    def numbers(self) -> list[tuple[int, NumberColumn]]:
        """Place in a row and column, of the numbers."""
        return [(at, column) for at, column in enumerate(self.columns) if isinstance(column, NumberColumn)]

    @property
    def categories(self) -> list[tuple[int, CategoryColumn]]:
        """Place in a row and column, of the categories."""
        return [(at, column) for at, column in enumerate(self.columns) if isinstance(column, CategoryColumn)]


class ClassTarget(Section):
    """One of K classes; stored as int64 indices into `classes`."""

    kind: Literal["class"] = "class"
    classes: list[str] = Field(min_length=2)


class NumberTarget(Section):
    """A number; stored as float32, as it is. Models learn (value - mean) / std.

    Attributes:
        mean, std: over the training split.
    """

    kind: Literal["number"] = "number"
    name: str
    mean: float
    std: float = Field(gt=0.0)


class NextTokenTarget(Section):
    """The token that follows each token of the inputs. Stored rows hold one token more than the context."""

    kind: Literal["next_token"] = "next_token"


Inputs = Annotated[ImageInputs | TokenInputs | TableInputs, Field(discriminator="kind")]
Target = Annotated[ClassTarget | NumberTarget | NextTokenTarget, Field(discriminator="kind")]


class Signature(Section):
    """Inputs and target of a data set, and so of the models that it trains."""

    inputs: Inputs
    target: Target

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one stored sample."""
        if isinstance(self.inputs, ImageInputs):
            return tuple(self.inputs.shape)
        if isinstance(self.inputs, TokenInputs):
            return (self.inputs.length + isinstance(self.target, NextTokenTarget),)
        return (len(self.inputs.columns),)

    @property
    def row_dtype(self) -> str:
        """numpy name of the type of a stored sample, little-endian."""
        if isinstance(self.inputs, ImageInputs):
            return "|u1" if self.inputs.bits == 8 else "<u2"
        if isinstance(self.inputs, TokenInputs):
            return "<u2" if self.inputs.vocabulary <= 1 << 16 else "<i4"
        return "<f4"

    @property
    def target_dtype(self) -> str | None:
        """numpy name of the type of a stored target; None where the inputs hold it."""
        return {"class": "<i8", "number": "<f4", "next_token": None}[self.target.kind]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs; none where the target is no class."""
        return tuple(self.target.classes) if isinstance(self.target, ClassTarget) else ()

    @property
    def outputs(self) -> int:
        """Numbers that a model gives for one sample (for one position, where it predicts tokens)."""
        if isinstance(self.target, ClassTarget):
            return len(self.target.classes)
        if isinstance(self.target, NextTokenTarget):
            if not isinstance(self.inputs, TokenInputs):
                raise UserError("a next token can be predicted from tokens alone", "make the data again: dvc repro")
            return self.inputs.vocabulary
        return 1

    @property
    def images(self) -> ImageInputs:
        """The inputs, if they are images.

        Raises:
            UserError: if they are not.
        """
        if not isinstance(self.inputs, ImageInputs):
            raise _wrong_kind("images", self.inputs.kind)
        return self.inputs

    @property
    def tokens(self) -> TokenInputs:
        """The inputs, if they are tokens.

        Raises:
            UserError: if they are not.
        """
        if not isinstance(self.inputs, TokenInputs):
            raise _wrong_kind("tokens", self.inputs.kind)
        return self.inputs

    @property
    def table(self) -> TableInputs:
        """The inputs, if they are rows of a table.

        Raises:
            UserError: if they are not.
        """
        if not isinstance(self.inputs, TableInputs):
            raise _wrong_kind("rows of a table", self.inputs.kind)
        return self.inputs


_MODELS = {
    "image": "convnet, resnet9, resnet18 or another for images",
    "tokens": "bert or embedding_bag for classes, gpt for a language model",
    "table": "tabular",
}


def _wrong_kind(wanted: str, found: str) -> UserError:
    return UserError(
        f"the model takes {wanted}, the prepared data are of kind {found}",
        f"set model.name to one for such data ({_MODELS[found]}), or data.source to other data",
    )
