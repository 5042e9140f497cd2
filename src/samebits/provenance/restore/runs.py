"""MLflow runs, read only: by id, by name, by the hashes of what they wrote. Imports MLflow where there are runs."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.tracking.tracking_uri import check_reachable, pick_target

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_ID = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
_MOST = 10_000


@dataclass(frozen=True)
class Run:
    """What is known of one run.

    Attributes:
        params: parameters under dotted names, as text.
    """

    run_id: str
    name: str
    status: str
    start_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """The commit whose code ran; empty if there was none."""
        commit = self.tags.get("git.commit", "")
        return "" if commit == "none" else commit

    def hashes(self, side: str) -> dict[str, str]:
        """MD5 of the files and folders that its stages read (`in`) or wrote (`out`); code is left out."""
        prefix = f"dvc.{side}."
        return {
            name.removeprefix(prefix): value
            for name, value in self.tags.items()
            if name.startswith(prefix) and _HASH.fullmatch(value)
        }


class Runs:
    """The runs of a project, in its own store or on the server that `MLFLOW_TRACKING_URI` names.

    Raises:
        UserError: if that server cannot be reached, or the project's own store is damaged.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        target = pick_target(project)
        self._client: MlflowClient | None = None
        if target.local and not (project.mlruns / "mlflow.db").is_file():
            return  # nothing was recorded here, and reading makes no store
        check_reachable(target)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from samebits.tracking.upload.mlflow_store import open_client

        self._client = open_client(target, project)

    def by_id(self, run_id: str) -> Run | None:
        """The run, also if it was deleted in the UI; None if there is none."""
        if self._client is None:
            return None
        from mlflow.exceptions import MlflowException

        try:
            return _run(self._client.get_run(run_id))
        except MlflowException:
            return None

    def everything(self) -> list[Run]:
        """All runs, the newest first."""
        if self._client is None:
            return []
        from mlflow.entities import ViewType

        ids = [each.experiment_id for each in self._client.search_experiments(ViewType.ALL)]
        found: list[Run] = []
        token: str | None = None
        while len(found) < _MOST:
            page = self._client.search_runs(ids, "", ViewType.ALL, 1000, ["attributes.start_time DESC"], token)
            found += map(_run, page)
            token = page.token
            if not token:
                break
        return found

    def by_name(self, name: str) -> list[Run]:
        """Runs of a DVC experiment or with that name, the newest first."""
        return [run for run in self.everything() if name in (run.tags.get("dvc.exp_name"), run.name)]

    def artifact(self, run: Run, name: str) -> bytes | None:
        """The bytes of one of a run's artefacts; None if it has none of that name."""
        if self._client is None:
            return None
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as folder, _inside(self._project.home):
            try:
                return Path(self._client.download_artifacts(run.run_id, name, folder)).read_bytes()
            except (MlflowException, OSError):
                return None


def one_run(runs: list[Run], name: str) -> Run | None:
    """The newest of several that have the same hashes and code; None for none.

    Raises:
        UserError: if they differ: then the name does not say which is meant.
    """
    if not runs:
        return None
    if (
        len({(run.commit, tuple(sorted(run.hashes("out").items())), tuple(sorted(run.params.items()))) for run in runs})
        > 1
    ):
        listed = "\n".join(f"  {run.run_id}  {run.status}  {run.commit[:12]}" for run in runs)
        raise UserError(f"{len(runs)} runs are named {name!r}:\n{listed}", "name one by its id")
    return runs[0]


def _run(raw: Any) -> Run:
    return Run(
        raw.info.run_id,
        raw.info.run_name or "",
        raw.info.status,
        raw.info.start_time or 0,
        raw.data.tags,
        raw.data.params,
    )


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Relative artefact locations count from the project's home."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
