"""The command: look at the data, choose the lines of params.yaml, try them, show and write them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.nested import flatten
from samebits.base.paths import Project
from samebits.data.fetching.catalog import card_of
from samebits.data.fetching.leftovers import is_leftover
from samebits.data.preparation.prepare import own_path
from samebits.data.readers.own_files import OwnFiles
from samebits.params.data import DataParams
from samebits.params.schema import parse_params, read_params
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.recipes import kept_values, merge, recipe_file, recipe_names
from samebits.starting.found import Asked, Proposal, look_at
from samebits.starting.job import run_job
from samebits.starting.kinds import propose
from samebits.starting.trial import TrialResult, duration
from samebits.starting.written import write_params

_CHOSEN = {"source", "format", "split", "split_column", "target", "target_kind", "drop", "resolution", "text"}
"""Settings of `data` that are chosen anew. Others that the user has set for the same source are kept."""

_SETTING = re.compile(r"\bdata\.(?!md\b|source\b|format\b)\w")
"""A key of `data` in a message, which is the user's to set."""


def start(
    project: Project,
    path: Path,
    asked: Asked,
    *,
    trial: bool = True,
    dry_run: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Write into params.yaml what the data at `path` need, and say why. Returns what changed: dotted key to value.

    Args:
        path: a file or a folder below data/raw.
        trial: prepare the data and time a few training steps first; what fails there is never written.
        dry_run: say everything, write nothing.

    Raises:
        UserError: data that are no kind that is known, or that can be read in several ways, with the choices; whatever
            `prepare` and `train` would refuse.
    """
    shown, file = _shown(path, project), project.params_file
    raw = project.workspace / "data" / "raw"
    if raw == project.workspace / shown:
        known = sorted(each.name for each in raw.iterdir() if not is_leftover(each.name) and each.suffix != ".dvc")
        names = listed([f"{shown}/{each}" for each in known])
        raise UserError(
            f"{shown} is where data lie", f"name what to start with: {names}" if names else "put data there"
        )
    params = read_params(file)
    settings = _user_settings(params.dump()["data"], shown)
    OwnFiles(project.workspace, raw).add(own_path(shown, project))
    with _kept_settings(shown), look_at(project.workspace / shown, shown, DataParams(**settings), project) as found:
        proposal = propose(found, asked)
    values = _values(project, proposal, settings)
    for line in _explained(proposal):
        say(line)
    if trial:
        say("trial: prepares the data and trains a few steps …")
        with _kept_settings(shown):
            result = TrialResult.model_validate(run_job(project, "samebits.starting.trial", values, "the trial"))
        for line in _tried(result):
            say(line)
    for warning in proposal.warnings:
        say(f"warning: {warning}")
    write_params(project, values, say, dry_run=dry_run)
    before, after = flatten(params.dump()), flatten(values)
    return {key: value for key, value in after.items() if key not in before or before[key] != value}


def _shown(path: Path, project: Project) -> str:
    """A path as `data.source` has it: from the project's folder."""
    for place in (Path.cwd() / path, project.workspace / path):
        if place.exists() and place.resolve().is_relative_to(project.workspace.resolve()):
            return place.resolve().relative_to(project.workspace.resolve()).as_posix()
    if card_of(path.as_posix()) or str(path) in recipe_names(project.workspace):
        raise UserError(f"{path} is no data of your own", "public data sets have recipes: samebits use NAME")
    return path.as_posix()


def _user_settings(data: dict[str, Any], shown: str) -> dict[str, Any]:
    """What the `data` section says of this source beside what is chosen here; defaults left out."""
    return _differing(data, DataParams().model_dump()) if data["source"] == shown else {}


def _differing(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in _CHOSEN or value == defaults[key]:
            continue
        found[key] = _differing(value, defaults[key]) if isinstance(value, dict) else value
    return {key: value for key, value in found.items() if value != {}}


def _values(project: Project, proposal: Proposal, settings: dict[str, Any]) -> dict[str, Any]:
    """All of params.yaml: the recipe, how the files are read, and what was chosen."""
    raw = kept_values(project.params_file) | read_yaml(recipe_file(project.workspace, proposal.recipe))
    merge(raw, {"data": settings})
    for key, value in proposal.values.items():
        *sections, name = key.split(".")
        at = raw
        for section in sections:
            at = at.setdefault(section, {})
        at[name] = value
    return parse_params(raw, f"recipes/{proposal.recipe}.yaml and what was chosen").dump()


def _explained(proposal: Proposal) -> Iterator[str]:
    yield f"data.source: {proposal.values['data.source']}"
    for key, reason in proposal.why.items():
        yield f"  {key}: {_yaml(proposal.values[key])}  ({reason})"
    yield f"  all else as in recipes/{proposal.recipe}.yaml, whose head says what it reached"


def _yaml(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


@contextlib.contextmanager
def _kept_settings(source: str) -> Iterator[None]:
    """A refusal that names a setting says how to set it before there is anything in params.yaml."""
    try:
        yield
    except UserError as error:
        if not _SETTING.search(error.fix):
            raise
        hint = f"a setting of data goes into params.yaml beside data.source: {source}; samebits start keeps it"
        raise UserError(error.problem, f"{error.fix}\n  {hint}") from None


def _tried(result: TrialResult) -> Iterator[str]:
    for line in result.lines:
        if not line.startswith(("digest ", "target ")):
            yield f"  {line}"
    if result.classes:
        most = max(result.classes, key=result.classes.__getitem__)
        share = result.classes[most] / sum(result.classes.values())
        yield f"baseline to beat: always {most!r} is right in {share:.1%} of the training {result.counted}"
    if result.spread is not None:
        yield f"baseline to beat: always the mean of the training samples is off by {result.spread:.4g} (RMSE)"
    early = f", less if it stops early (after {result.patience} epochs without progress)" if result.patience else ""
    yield (
        f"time, estimated: prepare {duration(result.prepare_s)}; train {duration(result.train_s)} for "
        f"{result.epochs} epochs of {result.steps_per_epoch:,} steps{early}: {result.timed} steps here took "
        f"{1000 * result.step_s:,.0f} ms each; evaluate and export come on top"
    )
