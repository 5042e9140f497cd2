"""docs/team.md for real, on loopback: nginx, `mlflow server` with passwords, PostgreSQL and an S3-compatible store.

What is killed is killed with SIGKILL, what is full is full; nothing is lost, nothing is there twice.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from samebits.model_registry.register import Registry, mlflow_errors
from samebits.tracking.journal.record import read_records
from samebits.tracking.journal.spawn import read_sent
from samebits.tracking.ui.housekeeping import JournalState, journal_states
from tests.helpers.mlflow_site import Site, eventually, once, runs_of
from tests.helpers.registry import go_through_the_gate, make_project
from tests.helpers.team_server import ADMIN, FIRST, PASSWORD, USER, Authority, Team, become, hash_quickly, send

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_S = 300
FIGURE = 3 << 20


class Training:
    """A training of 600 points under way: at its 200th it waits until the test has done to the server what it does."""

    def __init__(self, site: Site, seed: int, team: Team) -> None:
        self.site = site
        self._go = site.project.home / "go"
        stage = site.project.home / "stage.py"
        wait = "    while step == 200 and not Path('go').exists(): time.sleep(0.05)\n    time.sleep(float(pause))"
        end = "tracker.artifact(Path('figure.bin'))\nprint(\"done\""
        (site.project.home / "figure.bin").write_bytes(bytes(FIGURE))
        text = stage.read_text().replace("    time.sleep(float(pause))", wait).replace('print("done"', end)
        stage.write_text(text.replace("import sys, time", "import sys, time\nfrom pathlib import Path"))
        self._process = site.start("train", seed=seed, last=600, pause=0.002)
        eventually(lambda: any(run.data.params.get("seed") == str(seed) for run in runs_of(team.uri)))

    def end(self) -> str:
        """Let it go on to its end; returns what it said."""
        self._go.touch()
        output, _ = self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0, output
        assert "done" in output
        return output


def journal_after(site: Site, output: str) -> JournalState:
    """The journal of a stage that could not deliver: it waits, and at most one warning said so."""
    (record,) = read_records(site.project)
    eventually(lambda: bool(read_sent(record.folder).get("problem")))
    # It would try for half a minute more.
    for process in psutil.process_iter(["cmdline"]):
        if str(record.folder) in (process.info["cmdline"] or []):
            process.kill()
    site.settle(delivered=False)
    (state,) = journal_states(site.project)
    assert state.state == "waiting"
    # On a busy machine the first try may come after the stage's end: then `runs status` alone has what it met.
    assert output.count("warning") <= 1
    assert ("runs sync" in output) == ("warning" in output)
    return state


def test_users_need_their_password_and_the_authority_and_no_key_of_the_bucket(tmp_path: Path, team: Team) -> None:
    from mlflow import MlflowClient

    site = team.site(tmp_path / "right")
    assert "warning" not in site.run("train", seed=1)
    site.settle()
    assert team.state(1) == ("FINISHED", once("train", 20))
    run = team.run(1)
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert any(key.endswith("params.yaml") for key in team.bucket.objects())
    got = MlflowClient(team.uri).download_artifacts(run.info.run_id, "params.yaml", str(tmp_path))
    assert Path(got).read_text() == "seed: 0\n"


def test_a_wrong_password_costs_a_warning_and_with_the_right_one_everything_arrives(tmp_path: Path, team: Team) -> None:
    before = len(runs_of(team.uri))
    site = team.site(tmp_path / "wrong", "mistyped")
    output = site.run("train", seed=2)
    assert "mistyped" not in output
    assert "refuses user and password (401): set MLFLOW_TRACKING_USERNAME" in journal_after(site, output).problem
    assert len(runs_of(team.uri)) == before
    send(site)
    assert team.state(2) == ("FINISHED", once("train", 20))


def test_a_password_that_expires_under_a_training_is_set_anew_and_synced(
    tmp_path: Path, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.server import get_app_client

    site = team.site(tmp_path / "expired")
    training = Training(site, 3, team)
    fresh = "a-fresh-password-3"
    become(monkeypatch, team.authority, ADMIN, FIRST)
    get_app_client("basic-auth", team.uri).update_user_password(USER, fresh)
    try:
        output = training.end()
        assert "(401): set MLFLOW_TRACKING_USERNAME" in journal_after(site, output).problem
        become(monkeypatch, team.authority, USER, fresh)
        assert team.run(3).info.status == "RUNNING"
        send(site)
        assert team.state(3) == ("FINISHED", once("train", 600))
    finally:
        become(monkeypatch, team.authority, ADMIN, FIRST)
        get_app_client("basic-auth", team.uri).update_user_password(USER, PASSWORD)
        hash_quickly(team.postgres, USER, PASSWORD)


def test_a_wrong_authority_costs_a_warning_that_names_the_fix(
    tmp_path: Path, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    from samebits.base.errors import UserError
    from samebits.tracking.upload.sync import sync

    site = team.site(tmp_path / "authority")
    other = str(Authority(tmp_path / "other").root)
    site.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"] = other
    output = site.run("train", seed=4)
    fix = "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of the authority that signed it"
    assert "done" in output
    assert fix in journal_after(site, output).problem
    for value in (other, "", str(tmp_path / "nothing.pem")):
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", value)
        with pytest.raises(UserError, match="certificate") as raised:
            sync(site.project)
        assert ("nothing.pem" in raised.value.problem) if "nothing" in value else (fix in raised.value.fix)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(team.authority.root))
    send(site)
    assert team.state(4) == ("FINISHED", once("train", 20))


def test_the_pages_requests_pass_nginx_and_those_of_another_site_do_not(team: Team) -> None:
    """A browser names the page's own address with each POST; MLflow lets it pass only where it is told to."""
    import base64
    import ssl

    context = ssl.create_default_context(cafile=str(team.authority.root))
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    codes = {}
    for origin in (team.uri, "https://elsewhere.example"):
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json", "Origin": origin}
        url = f"{team.uri}/ajax-api/2.0/mlflow/experiments/search"
        request = urllib.request.Request(url, b'{"max_results": 1}', headers)
        try:
            with urllib.request.urlopen(request, context=context) as answer:
                codes[origin] = answer.status
        except urllib.error.HTTPError as error:
            codes[origin] = error.code
    assert codes == {team.uri: 200, "https://elsewhere.example": 403}


