"""share and receive through a folder; and what DVC alone gets wrong there, pinned, so that a fixed DVC is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.team import Team, flip, object_of, objects_in

pytestmark = pytest.mark.slow


def truncate(path: Path) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-7])
    path.chmod(mode)


def listing(store: Path) -> Path:
    return next(path for oid, path in objects_in(store).items() if oid.endswith(".dir"))


def test_a_fresh_clone_has_it_all_and_runs_nothing(team: Team, local: Path) -> None:
    said = team.ann.ok("share")
    assert "shared: 10 objects" in said
    assert "every one read back" in said
    assert "is on no git remote" in said
    bob = team.clone("bob")
    assert (
        bob.ok("receive").strip()
        == "received: data Toy (digest dddddddddddd), model toy, test accuracy 0.5000; 10 objects, 117.9 KiB, "
        "every hash checked (10 fetched now)"
    )
    done = bob.dvc("repro")
    assert "Running stage" not in done.stdout
    assert done.returncode == 0
    assert not (bob.folder / "ran").exists()
    assert bob.git("status", "--porcelain") == ""
    assert "(0 fetched now)" in bob.ok("receive")
    # What came can be shared on, and that it is published is known.
    assert "is on no git remote" not in bob.ok("share")


def test_one_output_can_be_received_alone(team: Team, local: Path) -> None:
    team.ann.ok("share")
    bob = team.clone("bob")
    assert "data Toy" in bob.ok("receive", "data/prepared/")
    assert not (bob.folder / "models" / "checkpoint").exists()
    assert "no output of dvc.yaml is called data/prepare" in bob.refused("receive", "data/prepare")
    assert "leave out data/prepared" in bob.refused("receive", "data/prepared", "--experiment", "x")
    bob.ok("receive")
    assert (bob.folder / "models" / "checkpoint" / "model.safetensors").is_file()


def test_plain_dvc_works_with_it_too(team: Team, local: Path) -> None:
    assert team.ann.dvc("push").returncode == 0
    bob = team.clone("bob")
    assert bob.dvc("pull").returncode == 0
    assert "(0 fetched now)" in bob.ok("receive")
    assert "sent now: 0 objects" in team.ann.ok("share", "--quick")


@pytest.mark.parametrize("part", ["shard", "listing", "model"])
def test_what_was_deleted_on_the_remote_is_sent_again(team: Team, local: Path, part: str) -> None:
    team.ann.ok("share")
    shard, model = object_of(team, "data/prepared/shards/002.bin"), object_of(team, "models/checkpoint/config.json")
    path = {"listing": listing(local)}.get(part) or objects_in(local)[{"shard": shard, "model": model}[part]]
    path.unlink()
    if part != "listing":
        # DVC asks its index, and for the listing of the folder alone.
        assert "Everything is up to date" in team.ann.dvc("push").stdout
        assert not path.exists()
    said = team.ann.ok("share")
    if part != "listing":
        assert "missing: " in said
        assert "sent again, good now: 1 objects" in said
    assert path.exists()
    assert team.clone("bob").samebits("receive").returncode == 0


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("part", ["shard", "listing"])
def test_what_was_damaged_on_the_remote_is_found_named_and_healed(
    team: Team, local: Path, damage: object, part: str
) -> None:
    team.ann.ok("share")
    bob = team.clone("bob")
    shard = object_of(team, "data/prepared/shards/002.bin")
    path = objects_in(local)[shard] if part == "shard" else listing(local)
    assert callable(damage)
    damage(path)
    if part == "shard":
        assert "Everything is up to date" in team.ann.dvc("push").stdout
    else:
        # DVC reads it and stops, at a push, too.
        assert "unexpected error" in team.ann.dvc("push").stderr
    before = sorted(p for p in bob.folder.rglob("*") if ".dvc" not in p.parts and ".git" not in p.parts)

    message = bob.refused("receive")
    assert "damaged on remote 'store'" in message
    assert ("data/prepared/shards/002.bin (stage" if part == "shard" else "the listing of ") in message
    # Nothing half done: no output is in place, and nothing damaged is left to be believed later.
    assert before == sorted(p for p in bob.folder.rglob("*") if ".dvc" not in p.parts and ".git" not in p.parts)
    if part == "shard":
        assert shard not in bob.cache()

    said = team.ann.ok("share")
    assert ("damaged: " if damage is flip else "truncated: ") in said
    assert "sent again" in said
    assert objects_in(local)[path.parent.name + path.name].exists()
    bob.ok("receive")
    assert "Running stage" not in bob.dvc("repro").stdout


def test_sizes_alone_find_what_is_truncated_and_not_what_is_flipped(team: Team, local: Path) -> None:
    team.ann.ok("share")
    path = objects_in(local)[object_of(team, "data/prepared/shards/002.bin")]
    flip(path)
    assert "sizes compared" in team.ann.ok("share", "--quick")
    truncate(path)
    assert "truncated: data/prepared/shards/002.bin" in team.ann.ok("share", "--quick")


def test_dvc_pull_takes_a_flipped_object_for_good(team: Team, local: Path) -> None:
    """Pinned: it is why receive hashes what came. A file by itself; in a folder it is the same."""
    team.ann.ok("share")
    bob = team.clone("bob")
    path = objects_in(local)[object_of(team, "models/checkpoint/model.safetensors")]
    flip(path)
    path.chmod(0o644)
    done = bob.dvc("pull")
    assert done.returncode == 0
    assert object_of(Team.of(bob), "models/checkpoint/model.safetensors") != path.parent.name + path.name
    # After the careless pull: the bad copy goes out of the cache, and the remote's is named.
    message = bob.refused("receive")
    assert "damaged on remote 'store'" in message
    assert "models/checkpoint/model.safetensors (stage train" in message
    team.ann.ok("share")
    bob.ok("receive", "--force")
    assert "Running stage" not in bob.dvc("repro").stdout


def test_with_nobody_who_has_it_the_stage_that_makes_it_is_named(team: Team, local: Path) -> None:
    team.ann.ok("share")
    shard = object_of(team, "data/prepared/shards/002.bin")
    objects_in(local)[shard].unlink()
    bob = team.clone("bob")
    message = bob.refused("receive")
    assert "missing on remote 'store'" in message
    assert "data/prepared/shards/002.bin (stage prepare, object " in message
    assert "up to date" not in message
    assert "dvc repro prepare" in message
    team.ann.cache()[shard].unlink()
    message = team.ann.refused("share")
    assert "the outputs of prepare are not whole in the cache" in message
    assert "dvc commit -f prepare" in message
    team.ann.dvc("commit", "-f", "prepare")
    assert "sent now: 1 objects" in team.ann.ok("share")


def test_a_damaged_copy_here_is_not_sent(team: Team, local: Path) -> None:
    shard = object_of(team, "data/prepared/shards/002.bin")
    flip(team.ann.cache()[shard])
    message = team.ann.refused("share")
    assert "damaged in the cache here: data/prepared/shards/002.bin" in message
    assert objects_in(local) == {}
    command = message.partition("anew: ")[2].strip()
    assert team.ann.run("sh", "-c", command).returncode == 0
    team.ann.ok("share")


def test_a_damaged_copy_here_does_not_replace_a_good_one_there(team: Team, local: Path) -> None:
    team.ann.ok("share")
    shard = object_of(team, "data/prepared/shards/002.bin")
    truncate(team.ann.cache()[shard])
    before = objects_in(local)[shard].read_bytes()
    team.ann.ok("share")
    assert objects_in(local)[shard].read_bytes() == before


def test_what_is_not_committed_or_not_up_to_date_is_not_shared(team: Team, local: Path) -> None:
    (team.ann.folder / "new.py").write_text("")
    assert "not committed: new.py" in team.ann.refused("share")
    team.ann.set(lr=2)
    assert "not committed: new.py, params.yaml" in team.ann.refused("share")
    team.ann.commit("lr")
    message = team.ann.refused("share")
    assert "dvc.lock does not agree with the files here: train" in message
    assert "dvc repro" in message
    assert objects_in(local) == {}
    team.ann.repro()
    team.ann.ok("share")


def test_changed_outputs_are_not_overwritten_unasked(team: Team, local: Path) -> None:
    team.ann.ok("share")
    bob = team.clone("bob")
    bob.ok("receive")
    mine = bob.folder / "models" / "checkpoint" / "config.json"
    mine.chmod(0o644)
    mine.write_text("mine")
    message = bob.refused("receive")
    assert "models/checkpoint" in message
    assert "--force" in message
    assert mine.read_text() == "mine"
    bob.ok("receive", "--force")
    assert mine.read_text() != "mine"


def test_metrics_of_git_that_do_not_belong_to_the_lock_are_named(team: Team, local: Path) -> None:
    team.ann.ok("share")
    bob = team.clone("bob")
    (bob.folder / "reports/evaluation/metrics.json").write_text("{}")
    assert "not as dvc.lock has them: reports/evaluation/metrics.json" in bob.refused("receive")


@pytest.mark.parametrize("remote", ["none", "unknown", "two", "gone", "versioned"])
def test_a_remote_that_is_none_is_said_with_the_fix(team: Team, remote: str) -> None:
    wanted = {
        "none": ("this project has no remote yet", "dvc remote add -d"),
        "unknown": ("there is no remote 'other'", "dvc remote add other"),
        "two": ("no remote is the default one (there is a, b)", "dvc remote default a"),
        "gone": ("does not exist", "mount"),
        "versioned": ("cloud-versioned", "--unset"),
    }[remote]
    arguments = ["--remote", "other"] if remote == "unknown" else []
    if remote == "two":
        for name in "ab":
            team.ann.dvc("remote", "add", name, str(team.base / name))
    elif remote == "gone":
        team.add_remote(str(team.base / "gone"))
    elif remote == "versioned":
        team.add_remote("s3://bucket/path")
        team.ann.dvc("remote", "modify", "store", "version_aware", "true")
    team.ann.commit("config")
    for command in ("share", "receive"):
        message = team.ann.refused(command, *arguments)
        assert wanted[0] in message
        assert wanted[1] in message
    assert not (team.base / "gone").exists()


def test_an_output_that_was_never_made_is_named(team: Team, local: Path) -> None:
    text = (team.ann.folder / "dvc.yaml").read_text()
    (team.ann.folder / "dvc.yaml").write_text(text + "  last:\n    cmd: touch x\n    outs: [x]\n")
    team.ann.commit("stage")
    assert "last" in team.ann.refused("share")
    assert "x (stage last) was never made" in team.ann.refused("receive")


def test_another_dvc_at_work_is_waited_for_by_the_user(team: Team, local: Path) -> None:
    import filelock

    lock = filelock.FileLock(str(team.ann.folder / ".dvc" / "tmp" / "lock"))
    with lock:
        assert "another DVC command is at work here" in team.ann.refused("share")
    team.ann.ok("share")
