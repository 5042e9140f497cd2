"""Credentials that detect-secrets does not know by itself; the commit hook loads this file as its plugin."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import PurePath
from typing import Any

from detect_secrets.core.potential_secret import PotentialSecret
from detect_secrets.plugins.base import BasePlugin

from samebits.base.redaction import ASSIGNED, SHAPES

SECRET_OPTIONS = frozenset(
    {
        "access_key_id",
        "account_key",
        "client_secret",
        "connection_string",
        "custom_auth_header",
        "gdrive_client_secret",
        "gdrive_service_account_json_file_path",
        "oss_key_id",
        "oss_key_secret",
        "passphrase",
        "password",
        "sas_token",
        "secret_access_key",
        "session_token",
        "sse_customer_key",
        "token",
    }
)
"""Options of DVC remotes that carry a secret. Their place is .dvc/config.local, which git ignores."""

_OPTION = re.compile(rf"^\s*(?:{'|'.join(sorted(SECRET_OPTIONS))})\s*=\s*\S")


class CredentialDetector(BasePlugin):
    """What is redacted at run time; values of secret options in .dvc/config; assignments in notebooks' outputs."""

    secret_type = "Credential"  # pragma: allowlist secret

    def analyze_line(self, filename: str, line: str, *args: Any, **kwargs: Any) -> set[PotentialSecret]:
        path = PurePath(filename)
        own = [_OPTION] if path.parts[-2:] == (".dvc", "config") else [ASSIGNED] if path.suffix == ".ipynb" else []
        return super().analyze_line(filename, line, *args, shapes=[*SHAPES.values(), *own], **kwargs)

    def analyze_string(
        self, string: str, *, shapes: list[re.Pattern[str]] | None = None, **_: Any
    ) -> Generator[str, None, None]:
        for shape in SHAPES.values() if shapes is None else shapes:
            yield from (found[0] for found in shape.finditer(string))
