"""HTML pages that need no network and no other file: templates over `base.html.j2`, which holds the style.

A template extends `base.html.j2` and fills its block `body`; `training.html.j2` shows the training curves.
"""

from __future__ import annotations

import base64
from importlib.resources import files
from typing import Any

Details = list[tuple[str, list[tuple[str, str]]]]
"""Tables of (name, value) under a heading each, for the end of a page."""


def render(template: str, **values: Any) -> str:
    """A page; a function of its arguments alone.

    Args:
        template: a file of `templates/`, `classification.html.j2`.
        values: for the template; `title` and `details` among them.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def source(name: str) -> str:
        return files("samebits.evaluation.report").joinpath("templates", name).read_text(encoding="utf-8")

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(source),
    )
    return environment.get_template(template).render(**values)


def data_url(png: bytes | None) -> str:
    """A picture inside the page; empty for None."""
    return "" if png is None else "data:image/png;base64," + base64.b64encode(png).decode()
