"""The MLflow UI on the project's store: one URL, two processes."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.tracking.journal.spawn import sender_environment
from samebits.tracking.tracking_uri import Target, check_scheme, pick_target
from samebits.tracking.upload.replayed import record_missing

_HOST = "127.0.0.1"
_PORT = 5000
# Importing MLflow takes over a minute on a machine with ten times the work that it has cores for.
_START_S = 180.0
# Else the sidebar has the pages for traces of language models.
_TRAINING_PAGES = "workflowType=machine_learning"


def run_ui(project: Project, experiment: str, say: Callable[[str], None] = print) -> int:
    """Serve until Ctrl-C. With `MLFLOW_TRACKING_URI` on a server, its URL is said and nothing is started.

    `SAMEBITS_UI_PORT` names the port; else it is 5000, or a free one if that is taken.

    Returns:
        The server's exit code; 0 after Ctrl-C or SIGTERM.

    Raises:
        UserError: if the named port is taken, the URI is wrong or the server does not start.
    """
    target = pick_target(project)
    check_scheme(target)
    if target.uri.startswith(("http://", "https://")):
        say(f"MLflow runs at {target.shown}")
        return 0
    importlib.import_module("flask")  # else the server ends at once; its message would be in a file
    say(f"starting MLflow's pages on the runs in {target.shown}; the address follows in a few seconds")
    page, options = "0", _TRAINING_PAGES
    if target.local:
        page, view = _open_local(project, target, experiment, say)
        options += f"&{view}"
    port = pick_port(os.environ.get("SAMEBITS_UI_PORT", ""))
    environ = sender_environment()
    # MLflow's job runner starts eight more processes (1.4 GB) that only its GenAI features use.
    environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", target.uri, "--workers", "1"]
    command += ["--host", _HOST, "--port", str(port), "--default-artifact-root", "mlruns/artifacts"]
    with (project.state / "ui.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=project.home, env=environ, stdout=log, stderr=log)
    # A plain SIGTERM would leave the server behind.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _wait_until_up(server, port, str(project.state / "ui.log"))
        say(f"MLflow UI: http://{_HOST}:{port}/#/experiments/{page}/runs?{options}  (Ctrl-C ends it)")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
        _stop(server)


def _open_local(project: Project, target: Target, experiment: str, say: Callable[[str], None]) -> tuple[str, str]:
    """The project's own store: the id of the experiment, and what the page's address needs for the view.

    Raises:
        UserError: if the store is damaged, or of another version of MLflow.
    """
    from samebits.tracking.ui.columns import share_view
    from samebits.tracking.upload.mlflow_store import MlflowStore, explain_broken

    os.chdir(project.home)  # relative artefact locations count from here
    store = MlflowStore(project, target)
    try:
        page = store.prepare(experiment)
        view = share_view(store.client, page)
        made = record_missing(project, store)
    except UserError:
        raise
    except Exception as error:  # what MLflow, Alembic and SQLAlchemy raise is not listed anywhere
        raise explain_broken(project.mlruns / "mlflow.db", error) from None
    if made:
        say(f"recorded from DVC's run cache: {', '.join(made)}")
    return page, view


def pick_port(wanted: str) -> int:
    """The wanted port if it is free; without a wish 5000, or any free one.

    Raises:
        UserError: if the wanted one is no free port.
    """
    if wanted:
        if not wanted.isdigit() or not 0 < int(wanted) < 65536 or not _is_free(int(wanted)):
            raise UserError(
                f"{wanted} is no free port (--port, SAMEBITS_UI_PORT)", "name another, or leave it out for a free one"
            )
        return int(wanted)
    if _is_free(_PORT):
        return _PORT
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _wait_until_up(server: subprocess.Popen[bytes], port: int, log: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise UserError(f"mlflow server ended with exit code {server.returncode}", f"see {log}")
        try:
            with urllib.request.urlopen(f"http://{_HOST}:{port}/health", timeout=1.0):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise UserError(f"mlflow server did not answer within {_START_S:.0f} s", f"see {log}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
