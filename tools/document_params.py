"""docs/parameters.md from the sections' own docstrings and defaults, so that it cannot go stale.

`python -m tools.generate --write` writes it.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from samebits.params.schema import NAMED, SECTIONS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "parameters.md"

HEAD = """\
# Parameters

Every key of `params.yaml`, from the code that reads it (`make generate` writes this page). A key that is left out has
its default. The file is YAML 1.2, as DVC reads it: `1e-3` is a number. A wrong key or value stops a stage before it
touches data, with every problem of the file in one message and exit code 2.

`seed` (default 0) is the seed of everything random: initial weights, order, augmentation, dropout.
`reproducibility` is `strict` (default: an operation without a deterministic implementation stops the run), `warn`,
`off`, or `portable` or `portable-v4`: as strict, and the same bits on every x86-64 processor with AVX2, or AVX-512
([how](reproducibility.md#portable-the-same-bits-on-every-x86-64-processor)).

DVC re-runs the stages that read a changed section:

| section | prepare | train | evaluate | export |
|---|---|---|---|---|
| `data` | runs | if the data changed | then, too | then, too |
| `seed`, `reproducibility`, `task`, `model`, `augment`, `train`, `transfer` \
| | runs | if the model changed | then, too |
| `calibration` | | | runs | if its result changed |
| `evaluate` | | | runs | if the calibration changed |
| `export` | | | | runs |
| `runtime` | | | | |

## Another optimizer, another model

`dvc exp run -S train.optimizer.name=adamw` and `-S model.name=resnet9` change the name alone. Keys that both variants
have keep their value; those of the former one stay in the file, are not read, and the stage says so. That holds as long
as the section is the former variant's in every other key. A single key of another variant is an error, as a mistyped
one is, and the message says how to take it out: `-S '~train.optimizer.momentum'`. A key that params.yaml does not list
is added by `-S '+train.optimizer.beta1=0.8'`. A sweep may choose among whole sections ([sweeps](sweeps.md)).
"""


_described: set[tuple[str, str, type[BaseModel]]] = set()


def page() -> str:
    """The whole page."""
    _described.clear()
    parts = [HEAD]
    for section, registry in NAMED.items():
        for settings in dict.fromkeys(importlib.import_module(module).Settings for module in registry.values()):
            parts.append(_section(section, settings, sys.modules[settings.__module__].__doc__ or ""))
    parts += [_section(name, model, inspect.getdoc(model) or "") for name, model in SECTIONS.items()]
    return "\n".join(parts)


def _section(name: str, model: type[BaseModel], text: str) -> str:
    label = _label(model)
    title = f"## `{name}`" + (f", `name: {label}`" if label else "")
    lines = [title, "", _summary(text), "", "| key | default | meaning |", "|---|---|---|"]
    inner: list[type[BaseModel]] = []
    meanings: dict[str, str] = {}
    for each in reversed(model.__mro__):
        meanings |= _attributes(inspect.cleandoc(each.__doc__ or ""))
    for key, field in model.model_fields.items():
        nested = _models(field.annotation)
        inner += nested
        meaning = meanings.get(key, "see below" if nested else _kind(field))
        lines.append(f"| `{key}` | {_default(field)} | {_in_a_cell(meaning)} |")
    page = "\n".join(lines) + "\n"
    for each in inner:
        key = next(key for key, field in model.model_fields.items() if each in _models(field.annotation))
        if (name, key, each) not in _described:  # tasks have such parts in common
            _described.add((name, key, each))
            page += "\n" + _section(f"{name}.{key}", each, inspect.getdoc(each) or "")
    return page


def _label(model: type[BaseModel]) -> str:
    field = model.model_fields.get("name")
    values = get_args(field.annotation) if field and field.is_required() else ()
    return "` or `".join(map(str, values))


def _summary(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def _attributes(text: str) -> dict[str, str]:
    """key -> meaning, from the `Attributes:` part of a docstring."""
    _, _, block = text.partition("Attributes:")
    found: dict[str, str] = {}
    key = ""
    for line in block.splitlines():
        match = re.match(r"^ {4}(\w[\w, ]*): (.*)$", line)
        if match:
            key = match[1]
            found[key] = match[2].strip()
        elif key and line.strip():
            found[key] += " " + line.strip()
    return {name.strip(): meaning for names, meaning in found.items() for name in names.split(",")}


def _in_a_cell(text: str) -> str:
    """Bars in it are no border of a table's cell."""
    return text.replace("|", "\\|")


def _kind(field: FieldInfo) -> str:
    values = get_args(field.annotation)
    return " or ".join(f"`{value}`" for value in values) if values and isinstance(values[0], str) else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models(argument)]
