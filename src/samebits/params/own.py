"""`data.own`: a Dataset of one's own (`data.format: own`)."""

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


class OwnDataParams(Section):
    """A class or function of your own that gives the samples.

    Attributes:
        file: the Python file, `custom/NAME.py`, on which the stage `prepare` depends.
        class_name: a class in it, such as a `torch.utils.data.Dataset`, or a function, such as a generator. It is
            called with the path of `data.source` and with `arguments`.
        arguments: more keyword arguments.
    """

    file: OwnFile = "custom/dataset.py"
    class_name: OwnName = "Samples"
    arguments: dict[str, Any] = Field(default={})
