"""What looks like a credential, in patches, messages and logs; tools/credentials.py has it for commits."""

from __future__ import annotations

import re

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

ASSIGNED = re.compile(
    r"(?i:\b[\w-]*(?:password|passwd|secret|api_?key|access_?key|account_?key|auth_?token|session_?token|sas_?token)"
    r"[\w-]*\\?['\"]?\s*[:=]\s*\\?['\"]?(?=[^\s'\"\\]*[0-9])[^\s'\"\\(){}\[\]]{8,})"
)
"""`password = …`, `"api_key": "…"`: a value with a digit, 8 characters or more, no call and no template."""

_ANY_ADDRESS = re.compile(r"\w+://[^/\s:@'\"]+:[^/\s:@'\"]+@")


def first_secret(text: str) -> int | None:
    """Number of the first line (from 1) that looks like a credential, by the strictest rules, or None.

    For what leaves the machine unasked (a recorded patch, a command line): nothing is excepted by a remark.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if any(shape.search(line) for shape in (*SHAPES.values(), ASSIGNED, _ANY_ADDRESS)):
            return number
    return None


def without_secrets(text: str) -> str:
    """A text in which everything that looks like a credential is `***`, and addresses have no user or password."""
    text = re.sub(r"(\w+://)[^/@\s]+@", r"\1", text)
    for shape in SHAPES.values():
        text = shape.sub("***", text)
    return ASSIGNED.sub(lambda found: re.sub(r"([:=]\s*\\?['\"]?)[^:=]*$", r"\1***", found[0]), text)
