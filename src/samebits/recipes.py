"""Recipes: small overrides of params.yaml, one for each data set and task that was measured."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from samebits.errors import UserError
from samebits.files import write_bytes
from samebits.params.read import read_yaml
from samebits.params.schema import parse_params
from samebits.registry import nearest


def use(workspace: Path, name: str, say: Callable[[str], None] = print) -> None:
    """Merge `recipes/<name>.yaml` into params.yaml, keeping its comments. Nothing is written unless all of it is valid.

    Raises:
        UserError: for an unknown recipe (with the nearest known one) or a result that does not validate.
    """
    path = workspace / "recipes" / f"{name}.yaml"
    known = recipe_names(workspace)
    if name not in known:
        guess = nearest(name, known)
        hint = f"did you mean {guess}? " if guess else ""
        raise UserError(f"there is no recipe {name!r}", f"{hint}known: {', '.join(known)}")
    file = workspace / "params.yaml"
    read_yaml(file)  # names the line of a broken file
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.representer.add_representer(type(None), _represent_null)
    params = yaml.load(file.read_text(encoding="utf-8"))
    renamed = merge(params, read_yaml(path))
    values = parse_params(params, f"params.yaml with recipes/{name}.yaml").dump()
    for keys in renamed:
        _complete(params, values, keys)
    buffer = io.StringIO()
    yaml.dump(params, buffer)
    write_bytes(file, buffer.getvalue().encode())
    say(f"params.yaml now follows recipes/{name}.yaml; run it: dvc repro")


def recipe_names(workspace: Path) -> list[str]:
    """The recipes of a project, sorted."""
    return sorted(each.stem for each in (workspace / "recipes").glob("*.yaml"))


def _complete(params: Any, values: Any, keys: tuple[str, ...]) -> None:
    """Write out the defaults of a newly named model or optimiser: `dvc exp run -S` changes only what is there."""
    for key in keys:
        params, values = params[key], values[key]
    if isinstance(params, Mapping) and isinstance(values, Mapping):
        for key, value in values.items():
            if key not in params:
                _insert(params, key, value)


def _represent_null(representer: Any, _: None) -> Any:
    """`null`, as the file has it; ruamel would leave the value empty."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def merge(base: Any, override: Mapping[str, Any], place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Overwrite `base` in place, key by key.

    A mapping is merged with a mapping, except one with another `name` (another model, another optimiser): its keys
    would be unknown there, so it is replaced whole.

    Returns:
        the keys that lead to each mapping that was replaced.
    """
    replaced: list[tuple[str, ...]] = []
    for key, value in override.items():
        here = base.get(key)
        if (
            isinstance(value, Mapping)
            and isinstance(here, Mapping)
            and value.get("name", here.get("name")) == here.get("name")
        ):
            replaced += merge(here, value, (*place, key))
            continue
        _insert(base, key, value)
        if isinstance(value, Mapping):
            replaced.append((*place, key))
    return replaced


def _insert(base: Any, key: str, value: Any) -> None:
    new = CommentedMap(value) if isinstance(value, Mapping) else value
    if key not in base and isinstance(base, CommentedMap) and len(base):
        # The comment of the next section hangs on the last key here: a new one goes before it.
        base.insert(len(base) - 1, key, new)
    else:
        base[key] = new
