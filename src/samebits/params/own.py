"""Code of the user's own that params.yaml names: a file of the folder `custom`, a class in it, and its arguments."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from samebits.params.section import Section, matching

OwnFile = Annotated[
    str,
    matching(r"custom/([A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.py", "a path as custom/mine.py, of letters, digits, _ and -"),
]
"""A file of the user's code."""

OwnName = Annotated[str, matching("[A-Za-z_][A-Za-z0-9_]*", "the name of a class")]
"""A class or a function in it."""


class OwnPart(Section):
    """A class or function of your own.

    Attributes:
        file: the Python file, `custom/NAME.py`.
        class_name: a class or function in it, also one that it imports, such as a loss of torch.nn.
        arguments: its keyword arguments.
    """

    file: OwnFile
    class_name: OwnName
    arguments: dict[str, Any] = Field(default={})


class OwnLoss(OwnPart):
    """A loss of your own, or of torch.nn.

    Attributes:
        file: the Python file, `custom/NAME.py`.
        class_name: a class or function in it, also one that it imports, such as a loss of torch.nn.
        arguments: its keyword arguments.
        batchwise: it is no mean over samples but a function of the whole batch, such as a contrastive loss; such a one
            needs a batch in one piece: no `train.micro_batch_size`, one process.
    """

    batchwise: bool = False


class OwnDataParams(OwnPart):
    """A class or function of your own that gives the samples.

    Attributes:
        file: the Python file, `custom/NAME.py`, on which the stage `prepare` depends.
        class_name: a class in it, such as a `torch.utils.data.Dataset`, or a function, such as a generator. It is
            called with the path of `data.source` and with `arguments`.
        arguments: more keyword arguments.
    """

    file: OwnFile = "custom/dataset.py"
    class_name: OwnName = "Samples"
