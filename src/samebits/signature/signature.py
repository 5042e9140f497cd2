"""What goes into a model and what comes out of it.

`prepare` fits it on the training split and writes it into `dataset.json`; the checkpoint and every exported file carry
it on, so that a model file alone says how to feed it and how to read its answers. To add a kind of inputs or of
target: write its class in a file here, add it to `Inputs` or `Target`.
"""

from __future__ import annotations

from typing import Annotated, TypeVar, get_args

from pydantic import Field

from samebits.base.errors import UserError
from samebits.params.section import Section
from samebits.signature.array import ArrayInputs
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.kind import InputKind
from samebits.signature.labels import LabelsTarget
from samebits.signature.mask import MaskTarget
from samebits.signature.next_token import NextTokenTarget
from samebits.signature.number import NumberTarget
from samebits.signature.table import TableInputs
from samebits.signature.tags import TagsTarget
from samebits.signature.target_kind import TargetKind
from samebits.signature.tokens import TokenInputs
from samebits.signature.vector import VectorTarget

Inputs = Annotated[ImageInputs | TokenInputs | TableInputs | ArrayInputs, Field(discriminator="kind")]
Target = Annotated[
    ClassTarget | LabelsTarget | MaskTarget | TagsTarget | NumberTarget | VectorTarget | NextTokenTarget,
    Field(discriminator="kind"),
]

INPUTS: dict[str, type[InputKind]] = {each.model_fields["kind"].default: each for each in get_args(get_args(Inputs)[0])}
TARGETS: dict[str, type[TargetKind]] = {
    each.model_fields["kind"].default: each for each in get_args(get_args(Target)[0])
}
"""By the name of the kind."""

_Kind = TypeVar("_Kind", bound=InputKind)


class Signature(Section):
    """Inputs and target of a data set, and so of the models that it trains."""

    inputs: Inputs
    target: Target

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one stored sample."""
        held = int(self.target.stored_dtype is None)  # a row that holds its target, too, is one longer
        first, *rest = self.inputs.row_shape
        return (first + held, *rest)

    @property
    def row_dtype(self) -> str:
        """numpy name of the type of a stored sample, little-endian."""
        return self.inputs.row_dtype

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs; none where the target is no class."""
        return self.target.labels

    @property
    def outputs(self) -> int:
        """Numbers that a model gives for one sample (for one position, where it predicts tokens)."""
        return self.target.width(self.inputs)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of a model's raw outputs for one sample of full length."""
        return self.target.output_shape(self.inputs)

    @property
    def images(self) -> ImageInputs:
        """The inputs, if they are images; else UserError."""
        return self._of(ImageInputs, "images")

    @property
    def arrays(self) -> ImageInputs | ArrayInputs:
        """The inputs, if they are images or other arrays; else UserError."""
        return self.inputs if isinstance(self.inputs, ArrayInputs) else self._of(ImageInputs, "images or arrays")

    @property
    def tokens(self) -> TokenInputs:
        """The inputs, if they are tokens; else UserError."""
        return self._of(TokenInputs, "tokens")

    @property
    def table(self) -> TableInputs:
        """The inputs, if they are rows of a table; else UserError."""
        return self._of(TableInputs, "rows of a table")

    def _of(self, kind: type[_Kind], shown: str) -> _Kind:
        if isinstance(self.inputs, kind):
            return self.inputs
        raise UserError(
            f"the model takes {shown}, the prepared data are of kind {self.inputs.kind}",
            f"set model.name to one for such data ({self.inputs.models}), or data.source to other data",
        )
