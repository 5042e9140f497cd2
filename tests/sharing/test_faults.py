"""Kills, a full disk, two people at once, deletion of what is still needed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sharing.conftest import Person, Team, objects_in

pytestmark = [pytest.mark.slow, pytest.mark.crash]

KILLS = 20
BIG = {"shards": 150, "bytes": 200_000}  # 30 MB: a transfer that takes long enough to be killed in


def killed(person: Person, command: str, after: float) -> bool:
    """Start a command and kill it, with all that it started, after some seconds. Whether it was still at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "samebits.cli", command], cwd=person.folder, env=person.environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def kill_often(person: Person, command: str, progress: object) -> int:
    """Kill a command 20 times at moments spread over the time that it takes; how often it had moved something."""
    assert callable(progress)
    draw = random.Random(7)
    moved, before = 0, progress()
    # How long until the first byte moves depends on the machine: the moments are found, not set.
    start = 0.5
    for _ in range(KILLS):
        assert killed(person, command, start + draw.uniform(0, 0.3)), "it ended before the kill"
        after = progress()
        if after > before:
            moved += 1
        elif moved == 0:
            start += 0.25
        before = after
    return moved


def test_killed_twenty_times_on_each_way_it_ends_complete(team: Team, tmp_path: Path) -> None:
    team.ann.set(**BIG)
    team.ann.repro()
    with slow_folder(tmp_path / "store") as store:
        team.add_remote(str(store))
        moved = kill_often(team.ann, "share", lambda: len(objects_in(store)))
        assert moved >= 1
        assert len(objects_in(store)) < 150, "the last kill came after the end"
        said = team.ann.ok("share")
        assert "shared: 155 objects" in said
        assert "every one read back" in said
        bob = team.clone("bob")
        moved = kill_often(bob, "receive", lambda: len(bob.cache()))
        assert moved >= 1
        # No output appears before everything is here.
        assert not (bob.folder / "data").exists()
        assert "every hash checked" in bob.ok("receive")
        assert "Running stage" not in bob.dvc("repro").stdout
        assert not [path for path in store.rglob("*") if path.is_file() and path.stat().st_size == 0]


class slow_folder:
    """A folder whose transfers can be killed in the middle: `sitecustomize` delays each copy by 20 ms."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Path:
        self.folder.mkdir()
        code = self.folder.parent / "sitecustomize.py"
        code.write_text(
            "import shutil, time\n"
            "old = shutil.copyfileobj\n"
            "def slow(*a, **k):\n    time.sleep(0.02)\n    return old(*a, **k)\n"
            "shutil.copyfileobj = slow\n"
            "import os\n"
            "rename = os.rename\n"
            "def slower(*a, **k):\n    time.sleep(0.02)\n    return rename(*a, **k)\n"
            "os.rename = slower\n"
        )
        Person.python_path = f"{code.parent}{os.pathsep}"
        return self.folder

    def __exit__(self, *_: object) -> None:
        Person.python_path = ""


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
            [sys.executable, "-m", "samebits.cli", "share"],
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
        from samebits.sharing.objects import md5_of

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
