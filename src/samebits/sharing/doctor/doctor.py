"""`samebits doctor`: what a run and the sharing of it need here, looked at before hours are spent.

    samebits doctor            one line each: ok, warning or error, with the fix
    samebits doctor --json     the same for programs

Exit code 0 if nothing is an error, else 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.redaction import without_secrets
from samebits.sharing.doctor import checks
from samebits.sharing.doctor.finding import Line

Say = Callable[[str], None]


def doctor(project: Project, *, as_json: bool = False, timeout: float = 30.0, say: Say = print) -> bool:
    """Look at everything and say what was found. Returns whether nothing is an error."""
    lines: list[Line] = []
    for line in examine(project, timeout):
        lines.append(line)
        if not as_json:
            say(f"{line.state:<7}  {line.name:<9}  {line.text}" + (f"\n{'':20}fix: {line.fix}" if line.fix else ""))
    healthy = all(line.state != "error" for line in lines)
    if as_json:
        say(json.dumps({"healthy": healthy, "lines": [asdict(line) for line in lines]}, indent=2))
    return healthy


def examine(project: Project, timeout: float = 30.0) -> Iterator[Line]:
    """Every finding. A check that fails on its own account is an error line, and the next one goes on."""
    parts: dict[str, Callable[[], Iterator[Line]]] = {
        "python": checks.python,
        "versions": lambda: checks.versions(project),
        "packages": lambda: checks.stage_packages(project),
        "torch": lambda: checks.torch_and_device(project),
        "data": lambda: checks.data_source(project),
        "git": lambda: checks.git_state(project),
        "dvc": lambda: checks.dvc_and_plugins(project),
        "lock": lambda: checks.lock(project),
        "remote": lambda: checks.remote(project, timeout),
        "mlflow": lambda: checks.mlflow_store(project),
        "disk": lambda: checks.disk(project),
    }
    for name, check in parts.items():
        try:
            yield from check()
        except UserError as error:
            yield Line(name, "error", without_secrets(error.problem), without_secrets(error.fix))
        except Exception as error:  # a check must not hide the others: the finding is that it failed, and how
            text = without_secrets(f"{type(error).__name__}: {error}".splitlines()[0])
            yield Line(name, "error", text, "unknown library error: see docs/remotes.md, or quote it when asking")
