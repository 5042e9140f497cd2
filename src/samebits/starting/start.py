"""The command: look at the data, choose the lines of params.yaml, try them, show and write them."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.files import read_json, write_bytes, write_json
from samebits.base.git import git_bytes
from samebits.base.paths import Project
from samebits.data.fetching.catalog import card_of
from samebits.data.fetching.leftovers import is_leftover
from samebits.data.preparation.prepare import own_path
from samebits.data.readers.own_files import OwnFiles
from samebits.params.data import DataParams
from samebits.params.schema import parse_params, read_params
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.recipes import kept_values, merge, with_values
from samebits.provenance.verify.copies import clean_environment, run_module, scratch
from samebits.starting.found import Asked, Proposal, look_at
from samebits.starting.kinds import propose
from samebits.starting.trial import TrialResult

_CHOSEN = {"source", "format", "split", "split_column", "target", "target_kind", "drop", "resolution", "text"}
"""Settings of `data` that are chosen anew. Others that the user has set for the same source are kept."""

_SETTING = re.compile(r"\bdata\.(?!md\b|source\b|format\b)\w")
"""A key of `data` in a message, which is the user's to set."""

_BEFORE = "params-before-start.yaml"


def start(
    project: Project,
    path: Path,
    asked: Asked,
    *,
    trial: bool = True,
    dry_run: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Write into params.yaml what the data at `path` need, and say why.

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
        for line in _tried(_try(project, values)):
            say(line)
    for warning in proposal.warnings:
        say(f"warning: {warning}")
    _write(project, values, say, dry_run=dry_run)


def _shown(path: Path, project: Project) -> str:
    """A path as `data.source` has it: from the project's folder."""
    for place in (Path.cwd() / path, project.workspace / path):
        if place.exists() and place.resolve().is_relative_to(project.workspace.resolve()):
            return place.resolve().relative_to(project.workspace.resolve()).as_posix()
    if card_of(path.as_posix()) or (project.workspace / "recipes" / f"{path}.yaml").is_file():
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
    raw = kept_values(project.params_file) | read_yaml(project.workspace / "recipes" / f"{proposal.recipe}.yaml")
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


def _try(project: Project, values: dict[str, Any]) -> TrialResult:
    """Run the trial in a process of its own.

    Raises:
        UserError: what keeps it from running.
    """
    import samebits

    quiet = {"progress": "off", "resume": "never", "processes": 1}
    with scratch(project, "start") as folder:
        job, result = folder / "job.json", folder / "result.json"
        write_json(job, {"scratch": str(folder), "params": values | {"runtime": values["runtime"] | quiet}})
        with _kept_settings(values["data"]["source"]):
            run_module(
                "samebits.starting.trial",
                str(job),
                str(result),
                copy=project.workspace,
                environ=clean_environment(),
                source=Path(samebits.__file__).parents[1],
                what="the trial",
            )
        return TrialResult.model_validate(read_json(result))


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
        f"time, estimated: prepare {_duration(result.prepare_s)}; train {_duration(result.train_s)} for "
        f"{result.epochs} epochs of {result.steps_per_epoch:,} steps{early}: {result.timed} steps here took "
        f"{1000 * result.step_s:,.0f} ms each; evaluate and export come on top"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _write(project: Project, values: dict[str, Any], say: Callable[[str], None], *, dry_run: bool) -> None:
    """Show the difference, keep the file as it was where git does not have it, and write."""
    file = project.params_file
    before, after = file.read_text(encoding="utf-8"), with_values(file, values)
    diff = list(
        difflib.unified_diff(before.splitlines(), after.splitlines(), "params.yaml", "params.yaml", n=0, lineterm="")
    )
    if not diff:
        say("params.yaml has these values already; run it: dvc repro")
        return
    for line in diff:
        say(f"    {line}")
    if dry_run:
        say("nothing is written (--dry-run)")
        return
    if git_bytes(project.workspace, "show", f"HEAD:./{file.name}", check=False).decode(errors="replace") != before:
        kept = project.state / _BEFORE
        write_bytes(kept, before.encode())
        say(f"params.yaml had values that git does not have: the file as it was is {kept.relative_to(project.home)}")
    write_bytes(file, after.encode())
    say("params.yaml is written; run it: dvc repro (evaluate prints a baseline beside each number)")
