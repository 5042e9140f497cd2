"""The part of the release's lock that a project needs."""

from __future__ import annotations

import re
from importlib import metadata

from samebits.base.errors import UserError

_EXTRAS = ("ui", "sweep", "transformers")
"""Extras that a project has from the start: its README names their commands, recipes use them."""

_TOOLS = {"pytest", "setuptools", "uv"}
"""What a project's tests, the lock's one source package and the set-up need beside samebits."""


def needed_lock(text: str) -> str:
    """The packages of a lock that samebits with some extras, and a project's tests, ask for, directly or not.

    The lock itself says who asks for whom (`# via`), on every system and Python.

    Raises:
        UserError: if it does not lock a package that samebits asks for.
    """
    head, *blocks = re.split(r"(?m)^(?=[a-z0-9])", text)
    asked = {block.split("==")[0]: _via(block) for block in blocks}
    needed = {_canonical(each) for each in _requirements()} | _TOOLS
    if lost := sorted(needed - asked.keys()):
        raise UserError(f"the lock of this release does not have {', '.join(lost)}", "install samebits again")
    while more := {name for name, by in asked.items() if name not in needed and by & needed}:
        needed |= more
    return head + "".join(block for block in blocks if block.split("==")[0] in needed)


def _via(block: str) -> set[str]:
    """Who asks for the package of a block."""
    return {_canonical(line) for line in re.findall(r"(?m)^    #(?: via)? +([A-Za-z0-9][\w.-]*)$", block)}


def _requirements() -> list[str]:
    found = metadata.requires("samebits") or []
    ours = re.compile(rf"extra == ['\"]({'|'.join(_EXTRAS)})['\"]")
    wanted = [each for each in found if "extra ==" not in each or ours.search(each)]
    return [re.match(r"[\w.-]+", each)[0] for each in wanted]  # type: ignore[index]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
