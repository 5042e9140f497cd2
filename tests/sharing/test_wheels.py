"""The files of an environment kept on a remote and installed again, offline, with real git, DVC and pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.helpers.team import Person, Team
from tests.helpers.wheels import lock_text, make_wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder with two packages, of which one has a newer release, too."""
    for name, version in (("alpha", "1.0"), ("alpha", "2.0"), ("beta", "0.5")):
        make_wheel(tmp_path / "index", name, version)
    return tmp_path / "index"


@pytest.fixture
def locked(team: Team, local: Path, index: Path) -> Team:
    """Ann committed a lock; Ben has a clone."""
    wheels = [index / "alpha-1.0-py3-none-any.whl", index / "beta-0.5-py3-none-any.whl"]
    (team.ann.folder / "requirements.lock").write_text(lock_text(wheels))
    team.ann.commit("lock")
    team.ann.ok("share")
    team.ann.publish()
    return team


def keep(person: Person, index: Path, *arguments: str) -> str:
    return person.ok("wheels", "keep", *arguments, **from_index(index))


def from_index(index: Path) -> dict[str, str]:
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull}


def installed(environment: Path) -> str:
    """What each package of an environment says of itself."""
    code = "import alpha, beta; print(f'alpha {alpha.VERSION}, beta {beta.VERSION}')"
    python = environment / "bin" / "python"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def kept_objects(store: Path) -> list[Path]:
    """Wheels among the objects of a remote that is a folder."""
    return [path for path in store.rglob("*") if path.is_file() and path.read_bytes()[:2] == b"PK"]


def test_an_environment_is_restored_from_the_remote_alone(locked: Team, index: Path, local: Path) -> None:
    ann, folder = locked.ann, locked.base
    dry = keep(ann, index, "--dry-run")
    assert "2 packages, at most" in dry
    assert not ann.git("tag").strip()
    said = keep(ann, index)
    assert len(kept_objects(local)) == 2
    name = f"/cpython-{sysconfig.get_python_version().replace('.', '')}-{sysconfig.get_platform()}"
    assert name in said
    assert not ann.git("status", "--porcelain").strip()
    # Once more, and after an upgrade: what is there already is not sent again.
    assert "sent now: 0 objects" in keep(ann, index)
    shutil.move(index, folder / "gone")

    ben = locked.clone("ben")
    ben.ok("receive")
    assert not kept_objects(ben.folder / ".dvc" / "cache"), "nobody gets them unasked"
    ben.ok("restore", "HEAD", "--into", str(folder / "code"), "--environment", str(folder / "env"), PIP_NO_INDEX="1")
    assert installed(folder / "env") == "alpha 1.0, beta 0.5"
    # From the cache, without the remote.
    shutil.move(local, folder / "away")
    ben.ok("restore", "HEAD", "--into", str(folder / "code2"), "--environment", str(folder / "code2" / ".venv"))
    assert installed(folder / "code2" / ".venv") == "alpha 1.0, beta 0.5"


def test_an_older_lock_is_kept_and_restored_by_its_commit_and_gc_leaves_it(
    locked: Team, index: Path, local: Path
) -> None:
    ann, folder = locked.ann, locked.base
    wheels = [index / "alpha-2.0-py3-none-any.whl", index / "beta-0.5-py3-none-any.whl"]
    (ann.folder / "requirements.lock").write_text(lock_text(wheels))
    ann.commit("upgrade")
    keep(ann, index)
    keep(ann, index, "HEAD~1")
    assert len(kept_objects(local)) == 3, "beta is there once"
    locked.clone("ben").ok("gc", "--cloud")  # who has the tags alone
    assert len(kept_objects(local)) == 3
    ann.ok("restore", "HEAD~1", "--into", str(folder / "code"), "--environment", str(folder / "env"))
    assert installed(folder / "env") == "alpha 1.0, beta 0.5"


