"""A PostgreSQL server of the tests' own, on loopback, by Debian's binaries; tests skip where there are none."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.helpers.ports import free_port


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    named = shutil.which("initdb")
    return Path(named).resolve().parent if named else None


class Postgres:
    """One server; `stop` and `start` keep its data."""

    def __init__(self) -> None:
        binaries = _binaries()
        if binaries is None:
            pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
        pytest.importorskip("psycopg")
        self._bin = binaries
        # Outside of pytest's folders, which only their owner may enter; and a socket's path may have 107 characters.
        self._home = Path(tempfile.mkdtemp(prefix="samebits-pg-"))
        self._data = self._home / "data"
        self.port = free_port()
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            # The server refuses to run as root.
            shutil.chown(self._home, self._user)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "samebits", "-E", "UTF8")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        if self._user:
            command = ["runuser", "-u", self._user, "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/tmp")
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self._home} -c fsync=off"
        self._run("pg_ctl", "-D", str(self._data), "-l", f"{self._data}/log", "-o", options, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is as a kill: without a shutdown."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def url(self, database: str) -> str:
        """The address of a database, which is made."""
        import psycopg

        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=samebits dbname=postgres", autocommit=True) as db:
            found = db.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
            if found is None:
                db.execute(f'CREATE DATABASE "{database}"')
        return f"postgresql+psycopg://samebits@127.0.0.1:{self.port}/{database}"

    def execute(self, database: str, statement: str, *values: str) -> None:
        import psycopg

        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=samebits dbname={database}") as db:
            db.execute(statement, values)

    def tablespace(self, name: str, folder: Path, databases: tuple[str, ...]) -> None:
        """A place of its own for the tables of databases, which are made."""
        import psycopg

        folder.mkdir()
        if self._user:
            shutil.chown(folder, self._user)
        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=samebits dbname=postgres", autocommit=True) as db:
            db.execute(f"CREATE TABLESPACE \"{name}\" LOCATION '{folder}'")
            for database in databases:
                db.execute(f'CREATE DATABASE "{database}" TABLESPACE "{name}"')

    def close(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self._home, ignore_errors=True)
