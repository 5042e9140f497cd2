"""What looks like a credential, in any text: the one list for commits, recorded patches, messages and logs."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterator
from typing import Any

ALLOWED = "pragma: allowlist secret"
"""A line that holds this is meant as it is."""

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

SHAPES = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[0-9A-Za-z]{30,}|github_pat_[0-9A-Za-z_]{30,})\b"),
    "a GitLab token": re.compile(r"\bglpat-[0-9A-Za-z_-]{18,}"),
    "a Google API key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"),
    "a Hugging Face token": re.compile(r"\bhf_[0-9A-Za-z]{30,}\b"),
    "an API key": re.compile(r"\bsk[-_][0-9A-Za-z]{24,}"),
    "an Azure storage key": re.compile(r"AccountKey=[0-9A-Za-z+/]{40,}={0,2}"),
    "an Azure signature": re.compile(r"[?&]sig=[0-9A-Za-z%+/]{30,}"),
    "a signed S3 address": re.compile(r"X-Amz-Signature=[0-9a-f]{64}"),
    "a Slack token": re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}"),
    "a password in an address": re.compile(
        r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}$<>]+:(?!password@)[^\s/:@'\"{}$<>]{3,}"
        r"@(?!127\.|localhost\b|\[::1\]|host\b|(?:[\w-]+\.)*example\b)[\w.\[]"  # an example, or this machine
    ),
}
"""Shapes that are secrets wherever they stand. The vendors publish them so that scanners find them."""

_ASSIGNED = re.compile(
    r"(?i:\b[\w-]*(?:password|passwd|secret|api_?key|access_?key|account_?key|auth_?token|session_?token|sas_?token)"
    r"[\w-]*\\?['\"]?\s*[:=]\s*\\?['\"]?(?=[^\s'\"\\]*[0-9])[^\s'\"\\(){}\[\]]{8,})"
)
"""`password = …`, `"api_key": "…"`: a value with a digit, 8 characters or more, no call and no template."""

_ANY_ADDRESS = re.compile(r"\w+://[^/\s:@'\"]+:[^/\s:@'\"]+@")


def secrets_in(text: str, *, assigned: bool = False) -> list[tuple[int, str]]:
    """(line number, what it looks like) of everything in a text that has the shape of a credential.

    Args:
        assigned: also lines that give a value to a name like `password`. Right for parameters, notebooks and
            patches; in code it finds too much that is none.
    """
    shapes = SHAPES | ({"a password or key": _ASSIGNED} if assigned else {})
    return [
        (number, kind)
        for number, line in enumerate(text.splitlines(), start=1)
        if ALLOWED not in line
        for kind, shape in shapes.items()
        if shape.search(line)
    ]


def first_secret(text: str) -> int | None:
    """Number of the first line (from 1) that looks like a credential, by the strictest rules, or None.

    For what leaves the machine unasked (a recorded patch, a command line): nothing is excepted by a remark.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if any(shape.search(line) for shape in (*SHAPES.values(), _ASSIGNED, _ANY_ADDRESS)):
            return number
    return None


def without_secrets(text: str) -> str:
    """A text in which everything that looks like a credential is `***`, and addresses have no user or password."""
    text = re.sub(r"(\w+://)[^/@\s]+@", r"\1", text)
    for shape in SHAPES.values():
        text = shape.sub("***", text)
    return _ASSIGNED.sub(lambda found: re.sub(r"([:=]\s*\\?['\"]?)[^:=]*$", r"\1***", found[0]), text)


def secrets_in_dvc_config(text: str) -> list[tuple[str, str]]:
    """(section, option) of every option of a DVC configuration that carries a secret."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    return [
        (section, option) for section in parser.sections() for option in parser[section] if option in SECRET_OPTIONS
    ]


def secrets_in_notebook(text: str) -> list[tuple[str, str]]:
    """(place, what it looks like) in a notebook's sources and outputs, as `cell 3, output`.

    The JSON splits a cell's text into lines and escapes it, so the file's own lines are not what was typed.

    Raises:
        ValueError: if the text is no notebook.
    """
    notebook = json.loads(text)
    if not isinstance(notebook, dict):
        raise ValueError("not a notebook")
    found = []
    for number, cell in enumerate(notebook.get("cells", []), start=1):
        for part in ("source", "outputs"):
            content = "\n".join(_strings(cell.get(part, "")))
            found += [
                (f"cell {number}, {'output' if part == 'outputs' else 'code'}", kind)
                for _, kind in secrets_in(content, assigned=True)
            ]
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        if all(isinstance(each, str) for each in value):
            yield "".join(value)
        else:
            for each in value:
                yield from _strings(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            # A picture's base64 is no text.
            if not (isinstance(name, str) and name.startswith("image/")):
                yield from _strings(each)