def test_database_and_server_are_killed_under_a_training(tmp_path: Path, team: Team) -> None:
    site = team.site(tmp_path / "killed")
    training = Training(site, 5, team)
    team.postgres.stop("immediate")
    team.postgres.start()
    team.server.kill()
    team.server.start()
    training.end()
    site.settle()
    assert team.state(5) == ("FINISHED", once("train", 600))


@pytest.mark.parametrize(("place", "seed"), [("tables", 6), ("objects", 7)])
def test_a_full_disk_at_the_server_loses_nothing(tmp_path: Path, team: Team, place: str, seed: int) -> None:
    """PostgreSQL's tables and the bucket lie on a small disk each, which fills up under a training."""
    if not team.disks:
        pytest.skip("no small disk can be mounted here: this needs root and the right to mount")
    from mlflow import MlflowClient

    site = team.site(tmp_path / "full")
    training = Training(site, seed, team)
    disk = team.disks[place]
    disk.fill()
    try:
        output = training.end()
        problem = journal_after(site, output).problem
        assert re.search(r"error 50\d: its log says why|500 Server Error|does not answer in time", problem), problem
        if place == "tables":
            assert team.state(seed)[0] == "RUNNING"
    finally:
        disk.make_room()
        if place == "objects":
            # It takes its volumes for read-only until it looks again, or is started again.
            team.bucket.kill()
            team.bucket.start()
    send(site)
    assert team.state(seed) == ("FINISHED", once("train", 600))
    got = MlflowClient(team.uri).download_artifacts(team.run(seed).info.run_id, "figure.bin", str(tmp_path))
    assert Path(got).stat().st_size == FIGURE


def test_the_registry_works_as_on_the_own_store(tmp_path: Path, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "registry", monkeypatch)
    (tmp_path / "downloads").mkdir()
    go_through_the_gate(project, monkeypatch, tmp_path / "downloads")
    assert any("model.onnx" in key for key in team.bucket.objects())
    assert not project.mlruns.exists()

    # Another user may look, and gets one line for the rest.
    from mlflow.server import get_app_client

    from samebits.base.errors import UserError

    become(monkeypatch, team.authority, ADMIN, FIRST)
    get_app_client("basic-auth", team.uri).create_user("bob", "a-long-password-4")
    become(monkeypatch, team.authority, "bob", "a-long-password-4")
    registry = Registry(project, "m")
    champion = registry.by_alias("champion")
    assert champion is not None
    assert str(champion.version) == "1"
    with pytest.raises(UserError, match="denies it to this user"), mlflow_errors(project):
        registry.point("candidate", champion)
