"""Where the model of a server comes from: a file, or a version of MLflow's registry."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from samebits.base.errors import UserError
from samebits.model_registry.candidate import MODEL
from samebits.tracking.tracking_uri import Target, check_reachable, explain

_REGISTERED = re.compile(r"models:/+(?P<name>[^/:@]+)(?:@(?P<alias>[^/:@]+)|/(?P<version>\d+))")
_TIMEOUT_S = "10"


class Source(ABC):
    """A model that may change while it is served."""

    @abstractmethod
    def mark(self) -> str:
        """Another text where it is another model; empty while there is none."""

    @abstractmethod
    def fetch(self, mark: str) -> contextlib.AbstractContextManager[Path]:
        """Its ONNX file, with the tokenizer beside it, as long as the context lasts.

        Raises:
            UserError: if it cannot be had.
        """


def source_of(model: Path, registry: str) -> Source:
    """What `Settings.model` names.

    Raises:
        UserError: for a URI of another form, or a registry that does not answer.
    """
    return RegisteredModel(model.as_posix(), registry) if is_registered(model) else ModelFile(model)


def is_registered(model: Path) -> bool:
    """Whether a registry is meant, not a file."""
    return model.as_posix().startswith("models:")


class ModelFile(Source):
    """A file of the export stage, which `dvc repro`, `dvc pull` or a rename replaces."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> str:
        # A tokenizer that comes after its model makes it usable.
        states = [_state(path) for path in (self._path, self._path.with_name("tokenizer.json"))]
        return " ".join(states) if states[0] else ""

    def fetch(self, mark: str) -> contextlib.AbstractContextManager[Path]:
        return contextlib.nullcontext(self._path)


class RegisteredModel(Source):
    """A version of a registered model, which an alias may move to."""

    def __init__(self, uri: str, registry: str) -> None:
        found = _REGISTERED.fullmatch(uri)
        if found is None:
            raise UserError(f"{uri} names no registered model", "write models:/NAME@champion or models:/NAME/3")
        self._uri, self._registry = uri, registry
        self._name, self._alias, self._version = found["name"], found["alias"], found["version"]
        check_reachable(Target(registry, local=False))
        store = urlsplit(registry)
        if store.scheme == "sqlite" and not Path(store.path[1:]).is_file():  # MLflow would make one
            raise UserError(f"{store.path[1:]} does not exist: nothing is registered", "samebits register")
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
        os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", _TIMEOUT_S)
        with self._explained():
            from mlflow import MlflowClient

            self._client: Any = MlflowClient(registry)

    def mark(self) -> str:
        if self._alias is None:
            return str(self._version)
        with self._explained():
            return str(self._client.get_model_version_by_alias(self._name, self._alias).version)

    @contextlib.contextmanager
    def fetch(self, mark: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="samebits-model-") as folder:
            with self._explained():
                from mlflow.artifacts import download_artifacts

                # Not by `models:/…`, which MLflow looks up in the registry of its own settings.
                files = self._client.get_model_version_download_uri(self._name, mark)
                found = download_artifacts(artifact_uri=files, dst_path=folder, tracking_uri=self._registry)
            yield Path(found) / MODEL

    def record(self, mark: str, values: Mapping[str, float], step: int) -> None:
        """Points for the run that a version is of.

        Raises:
            UserError: if it has none, or the registry does not answer.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with self._explained():
            run = self._client.get_model_version(self._name, mark).run_id
            if run:
                self._client.log_batch(run, metrics=[Metric(name, each, now, step) for name, each in values.items()])
        if not run:
            raise UserError(f"version {mark} of {self._name} is of no run", "samebits register makes one that is")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """MLflow's errors as one message."""
        try:
            yield
        except Exception as error:  # of MLflow, SQLAlchemy, requests, and of what stores artefacts
            code = getattr(error, "error_code", "")
            if code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise UserError(f"{self._uri} is not registered", "samebits register makes a version") from None
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(explain(self._registry, text), f"then name {self._uri} again") from None


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
