"""share and receive through real servers on loopback: the way there and back, and each fault of a server by name."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import servers
from tests.helpers.ports import free_port
from tests.helpers.team import Person, Team, flip, object_of, objects_in

pytestmark = pytest.mark.slow

SHARD = "data/prepared/shards/002.bin"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3]:
    with servers.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Ssh]:
    with servers.ssh(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Web]:
    with servers.web(tmp_path_factory.mktemp("web")) as server:
        yield server


def there_and_back(
    team: Team, url: str, options: dict[str, str], damage: Callable[[str], None], **environment: str
) -> Person:
    """Share; a fresh clone receives and runs nothing; a damaged object is named there and repaired here."""
    team.add_remote(url, **options)
    assert "shared: 10 objects" in team.ann.ok("share", **environment)
    assert "sent now: 0 objects" in team.ann.ok("share", "--quick", **environment)
    assert doctor(team.ann, **environment) == [["ok", "wrote, listed, read back, deleted"]]
    assert "sent now: 0 objects" in team.ann.ok("share", "--quick", **environment)
    bob = team.clone("bob", **options)
    assert "every hash checked (10 fetched now)" in bob.ok("receive", **environment)
    assert "Running stage" not in bob.dvc("repro", **environment).stdout
    shard = object_of(team, SHARD)
    damage(shard)
    eve = team.clone("eve", **options)
    message = eve.refused("receive", **environment)
    assert "damaged on remote 'store'" in message
    assert SHARD in message
    said = team.ann.ok("share", **environment)
    assert f"damaged: {SHARD}" in said
    assert "sent again, good now: 1 objects" in said
    eve.ok("receive", **environment)
    return bob


_DOCTOR = """
import json, sys
from pathlib import Path
from samebits.base.paths import Project
from samebits.sharing.doctor.checks import remote
lines = list(remote(Project(Path.cwd(), Path.cwd()), 30))
print(json.dumps([[line.state, line.text.partition("): ")[2].partition(" in ")[0] or line.text] for line in lines]))
"""


def doctor(person: Person, **environment: str) -> list[list[str]]:
    """State and finding of each remote, as `samebits doctor` has them."""
    done = person.run(sys.executable, "-c", _DOCTOR, **environment)
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_s3(team: Team, s3: servers.S3) -> None:
    def damage(oid: str) -> None:
        client: Any = s3.client()
        path = f"bucket/team/files/md5/{oid[:2]}/{oid[2:]}"
        data = bytearray(client.cat(path))
        data[9] ^= 1
        client.pipe(path, bytes(data))

    there_and_back(team, s3.url, s3.options, damage)
    assert servers.SECRET not in (team.ann.folder / ".dvc" / "config").read_text()
    # Deleted on the server: DVC asks its index and says that all is well.
    oid = object_of(team, SHARD)
    client: Any = s3.client()
    client.rm(f"bucket/team/files/md5/{oid[:2]}/{oid[2:]}")
    assert "Everything is up to date" in team.ann.dvc("push").stdout
    assert f"missing: {SHARD}" in team.ann.ok("share", "--quick")


def test_ssh_with_a_key_and_known_hosts(team: Team, ssh: servers.Ssh) -> None:
    there_and_back(
        team, ssh.url, ssh.options, lambda oid: flip(objects_in(ssh.store)[oid]), **ssh.environment()
    )  # fmt: skip


@pytest.mark.alone
def test_webdav(team: Team, web: servers.Web) -> None:
    there_and_back(team, web.dav, web.options, lambda oid: flip(objects_in(web.store)[oid]))


def test_http_gives_and_does_not_take(team: Team, web: servers.Web) -> None:
    team.add_remote(str(web.store))
    team.ann.ok("share")
    team.add_remote(web.http)
    bob = team.clone("bob")
    assert "every hash checked (10 fetched now)" in bob.ok("receive")
    assert "Running stage" not in bob.dvc("repro").stdout
    assert doctor(bob) == [["ok", f"remote 'store' ({web.http}) answers; to be read only"]]
    # All is there: that can be checked without writing.
    assert "sent now: 0 objects" in bob.ok("share")
    bob.set(lr=7)
    bob.repro()
    message = bob.refused("share")
    assert "can be read but not written" in message
    path = objects_in(web.store)[object_of(team, SHARD)]
    flip(path)
    assert SHARD in team.clone("eve").refused("receive")


S3_FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "wrong key": ({"access_key_id": "nobody"}, "refuses the credentials"),
    "wrong secret": ({"secret_access_key": "wrong-planted-2"}, "refuses the credentials"),  # pragma: allowlist secret
    "no such bucket": ({"url": "s3://nothing-here/x"}, "has no such bucket"),
    "reads only": ({"access_key_id": "reader", "secret_access_key": "reader-secret"}, "does not allow this"),
    "down": ({"endpointurl": "http://127.0.0.1:9"}, "cannot be reached"),
}


@pytest.mark.parametrize("fault", S3_FAULTS)
def test_each_fault_of_s3_is_one_clear_message(team: Team, s3: servers.S3, fault: str) -> None:
    options, wanted = S3_FAULTS[fault]
    team.add_remote("s3://bucket/faults", **(s3.options | options))
    message = team.ann.refused("share")
    assert wanted in message
    assert message.count("\n") == 2
    assert servers.SECRET not in message
    assert "planted" not in message
    # Mended, it goes through.
    team.add_remote("s3://bucket/faults", **s3.options)


def test_no_credentials_at_all(team: Team, s3: servers.S3, tmp_path: Path) -> None:
    team.add_remote(s3.url, endpointurl=s3.endpoint)
    message = team.ann.refused("share", HOME=str(tmp_path), AWS_EC2_METADATA_DISABLED="true")
    assert "wants credentials, and there are none" in message


@pytest.mark.parametrize(("code", "wanted"), [
    ("ExpiredToken", "the token has expired"),
    ("RequestTimeTooSkewed", "this machine's clock is wrong"),
])  # fmt: skip
def test_what_a_provider_says_of_tokens_and_clocks(team: Team, code: str, wanted: str) -> None:
    """In Amazon's words, which SeaweedFS does not use of tokens: here a server answers as Amazon's does."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
    with canned(answer, body) as endpoint:
        team.add_remote(
            "s3://bucket/x", endpointurl=endpoint, access_key_id="k", secret_access_key="s", session_token="t",
            region="us-east-1",
        )  # fmt: skip
        assert wanted in team.ann.refused("share")


