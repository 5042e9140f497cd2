"""Versions and aliases in MLflow's registry, on the project's SQLite store or a server alike.

A version is the folder of `model_folder.py`, with the model card as its description and what the gate knows of it as
tags. Aliases: `candidate` is the version that was registered last, `champion` the one to be served:
`models:/NAME@champion`.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.metrics.registry import directions
from samebits.model_registry.candidate import (
    MODEL,
    Candidate,
    facts_json,
    latencies,
    model_name,
    read_candidate,
)
from samebits.model_registry.gate import Facts, Limits, Row, judge, passes, pick_metric, table
from samebits.model_registry.model_folder import save_model
from samebits.tracking.journal.trial import TRIAL_VARIABLE
from samebits.tracking.tracking_uri import check_reachable, explain, pick_target
from samebits.tracking.upload.delivery import shorten
from samebits.tracking.upload.logged_model import link_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CANDIDATE, CHAMPION = "candidate", "champion"
_FACTS, _SHA, _HISTORY = "samebits.facts", "samebits.onnx_sha256", "samebits.champions"
_FOLDER = "model"
_DESCRIPTION = 5000
"""Characters, in the tables of a server."""


@dataclass(frozen=True)
class Outcome:
    """What `register` did or, in a dry run, would have done.

    Attributes:
        version: the registered version; empty in a dry run of a model that is not registered yet.
        champion: the champion's version before; empty if there was none.
        promoted: whether the model is the champion now.
    """

    name: str
    version: str
    champion: str
    rows: list[Row]
    promoted: bool


def register(
    project: Project,
    *,
    name: str | None = None,
    metric: str | None = None,
    limits: Limits | None = None,
    dry_run: bool = False,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Register the exported model as `candidate`, and as `champion` if it passes the gate.

    Args:
        name: of the registered model; else data set and model.
        metric: the number of the test split that decides.
        dry_run: show the table, change nothing.

    Raises:
        UserError: inside a sweep, if the workspace is not what dvc.lock says, or the store does not answer.
    """
    if os.environ.get(TRIAL_VARIABLE):
        raise UserError("a sweep registers no model and moves no alias", "register the best one after the sweep")
    candidate = read_candidate(project)
    name = name or model_name(project)
    if any(letter in name for letter in "/:@"):
        raise UserError(f"{name!r} is no name for a registered model", "leave out / : and @")
    chosen = pick_metric(candidate.facts.values, metric, candidate.facts.better)
    if chosen is None:
        known = ", ".join(each for each in candidate.facts.values if each in directions(candidate.facts.better))
        raise UserError(f"the test split has no number {metric or 'that can decide'}", f"known: {known or 'none'}")
    registry = Registry(project, name)
    known_version = registry.version_of(candidate.facts.sha256)
    champion = registry.by_alias(CHAMPION)
    if champion is not None and known_version is not None and champion.version == known_version.version:
        say(f"{name} version {champion.version} is this very model, and it is the champion")
        return Outcome(name, str(champion.version), str(champion.version), [], True)
    facts = registry.facts(champion) if champion is not None else None
    with tempfile.TemporaryDirectory() as scratch:
        paths = [candidate.model]
        paths += [registry.download(champion, Path(scratch))] if champion is not None else []
        mine, *theirs = latencies(paths)
    rows = judge(candidate.facts, facts, (mine, theirs[0] if theirs else None), limits or Limits(), chosen)
    say(f"{name}: {'against champion, version ' + str(champion.version) if champion else 'there is no champion yet'}")
    say(table(rows))
    passed = passes(rows)
    before = str(champion.version) if champion is not None else ""
    if dry_run:
        say(f"the gate {'would pass' if passed else 'would not pass'}; a dry run changes nothing")
        return Outcome(name, str(known_version.version) if known_version else "", before, rows, False)
    version = known_version or registry.add(candidate, project)
    registry.point(CANDIDATE, version)
    if passed:
        registry.promote(version)
        say(f"{name} version {version.version} is the champion: models:/{name}@{CHAMPION}")
    else:
        say(f"{name} version {version.version} stays a candidate: models:/{name}@{CANDIDATE}")
    return Outcome(name, str(version.version), before, rows, passed)


def rollback(
    project: Project, name: str | None = None, say: Callable[[str], None] = print, *, dry_run: bool = False
) -> str:
    """Make the champion before the present one champion again; returns its version.

    Args:
        dry_run: say which it is, change nothing.

    Raises:
        UserError: if there was none.
    """
    if os.environ.get(TRIAL_VARIABLE):
        raise UserError("a sweep moves no alias", "roll back after the sweep")
    registry = Registry(project, name or model_name(project))
    version = registry.roll_back(dry_run)
    if dry_run:
        say(f"{registry.name} version {version} would be the champion again; a dry run changes nothing")
    else:
        say(f"{registry.name} version {version} is the champion again")
    return version


@contextlib.contextmanager
def mlflow_errors(project: Project) -> Iterator[None]:
    """Turn an error of MLflow into one message with its fix."""
    try:
        yield
    except Exception as error:
        # Not imported here: that takes seconds, and most refusals come before.
        if type(error).__module__ != "mlflow.exceptions":
            raise
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(explain(pick_target(project).uri, text), "fix that, then run this again") from None


