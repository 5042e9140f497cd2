"""Recipes: what to learn from which data and how, one file for each data set and task.

A recipe says what differs from the defaults of docs/parameters.md; seed, reproducibility and runtime stay as they are.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from samebits.base.errors import UserError
from samebits.base.files import sha256_file, write_bytes
from samebits.base.registry import nearest
from samebits.params.schema import parse_params
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.release import release_root

_RECIPES = "recipes"
_KEPT = ("seed", "reproducibility", "runtime")
"""Sections that say how a run is made, not what is learnt."""


def use(workspace: Path, name: str, say: Callable[[str], None] = print) -> None:
    """Make params.yaml follow a recipe and keep its comments. Nothing is written unless all is valid.

    Whatever recipe was used before leaves nothing behind: the result depends on this one alone.

    Raises:
        UserError: for an unknown recipe (with the nearest known one) or a result that does not validate.
    """
    path = recipe_file(workspace, name)
    file = workspace / "params.yaml"
    values = parse_params({**kept_values(file), **read_yaml(path)}, f"recipes/{name}.yaml").dump()
    hints = list(_pin_weights(values["transfer"], workspace, name))
    source = values["data"]["source"]
    if source.startswith("data/raw/") and not (workspace / source).exists():
        hints.append(f"but first set data.source to your own file or folder: {source} does not exist")
    write_bytes(file, with_values(file, values).encode())
    say(f"params.yaml now follows recipes/{name}.yaml; run it: dvc repro")
    for hint in hints:
        say(hint)


def kept_values(file: Path) -> dict[str, Any]:
    """What params.yaml says of how a run is made; another recipe leaves it as it is."""
    return {key: value for key, value in read_yaml(file).items() if key in _KEPT}


def with_values(file: Path, values: Mapping[str, Any]) -> str:
    """The text of params.yaml with these values and no others; its comments and the notation of what is equal stay.

    Raises:
        UserError: naming the line of a broken file.
    """
    read_yaml(file)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 16  # a line of the user's stays one line
    yaml.representer.add_representer(type(None), _represent_null)
    params = yaml.load(file.read_text(encoding="utf-8"))
    assign(params, values)
    buffer = io.StringIO()
    yaml.dump(params, buffer)
    return buffer.getvalue()


def _pin_weights(transfer: dict[str, Any], workspace: Path, recipe: str) -> Iterator[str]:
    """Pin weights that another recipe makes, whose bits depend on the hardware; yields what to tell the user."""
    weights = transfer["weights"] or ""
    if not weights.endswith(".safetensors") or transfer["sha256"] is not None:
        return
    if not (workspace / weights).is_file():
        yield f"but first make {weights}, which it starts from: the head of recipes/{recipe}.yaml says how"
        return
    transfer["sha256"] = sha256_file(workspace / weights)
    yield f"it starts from {weights} as it is now: transfer.sha256 pins it"


def recipe_names(workspace: Path) -> list[str]:
    """The recipes that a project can use, its own and those of samebits, sorted."""
    return sorted({each.stem for folder in _folders(workspace) for each in folder.glob("*.yaml")})


def recipe_file(workspace: Path, name: str) -> Path:
    """The file of a recipe: the project's own, or that of samebits.

    Raises:
        UserError: for an unknown recipe, with the nearest known one.
    """
    known = recipe_names(workspace)
    if name not in known:
        guess = nearest(name, known)
        hint = f"did you mean {guess}? " if guess else ""
        raise UserError(f"there is no recipe {name!r}", f"{hint}known: {', '.join(known)}")
    return next(file for folder in _folders(workspace) if (file := folder / f"{name}.yaml").is_file())


def _folders(workspace: Path) -> tuple[Path, Path]:
    return workspace / _RECIPES, release_root() / _RECIPES


def assign(base: Any, values: Mapping[str, Any]) -> None:
    """Give `base` these values and no others, in place. What is equal already keeps its notation and its comments."""
    for key in [key for key in base if key not in values]:
        del base[key]
    for key, value in values.items():
        here = base.get(key)
        if isinstance(value, Mapping) and isinstance(here, Mapping) and value.get("name") == here.get("name"):
            assign(here, value)
        elif key not in base or here != value:
            _insert(base, key, value)


def _represent_null(representer: Any, _: None) -> Any:
    """`null`, as the file has it; ruamel would leave the value empty."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def merge(base: Any, override: Mapping[str, Any]) -> None:
    """Overwrite `base` in place, key by key.

    A mapping is merged with a mapping, except one with another `name` (another model, another optimiser): its keys
    would be unknown there, so it is replaced whole.
    """
    for key, value in override.items():
        here = base.get(key)
        if (
            isinstance(value, Mapping)
            and isinstance(here, Mapping)
            and value.get("name", here.get("name")) == here.get("name")
        ):
            merge(here, value)
        else:
            _insert(base, key, value)


def _insert(base: Any, key: str, value: Any) -> None:
    new = CommentedMap(value) if isinstance(value, Mapping) else value
    if key not in base and isinstance(base, CommentedMap) and len(base):
        # The comment of the next section hangs on the last key here: a new one goes before it.
        base.insert(len(base) - 1, key, new)
    else:
        base[key] = new
