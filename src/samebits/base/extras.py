"""Packages that only some commands and models need. They are extras of pyproject.toml, and imported late."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import metadata

from samebits.base.errors import UserError

OPTIONAL = {
    "dask": ("dask", "distributed", "samebits prepare --dask"),
    "distributed": ("dask", "distributed", "samebits prepare --dask"),
    "optuna": ("sweep", "optuna", "samebits sweep"),
    "scipy": ("sweep", "scipy", "samebits compare"),
    "sklearn": ("sweep", "scikit-learn", "the report of samebits sweep"),
    "transformers": ("transformers", "transformers", "model.name: bert or encoder, or export.formats: huggingface"),
    "timm": ("timm", "timm", "model.name: timm"),
    "fastapi": ("serve", "fastapi", "samebits serve"),
    "starlette": ("serve", "starlette", "samebits serve"),
    "uvicorn": ("serve", "uvicorn", "samebits serve"),
    "python_multipart": ("serve", "python-multipart", "samebits serve"),
    "prometheus_client": ("serve", "prometheus-client", "samebits serve"),
    "flask": ("ui", "mlflow", "MLflow's server (make ui, samebits ui)"),
    "model_signing": ("sign", "model-signing", "samebits sign, and samebits audit --key"),
}
"""Module to its extra, the package that brings it, and what needs it."""


def missing_extra(error: ImportError) -> UserError | None:
    """What to install where an optional package cannot be imported; None for a module of no extra."""
    extra, package, user = OPTIONAL.get((error.name or "").partition(".")[0], ("", "", ""))
    if not extra:
        return None
    return UserError(
        f"{user} needs the package {package}, which cannot be imported: {error}",
        f"install the extra `{extra}`: {pip_install(*requirements(extra, package))}",
    )


def requirements(extra: str, package: str) -> list[str]:
    """What pyproject.toml asks for by an extra; the package alone where samebits is not installed."""
    try:
        lines = metadata.requires("samebits") or []
    except metadata.PackageNotFoundError:
        lines = []
    marked = [(each.partition(";")[0].strip(), each.partition(";")[2]) for each in lines]
    found = [name for name, marker in marked if re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", marker)]
    return found or [package]


def pip_install(*packages: str) -> str:
    """The command that installs packages beside samebits."""
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])
