"""Tests of what is not here are skipped, with the reason: packages of extras, folders that a clone can do without."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from samebits.base.extras import OPTIONAL
from tests.helpers.workspace import ROOT

_OF_DEV = (
    "OpenSSL", "boto3", "botocore", "detect_secrets", "dvc_s3", "dvc_ssh", "dvc_webdav", "flask_wtf", "ipykernel",
    "jupytext", "nbclient", "playwright", "pre_commit", "psycopg", "s3fs", "scipy", "sshfs", "webdav4",
    "zensical",
)  # fmt: skip

FOLDERS = ("bench", "golden", "recipes", "sweeps")
"""Folders of the repository that nothing but their own tests needs: one's own project may delete them."""


def is_left_out(path: Path) -> bool:
    """Whether a path lies in one of `FOLDERS` that is not in this clone."""
    below = Path(os.path.relpath(path, ROOT)).parts[0]
    return below in FOLDERS and not (ROOT / below).exists()


def absence_behind(error: BaseException | None) -> str | None:
    """Which absent extra or folder is behind an error; None if it is another error, or what it misses is here."""
    while error is not None:
        if isinstance(error, ImportError):
            name = (error.name or "").partition(".")[0]
            if name in (*OPTIONAL, *_OF_DEV) and find_spec(name) is None:
                return f"{name} is not installed: make setup EXTRAS=dev"
        named = error.filename if isinstance(error, FileNotFoundError) else None
        if isinstance(named, str | Path) and is_left_out(Path(named)):
            return f"{Path(os.path.relpath(named, ROOT)).parts[0]}/ is not in this clone"
        error = error.__cause__ or error.__context__
    return None


def skip_where_absent(report: Any, error: BaseException | None, place: str) -> Any:
    """The report of a test or module, as skipped where it failed for want of something that is not here."""
    if report.failed and (reason := absence_behind(error)):
        report.outcome = "skipped"
        report.longrepr = (place, 0, f"Skipped: {reason}")
    return report
