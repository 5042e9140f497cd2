"""A recipe in a copy of the working tree, with its data prepared: what golden traces are made in.

Only what the recipe says counts, and what is pinned here: neither the seed nor the mode that params.yaml has at the
moment changes a golden trace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.git import head_commit
from samebits.base.paths import Project
from samebits.data.fetching.catalog import card_of, is_path, load_card
from samebits.data.fetching.fetch import fetch
from samebits.data.fetching.hub import CONFIG, TENSORS, fetch_hub
from samebits.params.schema import Params, parse_params
from samebits.params.transfer import is_hub_name
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.recipes import recipe_file, use
from samebits.provenance.verify.copies import change_params, copy_tree, record_nothing, run_command, scratch

SEED = 0
STRICT = "strict"
"""What a recipe leaves to params.yaml and a loss depends on; another `reproducibility` may be asked for."""

_PREPARE = "prepare"


class UnavailableError(UserError):
    """A recipe cannot be traced here: its data, or the weights that it starts from, cannot be had."""


def recipe_params(root: Path, recipe: str, mode: str = STRICT) -> Params:
    """The parameters that a recipe is traced with."""
    given = read_yaml(recipe_file(root, recipe)) | _pinned(mode)
    return parse_params(given, f"recipes/{recipe}.yaml")


def _pinned(mode: str) -> dict[str, Any]:
    return {"seed": SEED, "reproducibility": mode}


def trace_alone(copy: Path) -> None:
    """Let a copy train as golden traces do: in one process, recording nothing, never resuming."""
    record_nothing(copy)
    change_params(copy, {"runtime": {"processes": 1}})


@contextlib.contextmanager
def prepared_copy(project: Project, recipe: str, mode: str = STRICT) -> Iterator[Path]:
    """A copy of the working tree with the recipe's parameters and its data prepared, for as long as it is used.

    Raises:
        UnavailableError: if data or weights cannot be had.
        UserError: outside a git repository, for an unknown recipe, or a stage `prepare` that fails.
    """
    head_commit(project.workspace)  # git says which files are the project's
    with scratch(project, "golden") as folder:
        copy = copy_tree(project.workspace, folder / "copy")
        use(copy, recipe, say=lambda _: None)
        change_params(copy, _pinned(mode))
        trace_alone(copy)
        _require_inputs(copy, recipe)
        run_command(f"python stages/{_PREPARE}.py", _PREPARE, copy, quiet=True)
        yield copy


def _require_inputs(copy: Path, recipe: str) -> None:
    """Fetch what the recipe names, or say which of it cannot be had."""
    params = recipe_params(copy, recipe)
    data, transfer = params.sections["data"], params.sections["transfer"]
    wanted = {
        "data.source": card_of(data.source) or data.source,
        "data.text.tokenizer": data.text.tokenizer,
        "transfer.weights": transfer.weights,
    }
    for key, name in wanted.items():
        if not name:
            continue
        if key == "transfer.weights" and is_hub_name(name) and transfer.sha256:
            with _needed_by(recipe):
                for file, sha256 in ((CONFIG, ""), (TENSORS, transfer.sha256)):
                    fetch_hub(name, transfer.revision, file, sha256, say=lambda _: None, progress="off")
        elif is_path(name):
            if not (copy / name).exists() or (key == "transfer.weights" and transfer.sha256 is None):
                raise UnavailableError(
                    f"{recipe} takes {name} ({key}), which neither git nor a card has: another clone could not repeat "
                    "its trace",
                    "trace the recipe that makes it",
                )
        elif (copy / "data" / "catalog" / f"{name}.yaml").is_file():
            with _needed_by(recipe):
                fetch(load_card(copy / "data" / "catalog", name), say=lambda _: None, progress="off")


@contextlib.contextmanager
def _needed_by(recipe: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UnavailableError(f"{recipe}: {error.problem}", error.fix) from None
