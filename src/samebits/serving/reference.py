"""The page at /docs: the routes with examples to copy, from OpenAPI. Plain HTML, so that it needs no network."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from html import escape
from typing import Any

_LONGEST = 600
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
pre { overflow-x: auto; padding: .8rem; border: 1px solid #8886; border-radius: .3rem; font-size: .85rem }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0 }
h2 { margin-top: 2.5rem }
""".strip()  # noqa: E501


def reference_page(openapi: Mapping[str, Any], url: str, *, token: bool) -> str:
    """HTML of it.

    Args:
        url: of the server, as `http://127.0.0.1:8000`.
        token: whether requests need one.
    """
    title = escape(openapi["info"]["title"])
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<style>{_STYLE}</style><h1>{title}</h1><p>For programs: <a href="/openapi.json">/openapi.json</a>.',
    ]
    for path, methods in openapi["paths"].items():
        for method, described in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(described['summary'])}.")
            parts += [f"<pre>{escape(line)}</pre>" for line in _examples(url + path, described, token)]
            body = described.get("requestBody", {}).get("content", {}).get("application/json")
            if body:
                parts += ["<h3>Body</h3>", _table(_fields(body["schema"]))]
            answers = {code: each["description"] for code, each in described["responses"].items()}
            parts += ["<h3>Responses</h3>", _table(sorted(answers.items()))]
    return "\n".join(parts)


def _examples(url: str, described: Mapping[str, Any], token: bool) -> list[str]:
    more = ["-H", "Authorization: Bearer TOKEN"] if token else []
    content = described.get("requestBody", {}).get("content", {})
    if not content:
        return [shlex.join(["curl", "-s", url, *more])]
    example = json.dumps(content["application/json"].get("example"), ensure_ascii=False)
    lines = []
    if "example" in content["application/json"] and len(example) <= _LONGEST:
        lines.append(shlex.join(["curl", "-sN", url, *more, "-H", "Content-Type: application/json", "-d", example]))
    if "multipart/form-data" in content:
        lines.append(shlex.join(["curl", "-s", url, *more, "-F", "files=@FILE"]))
    return lines


def _fields(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, each in schema["properties"].items():
        told = [each.get("description", "")]
        told += ["needed"] if name in schema.get("required", ()) else [f"default: {json.dumps(each.get('default'))}"]
        rows.append((name, "; ".join(filter(None, told))))
    return rows


def _table(rows: list[tuple[str, str]]) -> str:
    lines = (f"<tr><td><code>{escape(name)}</code><td>{escape(text)}" for name, text in rows)
    return f"<table>{''.join(lines)}</table>"
