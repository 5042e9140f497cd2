"""Two checks before a commit: no credentials in tracked files, no large files beside DVC.

    python tools/check_commit.py secrets FILE…    exit 1 if a file holds what looks like a key or a password
    python tools/check_commit.py sizes FILE…      exit 1 if a file is larger than 1 MiB

A line that is meant can say so with `pragma: allowlist secret`.
"""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path

LARGEST_BYTES = 1 << 20
ALLOWED = "pragma: allowlist secret"

# Options of DVC remotes that carry a secret. Their place is .dvc/config.local, which git ignores.
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
        "token",
    }
)

# Shapes that are secrets wherever they stand. The vendors publish them so that scanners find them.
SHAPES = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{50,})\b"),
    "a Google API key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"),
    "a Hugging Face token": re.compile(r"\bhf_[0-9A-Za-z]{30,}\b"),
    "an Azure storage key": re.compile(r"AccountKey=[0-9A-Za-z+/]{40,}={0,2}"),
    "a Slack token": re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}"),
    "a password in an address": re.compile(
        r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}$<>]+:(?!password@)[^\s/:@'\"{}$<>]{3,}"
        r"@(?!127\.|localhost\b|\[::1\]|host\b|(?:[\w-]+\.)*example\b)[\w.\[]"  # an example, or this machine
    ),
}


def secrets_in(text: str) -> list[tuple[int, str]]:
    """(line number, what it looks like) of everything in a text that has the shape of a credential."""
    return [
        (number, kind)
        for number, line in enumerate(text.splitlines(), start=1)
        if ALLOWED not in line
        for kind, shape in SHAPES.items()
        if shape.search(line)
    ]


def secrets_in_dvc_config(text: str) -> list[tuple[str, str]]:
    """(section, option) of every option of a DVC configuration that carries a secret."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    return [
        (section, option) for section in parser.sections() for option in parser[section] if option in SECRET_OPTIONS
    ]


def check_secrets(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    problems = [f"{path}:{number}: {kind}" for number, kind in secrets_in(text)]
    if path.parts[-2:] == (".dvc", "config"):
        problems += [
            f"{path}: [{section}] {option}: give it with `dvc remote modify --local`, which writes .dvc/config.local"
            for section, option in secrets_in_dvc_config(text)
        ]
    return problems


def check_size(path: Path) -> list[str]:
    size = path.stat().st_size
    if size <= LARGEST_BYTES:
        return []
    return [f"{path}: {size / 2**20:.1f} MiB is too much for git; make it an output of a stage, or `dvc add` it"]


def main(arguments: list[str]) -> int:
    checks = {"secrets": check_secrets, "sizes": check_size}
    if not arguments or arguments[0] not in checks:
        print(__doc__, file=sys.stderr)
        return 2
    problems = [problem for name in arguments[1:] for problem in checks[arguments[0]](Path(name))]
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
