"""What the `train` stage must set before torch starts, read from params.yaml. Imports nothing that imports torch."""

from __future__ import annotations

from pathlib import Path

from samebits.base.errors import UserError
from samebits.compute.arithmetic import portable_variables
from samebits.params.yaml_file import read_yaml


def arithmetic_variables(params_file: Path) -> dict[str, str]:
    """The variables of the arithmetic that a params.yaml asks for; nothing where the file cannot be read."""
    try:
        mode = read_yaml(params_file).get("reproducibility")
    except UserError:
        return {}  # the stage says it, when it reads all parameters
    return portable_variables(mode) if isinstance(mode, str) else {}