def test_a_session_that_has_ended(team: Team, s3: servers.S3, tmp_path: Path) -> None:
    """Credentials of SeaweedFS's own token service, which end after a second: it then knows no such key."""
    for way in ("config", "environment"):
        options, environment = s3.session(), {}
        time.sleep(servers.SESSION_S + 1)
        if way == "environment":
            names = ("access_key_id", "secret_access_key", "session_token")
            environment = {f"AWS_{name.upper()}": options.pop(name) for name in names} | {"HOME": str(tmp_path)}
        (team.ann.folder / ".dvc" / "config.local").unlink(missing_ok=True)
        team.add_remote("s3://bucket/session", **options)
        message = team.ann.refused("share", **environment)
        assert "those of a session: it has ended, or they are wrong" in message
        assert "aws sso login" in message
    # With new ones it goes through.
    team.add_remote("s3://bucket/session", **s3.session(900))
    assert "every one read back" in team.ann.ok("share")


def test_a_clock_that_is_wrong(team: Team, s3: servers.S3, tmp_path: Path) -> None:
    """Signed an hour ago, by this machine's clock: the real server refuses it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import datetime\n"
        "try:\n    import botocore.compat as c, botocore.auth as a\n"
        "except ImportError:\n    pass\n"
        "else:\n"
        "    old = c.get_current_datetime\n"
        "    a.get_current_datetime = lambda *x, **k: old(*x, **k) - datetime.timedelta(hours=1)\n"
    )
    from tests.helpers.workspace import ROOT

    team.add_remote(s3.url, **s3.options)
    message = team.ann.refused("share", PYTHONPATH=f"{tmp_path}:{ROOT / 'src'}")
    assert "this machine's clock is wrong" in message


class canned:
    """A server with one answer for everybody: `head` and, unless asked with HEAD, `body`. With b"" it never answers."""

    def __init__(self, head: bytes, body: bytes = b"") -> None:
        self._head, self._body = head, body
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._kept: list[socket.socket] = []

    def __enter__(self) -> str:
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self._kept.append(peer)
            if self._head:
                threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        with peer:
            while data := peer.recv(65536):
                peer.sendall(self._head + (b"" if data.startswith(b"HEAD") else self._body))

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        for peer in self._kept:
            peer.close()


@pytest.mark.parametrize("kind", ["s3", "ssh", "webdav", "http"])
def test_a_server_that_does_not_answer_is_not_waited_for_forever(team: Team, kind: str) -> None:
    with canned(b"") as endpoint:
        address = endpoint.partition("://")[2]
        urls = {"s3": "s3://bucket/x", "ssh": f"ssh://{address}/x", "webdav": f"webdav://{address}/x",
                "http": f"http://{address}/x"}  # fmt: skip
        team.add_remote(urls[kind])
        if kind == "s3":
            Team.configure(team.ann, endpointurl=endpoint, access_key_id="k", secret_access_key="s")
        for command in ("share", "receive"):
            message = team.ann.refused(command, "--timeout", "2")
            assert "does not answer in time (no answer within 2 s)" in message


SSH_FAULTS = ["wrong host key", "unknown host", "wrong key", "down", "not allowed"]


@pytest.mark.parametrize("fault", SSH_FAULTS)
def test_each_fault_of_ssh_is_one_clear_message(team: Team, ssh: servers.Ssh, fault: str, tmp_path: Path) -> None:
    url, options, home = ssh.url + "/faults", dict(ssh.options), tmp_path
    (home / ".ssh").mkdir()
    known = (ssh.home / ".ssh" / "known_hosts").read_text()
    key = (Path(options["keyfile"]).parent / "stranger.pub").read_text().split()[1]
    if fault == "wrong host key":
        known = " ".join([*known.split()[:2], key]) + "\n"
    elif fault == "unknown host":
        known = ""
    elif fault == "wrong key":
        options["keyfile"] = str(Path(options["keyfile"]).parent / "stranger")
    elif fault == "down":
        url = f"ssh://127.0.0.1:{free_port()}/x"
    elif fault == "not allowed":
        url = url.replace(str(ssh.store), "/proc/samebits")
    (home / ".ssh" / "known_hosts").write_text(known)
    team.add_remote(url, **options)
    message = team.ann.refused("share", HOME=str(home))
    wanted = {
        "wrong host key": "does not show the host key",
        "unknown host": "does not show the host key",
        "wrong key": "refuses the credentials",
        "down": "cannot be reached",
        "not allowed": "remote 'store'",
    }[fault]
    assert wanted in message


@pytest.mark.parametrize("fault", ["wrong password", "no such folder", "down"])
def test_each_fault_of_webdav_is_one_clear_message(team: Team, web: servers.Web, fault: str) -> None:
    url, options = web.dav, dict(web.options)
    if fault == "wrong password":
        options["password"] = "wrong-planted-2"  # pragma: allowlist secret
    elif fault == "no such folder":
        url = url.replace("/dav", "/nothing")
    else:
        url = f"webdav://127.0.0.1:{free_port()}/dav"
    team.add_remote(url, **options)
    message = team.ann.refused("share")
    wanted = {
        "wrong password": "refuses the credentials",  # pragma: allowlist secret
        "no such folder": "can be read but not written",
        "down": "cannot be reached",
    }[fault]
    assert wanted in message
    assert "planted" not in message


def test_a_plugin_that_is_missing_is_named_with_its_extra(team: Team, tmp_path: Path) -> None:
    team.add_remote("gs://bucket/x")
    message = team.ann.refused("share")
    assert "DVC's plugin for it is not installed" in message
    assert "pip install 'dvc[gs]'" in message
