"""`samebits doctor`: what a run and the sharing of it need here, looked at before hours are spent.

    samebits doctor            one line each: ok, warning or error, with the fix
    samebits doctor --json     the same for programs

Exit code 0 if nothing is an error, else 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from samebits.base.errors import EXIT_DIFFERENT, UserError
from samebits.base.paths import Project
from samebits.base.redaction import without_secrets
from samebits.base.result import Result
from samebits.sharing.doctor import checks
from samebits.sharing.doctor.finding import Line


class Findings(Result):
    """What the checks found, each line as soon as it is known."""

    def __init__(self, found: Iterator[Line]) -> None:
        self._found = found
        self._healthy = True

    @property
    def exit_code(self) -> int:
        """Once all is looked at."""
        return 0 if self._healthy else EXIT_DIFFERENT

    def lines(self) -> Iterator[str]:
        for line in self._each():
            yield f"{line.state:<7}  {line.name:<9}  {line.text}"
            if line.fix:
                yield f"{'':20}fix: {line.fix}"

    def json(self) -> dict[str, Any]:
        found = [asdict(line) for line in self._each()]
        return {"healthy": self._healthy, "lines": found}

    def _each(self) -> Iterator[Line]:
        for line in self._found:
            self._healthy &= line.state != "error"
            yield line


def doctor(project: Project, timeout: float = 30.0) -> Findings:
    """Look at everything.

    Args:
        timeout: seconds for a remote's first answer.
    """
    return Findings(examine(project, timeout))


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
