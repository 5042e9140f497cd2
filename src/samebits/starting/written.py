"""params.yaml written for the user: the difference is shown, and nothing that git does not have is lost."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from samebits.base.files import write_bytes
from samebits.base.git import file_at
from samebits.base.paths import Project
from samebits.pipeline.recipes import with_values

_BEFORE = "params-before-start.yaml"


def write_params(project: Project, values: dict[str, Any], say: Callable[[str], None], *, dry_run: bool) -> None:
    """Show the difference, keep the file as it was where git does not have it, and write.

    Args:
        values: all of params.yaml.
        dry_run: only show it.
    """
    file = project.params_file
    before, after = file.read_text(encoding="utf-8"), with_values(file, values)
    diff = list(
        difflib.unified_diff(before.splitlines(), after.splitlines(), "params.yaml", "params.yaml", n=0, lineterm="")
    )
    if not diff:
        say("params.yaml has these values already; run it: dvc repro")
        return
    for line in diff:
        say(f"    {line}")
    if dry_run:
        say("nothing is written (--dry-run)")
        return
    if file_at(project.workspace, "HEAD", file.name).decode(errors="replace") != before:
        kept = project.state / _BEFORE
        write_bytes(kept, before.encode())
        say(f"params.yaml had values that git does not have: the file as it was is {kept.relative_to(project.home)}")
    write_bytes(file, after.encode())
    say("params.yaml is written; run it: dvc repro (evaluate prints a baseline beside each number)")