class Registry:
    """One registered model."""

    def __init__(self, project: Project, name: str) -> None:
        target = pick_target(project)
        check_reachable(target)
        os.chdir(project.home)  # relative artefact locations count from here
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        from samebits.params.runtime import read_runtime
        from samebits.tracking.upload.mlflow_store import MlflowStore

        self.name = name
        experiment = read_runtime(project.params_file).tracking.experiment
        self._store = MlflowStore(project, target)
        self._experiment = self._store.prepare(experiment)
        self._client: MlflowClient = self._store.client

    def versions(self) -> list[ModelVersion]:
        found: list[ModelVersion] = list(self._client.search_model_versions(f"name = '{self.name}'"))
        return sorted(found, key=lambda version: int(version.version))

    def version_of(self, sha256: str) -> ModelVersion | None:
        """The version that holds this very file."""
        return next((version for version in self.versions() if version.tags.get(_SHA) == sha256), None)

    def by_alias(self, alias: str) -> ModelVersion | None:
        from mlflow.exceptions import MlflowException

        if not self.versions():
            # A server with passwords answers for a model that is not there as for one that may not be seen: 403.
            return None
        try:
            return self._client.get_model_version_by_alias(self.name, alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def facts(self, version: ModelVersion) -> Facts:
        try:
            return Facts.from_plain(json.loads(version.tags[_FACTS]))
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{self.name} version {version.version} was not registered by samebits: its numbers are not known",
                "give this model another --name, or take the alias champion off that version",
            ) from None

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """The version's ONNX file."""
        return Path(self._client.download_artifacts(str(version.run_id), _FOLDER, str(folder))) / MODEL

    def add(self, candidate: Candidate, project: Project) -> ModelVersion:
        """Upload the model beside the run that exported it, and make a version of it."""
        from mlflow.exceptions import MlflowException

        run_id = self._run_of(candidate)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / _FOLDER
            save_model(candidate.model, folder)
            self._client.log_artifacts(run_id, str(folder), _FOLDER)
        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {_FACTS: facts_json(candidate.facts), _SHA: candidate.facts.sha256, "data.digest": candidate.facts.data}
        run = self._client.get_run(run_id)
        tags |= {key: run.data.tags[key] for key in ("git.commit", "model.sha256") if key in run.data.tags}
        version = self._client.create_model_version(
            self.name,
            self._store.source_of(f"{run.info.artifact_uri}/{_FOLDER}"),
            run_id=run_id,
            tags=tags,
            description=_card(candidate.model),
        )
        link_version(self._client, run, self.name, str(version.version))
        return version

    def _run_of(self, candidate: Candidate) -> str:
        """The newest finished run that exported these bytes; one of its own where the outputs were pulled."""
        tag = f"tags.`dvc.out.models/export` = '{candidate.export_md5}' AND attributes.status = 'FINISHED'"
        found = self._client.search_runs(
            [self._experiment], tag, order_by=["attributes.start_time DESC"], max_results=1
        )
        if found:
            return str(found[0].info.run_id)
        tags = {"dvc.out.models/export": candidate.export_md5, "samebits.registered": "outputs without a run here"}
        run = self._client.create_run(self._experiment, tags=tags, run_name=f"register-{self.name}")
        self._client.set_terminated(run.info.run_id, "FINISHED")
        return str(run.info.run_id)

    def point(self, alias: str, version: ModelVersion) -> None:
        self._client.set_registered_model_alias(self.name, alias, str(version.version))

    def promote(self, version: ModelVersion) -> None:
        """Make it champion, and remember the one before."""
        history = [*self._history(), str(version.version)]
        self._client.set_registered_model_tag(self.name, _HISTORY, json.dumps(history))
        self.point(CHAMPION, version)

    def roll_back(self, dry_run: bool = False) -> str:
        if not self.versions():
            known = sorted(str(model.name) for model in self._client.search_registered_models())
            raise UserError(f"there is no registered model {self.name}", f"there are: {', '.join(known) or 'none'}")
        champion, history = self.by_alias(CHAMPION), self._history()
        # An alias that was set by hand stands above the history.
        earlier = [v for v in history if champion is None or v != str(champion.version)]
        if not earlier:
            raise UserError(f"{self.name} has no champion before the present one", "see the versions in `make ui`")
        if dry_run:
            return earlier[-1]
        left = history[: len(history) - history[::-1].index(earlier[-1])]
        self._client.set_registered_model_alias(self.name, CHAMPION, earlier[-1])
        self._client.set_registered_model_tag(self.name, _HISTORY, json.dumps(left))
        return earlier[-1]

    def _history(self) -> list[str]:
        """Versions that were champion, oldest first, the present one last."""
        if not self.versions():
            return []
        text = self._client.get_registered_model(self.name).tags.get(_HISTORY, "[]")
        try:
            return [str(version) for version in json.loads(text)]
        except (TypeError, ValueError):
            return []


def _card(model: Path) -> str | None:
    """The model card beside an exported file."""
    card = model.with_name("card.md")
    if not card.is_file():
        return None
    return shorten(card.read_text(encoding="utf-8"), _DESCRIPTION, "all of it is in card.md")
