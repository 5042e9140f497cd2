"""The servers of docs/team.md, up for the whole session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.disk import Disk
from tests.helpers.ports import free_port
from tests.helpers.postgres import Postgres
from tests.helpers.team_server import (
    ADMIN,
    FIRST,
    NAME,
    PASSWORD,
    USER,
    Authority,
    Bucket,
    Nginx,
    Team,
    TeamServer,
    become,
    hash_quickly,
)


@pytest.fixture(scope="session")
def _team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    pytest.importorskip("flask_wtf")
    folder = tmp_path_factory.mktemp("team")
    closing = []
    try:
        authority = Authority(folder / "authority")
        postgres = Postgres()
        closing.append(postgres.close)
        disks = {name: disk for name in ("tables", "objects") if (disk := Disk.mount()) is not None}
        for disk in disks.values():
            closing.insert(0, disk.unmount)
        if disks:
            postgres.tablespace("small", disks["tables"].folder / "tables", ("mlflow", "auth"))
        bucket = Bucket(folder / "bucket", disks["objects"].folder if disks else folder / "objects")
        closing.append(bucket.kill)
        port = free_port()
        uri = f"https://{NAME}:{port}"
        server = TeamServer(folder / "server", postgres, bucket, uri)
        closing.append(server.kill)
        server.start()
        closing.append(Nginx(folder / "nginx", authority, port, server.uri).close)
        with pytest.MonkeyPatch.context() as patch:
            become(patch, authority, ADMIN, FIRST)
            from mlflow.server import get_app_client

            get_app_client("basic-auth", uri).create_user(USER, PASSWORD)
        hash_quickly(postgres, ADMIN, FIRST)
        hash_quickly(postgres, USER, PASSWORD)
        yield Team(uri, server, bucket, postgres, authority, disks)
    finally:
        for close in reversed(closing):
            close()


@pytest.fixture
def team(_team: Team, monkeypatch: pytest.MonkeyPatch) -> Team:
    """The servers, up since the first test that asked; this process is the user `USER`."""
    become(monkeypatch, _team.authority, USER, PASSWORD)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _team.uri)
    return _team