def test_what_was_left_out_is_named_and_may_come_from_the_index(locked: Team, index: Path) -> None:
    ann, folder = locked.ann, locked.base
    assert "left out: beta" in keep(ann, index, "--without", "b*")
    where = ("--into", str(folder / "code"), "--environment", str(folder / "env"))
    message = ann.refused("restore", "HEAD", *where)
    assert "beta" in message
    assert "--online" in message
    assert not (folder / "code").exists()
    ann.ok("restore", "HEAD", *where, "--online", **from_index(index))
    assert installed(folder / "env") == "alpha 1.0, beta 0.5"
    # A fuller set replaces it, and is not replaced by a smaller one.
    keep(ann, index)
    bob = locked.clone("bob")
    bob.git("tag", "-d", ann.git("tag").strip())
    message = bob.refused("wheels", "keep", "--without", "b*", **from_index(index))
    assert "kept for this lock already, with beta, which would be lost" in message


def test_what_cannot_be_kept_is_one_message_and_leaves_no_tag(locked: Team, index: Path) -> None:
    ann = locked.ann
    assert "--without nonsense" in ann.refused("wheels", "keep", "--without", "nonsense", **from_index(index))
    assert "is no commit" in ann.refused("wheels", "keep", "nonsense", **from_index(index))
    make_wheel(index, "beta", "0.5", text="# another file of the same name\n")
    message = ann.refused("wheels", "keep", **from_index(index))
    assert "pip cannot download the files: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" in message
    (index / "beta-0.5-py3-none-any.whl").unlink()
    assert "beta==0.5" in ann.refused("wheels", "keep", **from_index(index))
    assert not ann.git("tag").strip()
    assert not list((ann.folder / ".samebits" / "wheels").iterdir())
    first = ann.git("rev-list", "--max-parents=0", "HEAD").strip()
    assert f"commit {first} has no requirements.lock" in ann.refused("wheels", "keep", first)


def test_what_cannot_be_restored_is_one_message_and_leaves_nothing(locked: Team, index: Path, local: Path) -> None:
    ann, folder = locked.ann, locked.base
    where = ("--into", str(folder / "code"), "--environment", str(folder / "env"))
    message = ann.refused("restore", "HEAD", *where)
    assert "no files were kept for" in message
    assert "samebits wheels keep" in message
    keep(ann, index)
    # Kept on another kind of machine alone.
    tag = ann.git("tag").strip()
    other = f"{tag.rsplit('/', 1)[0]}/cpython-399-amiga"
    ann.git("push", "-q", "origin", f"{tag}:refs/tags/{other}", f":refs/tags/{tag}")
    ann.git("tag", other, tag)
    ann.git("tag", "-d", tag)
    assert "were kept for cpython-399-amiga, and this is cpython-3" in ann.refused("restore", "HEAD", *where)
    keep(ann, index)
    # Something lies there.
    (folder / "env").mkdir()
    (folder / "env" / "mine").write_text("x")
    assert f"{folder / 'env'} exists and is not empty" in ann.refused("restore", "HEAD", *where)
    assert (folder / "env" / "mine").read_text() == "x"
    shutil.rmtree(folder / "env")
    message = ann.refused("restore", "HEAD", "--into", str(folder / "code"), "--environment", str(folder / "code"))
    assert f"--environment {folder / 'code' / '.venv'}" in message
    # Missing, then damaged on the remote.
    ben = locked.clone("ben")
    wheel = kept_objects(local)[0]
    content = wheel.read_bytes()
    wheel.chmod(0o644)
    wheel.write_bytes(content[:-1] + b"x")
    assert "wheels/" in ben.refused("restore", "HEAD", *where)
    wheel.unlink()
    assert "wheels/" in ben.refused("restore", "HEAD", *where)
    assert not (folder / "code").exists()
    assert not (folder / "env").exists()
    # Damaged in the cache here: it is fetched anew.
    wheel.write_bytes(content)
    ben.ok("restore", "HEAD", *where)
    assert installed(folder / "env") == "alpha 1.0, beta 0.5"
