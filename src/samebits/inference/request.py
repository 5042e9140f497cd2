"""What `samebits predict` is asked, whatever the model takes.

The module of `samebits.inference` that a kind of inputs, or of target, names in `predictor` has `NOUN`, what it is
asked about; `OPTIONS`, those of the command that it has; and `answer(request, opened)`, which gives the answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.result import Result
from samebits.inference.session import open_model

TOP = 3
"""Classes that are given for one sample."""


@dataclass(frozen=True)
class Request:
    """The command's arguments.

    Attributes:
        model: an .onnx file of the export stage.
        files: to answer for.
        text: texts as they are.
        lines: a file with a text a line.
        top: how many classes to give; None: as many as usual.
        invert: whether light and dark are swapped first.
        output: a file or a folder to write to; None: the answers are printed.
    """

    model: Path
    files: tuple[Path, ...] = ()
    text: tuple[str, ...] = ()
    lines: Path | None = None
    top: int | None = None
    invert: bool = False
    output: Path | None = None

    @property
    def classes(self) -> int:
        """How many classes to give."""
        return TOP if self.top is None else self.top


def predict(request: Request) -> Result:
    """The answers, by the module for the model's kind.

    Raises:
        UserError: for a model that cannot be used, an option that is not for its kind, or files that cannot be read.
    """
    from samebits.signature.signature import INPUTS

    opened = open_model(request.model)
    _, metadata = opened
    name = metadata["target"].predictor or INPUTS[metadata["preprocessing"].get("kind", "image")].predictor
    module = import_module(f"samebits.inference.{name}")
    for option in ("text", "lines", "top", "invert", "output"):
        if getattr(request, option) not in (None, False, ()) and option not in module.OPTIONS:
            raise UserError(
                f"--{option} is not for {module.NOUN}", "leave it out; samebits predict --help says what it is for"
            )
    answers: Result = module.answer(request, opened)
    return answers
