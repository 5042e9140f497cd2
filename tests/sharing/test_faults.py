"""Kills, a full disk, two people at once, deletion of what is still needed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.amount import FULL
from tests.helpers.team import Person, Team, objects_in

pytestmark = [pytest.mark.slow]

KILLS = 20 if FULL else 10
SHARDS = 9 * KILLS


def kill_often(person: Person, command: str, count: Callable[[], int]) -> None:
    """Start a command often and kill it, with all that it started, as soon as it has moved some more objects."""
    draw = random.Random(7)
    for _ in range(KILLS):
        wanted = count() + draw.randint(1, 5)
        process = subprocess.Popen(
            [sys.executable, "-m", "samebits.cli.main", command], cwd=person.folder, env=person.environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while count() < wanted:
            assert process.poll() is None, "it ended before the kill"
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_killed_often_on_each_way_it_ends_complete(
    team: Team, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each object appears by a rename; a wait before each leaves time to kill in the middle of it.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\n"
        "def slow(old):\n"
        "    def wait(*names, **options):\n        time.sleep(0.03)\n        return old(*names, **options)\n"
        "    return wait\n"
        "os.rename, os.replace = slow(os.rename), slow(os.replace)\n"
    )
    team.ann.set(shards=SHARDS, bytes=50_000)
    team.ann.repro()
    monkeypatch.setattr(Person, "python_path", f"{tmp_path}{os.pathsep}")
    kill_often(team.ann, "share", lambda: len(whole(objects_in(local))))
    assert len(whole(objects_in(local))) < SHARDS, "the last kill came after the end"
    said = team.ann.ok("share")
    assert f"shared: {SHARDS + 5} objects" in said
    assert "every one read back" in said
    bob = team.clone("bob")
    kill_often(bob, "receive", lambda: len(whole(bob.cache())))
    # No output appears before everything is here.
    assert not (bob.folder / "data" / "prepared").exists()
    assert "every hash checked" in bob.ok("receive")
    assert "Running stage" not in bob.dvc("repro").stdout


def whole(objects: dict[str, Path]) -> list[str]:
    """Without temporary files."""
    return [oid for oid in objects if len(oid.removesuffix(".dir")) == 32]


def test_two_people_share_at_once(team: Team, local: Path) -> None:
    team.ann.ok("share")
    bob = team.clone("bob")
    bob.ok("receive")
    team.ann.set(lr=2, bytes=30_000)
    bob.set(lr=3, bytes=30_000)  # the same new data, another model
    for person in (team.ann, bob):
        person.repro()
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "samebits.cli.main", "share"],
            cwd=person.folder,
            env=person.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for person in (team.ann, bob)
    ]
    for process in both:
        said = process.communicate(timeout=200)[0]
        assert process.returncode == 0, said
        assert "every one read back" in said
    for person in (team.ann, bob):
        assert "sent now: 0 objects" in person.ok("share")
    eve = team.clone("eve")
    eve.ok("receive")


def test_a_full_disk_is_said_and_nothing_is_half_there(team: Team, tmp_path: Path) -> None:
    store = tmp_path / "full"
    store.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(store)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root's rights (CAP_SYS_ADMIN)")
    try:
        team.ann.set(shards=40)
        team.ann.repro()
        team.add_remote(str(store))
        message = team.ann.refused("share")
        assert "is full (" in message
        assert "make room" in message
        # What is there has the name of its content; the listing, which says that all is there, is not.
        from samebits.sharing.remote.objects import md5_of

        for oid, path in objects_in(store).items():
            assert path.name.endswith(".tmp") or md5_of(path) == oid.removesuffix(".dir")
            assert b"shards/" not in path.read_bytes() or not oid.endswith(".dir")
        subprocess.run(["mount", "-o", "remount,size=10m", str(store)], check=True)
        assert "every one read back" in team.ann.ok("share")
    finally:
        subprocess.run(["umount", "-l", str(store)], check=True)


def test_a_folder_that_may_not_be_written(team: Team, local: Path) -> None:
    if os.geteuid() == 0:
        # Root may write anywhere; a mount that is read-only holds for it, too.
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=300k", "tmpfs", str(local)], capture_output=True)
        if done.returncode:
            pytest.skip("root may write everywhere, and mounting needs CAP_SYS_ADMIN")
    else:
        local.chmod(0o555)
    try:
        message = team.ann.refused("share")
        assert "can be read but not written" in message or "does not allow this" in message
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", str(local)], check=True)
        else:
            local.chmod(0o755)


def test_gc_refuses_what_a_tag_a_branch_or_an_experiment_still_needs(team: Team, local: Path) -> None:
    ann = team.ann
    ann.git("tag", "v1")
    ann.set(lr=2)
    ann.repro()
    ann.git("branch", "second")
    done = ann.dvc("exp", "run", "-n", "third", "-S", "lr=3")
    assert done.returncode == 0, done.stderr
    ann.git("checkout", "-q", "--", ".")
    assert ann.dvc("checkout").returncode == 0
    ann.set(lr=4)
    ann.repro()
    ann.ok("share")
    everything = set(ann.cache())
    there = set(objects_in(local))

    message = ann.refused("gc", "--workspace", "--cloud")
    for name in ("tag v1 (2 objects)", "branch second (2 objects)", "experiment third (2 objects)"):
        assert name in message
    assert set(ann.cache()) == everything
    assert set(objects_in(local)) == there
    # What nothing needs any more goes without being forced; what something needs stays.
    ann.git("tag", "-d", "v1")
    ann.git("branch", "-D", "second")
    # Two models of two objects each; and the metrics, which git keeps: DVC has a copy for its run-cache alone.
    assert "deleted: 5 objects" in ann.ok("gc")
    ann.dvc("exp", "remove", "third")
    assert "deleted: 2 objects" in ann.ok("gc", "--cloud")
    ann.ok("share")
    assert "Running stage" not in ann.dvc("repro").stdout


def test_gc_by_force_deletes_and_what_is_kept_still_works(team: Team, local: Path) -> None:
    team.ann.git("tag", "v1")
    team.ann.set(lr=2)
    team.ann.repro()
    team.ann.ok("share")
    assert "deleted: 3 objects" in team.ann.ok("gc", "--workspace", "--force")
    team.ann.ok("share")


def test_gc_keeps_what_the_branch_of_a_colleague_needs(team: Team, local: Path) -> None:
    team.ann.ok("share")
    bob = team.clone("bob")
    bob.ok("receive")
    bob.set(lr=9)
    bob.repro()
    bob.ok("share")
    bob.git("push", "-q", "origin", "HEAD:bobs")
    team.ann.git("fetch", "-q")
    team.ann.dvc("fetch")
    assert "deleted: 1 objects" in team.ann.ok("gc")  # the run-cache's copy of what git keeps
    there = set(objects_in(local))
    # On the remote lies what only bob's branch needs; ann has no copy of the model, but may not delete it.
    assert "deleted: 0 objects" in team.ann.ok("gc", "--cloud")
    assert set(objects_in(local)) == there
    assert "branch origin/bobs" in team.ann.refused("gc", "--workspace", "--cloud")
    bob.ok("receive")
