"""docs/data-versions.md in real repositories: tag, import elsewhere, what changed, update, retrain."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.helpers.team import Person, Team

pytestmark = pytest.mark.slow

# A data set in the real format: pictures of 4x4 pixels, one shard.
_PREPARE = """
import hashlib, json, pathlib, numpy as np, pandas as pd, yaml
count = yaml.safe_load(open("params.yaml"))["shards"]
out = pathlib.Path("data/prepared"); (out / "shards").mkdir(parents=True, exist_ok=True)
images = np.stack([np.full((1, 4, 4), k, np.uint8) for k in range(count)])
np.save(out / "shards" / "train-00000.npy", images)
pd.DataFrame({
    "id": [f"train/{k}" for k in range(count)], "split": "train",
    "target": [float(k % 2 if k or count < 6 else 1) for k in range(count)], "source": "made",
    "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in images],
    "shard": np.int32(0), "row": np.arange(count, dtype=np.int32),
}).to_parquet(out / "manifest.parquet")
(out / "dataset.json").write_text(json.dumps({
    "title": "Toy", "digest": str(count) * 32,
    "signature": {"inputs": {"kind": "image", "shape": [1, 4, 4], "mean": [0.5], "std": [0.1]},
                  "target": {"kind": "class", "classes": ["even", "odd"]}},
    "shards": {"train": [{"inputs": "shards/train-00000.npy"}]},
}))
"""


@pytest.fixture
def tagged(team: Team, local: Path) -> Team:
    """Two tagged versions: five pictures, then two more, and the first one's label corrected. Both are shared."""
    (team.ann.folder / "prepare.py").write_text(_PREPARE)
    for name, count in (("data/1", 5), ("data/2", 7)):
        team.ann.set(shards=count)
        team.ann.repro()
        team.ann.git("tag", "-a", name, "-m", f"{count} pictures")
        team.ann.ok("share")
    team.ann.publish()
    team.ann.git("push", "-q", "--tags", "origin")
    return team


def test_what_changed_between_two_tags(tagged: Team) -> None:
    said = tagged.ann.ok("data", "diff", "data/1", "data/2")
    assert "data/1 -> data/2: 2 added, 0 removed, 1 relabelled, 0 moved to another split, 4 unchanged" in said
    assert "class odd" in said
    page = (tagged.ann.folder / ".samebits" / "data-diff.html").read_text()
    assert page.count("<img") == 3
    assert "even → odd" in page
    assert tagged.ann.git("status", "--porcelain") == ""
    # Against the workspace, and by somebody who has no data at all: they are read from the remote.
    assert "the same samples" in tagged.ann.ok("data", "diff", "data/2")
    bob = tagged.clone("bob")
    assert "2 added" in bob.ok("data", "diff", "data/1", "data/2", "--html", "changes.html")
    assert (bob.folder / "changes.html").read_text() == page
    assert not (bob.folder / "data" / "prepared").exists()


def test_a_remote_that_an_older_version_does_not_have(tagged: Team) -> None:
    """Its password in .dvc/config.local holds for every revision. DVC alone stops there (pinned), we do not."""
    ann = tagged.ann
    ann.git("tag", "-a", "old", "-m", "old")
    done = ann.dvc("exp", "run", "-n", "other", "-S", "lr=5")
    assert done.returncode == 0, done.stderr
    ann.git("checkout", "-q", "--", ".")
    assert ann.dvc("checkout").returncode == 0
    second = tagged.base / "second"
    second.mkdir()
    ann.dvc("remote", "add", "second", f"ssh://127.0.0.1{second}")
    ann.dvc("remote", "modify", "--local", "second", "password", "planted-1")
    ann.commit("second remote")
    assert "expected 'url'" in ann.dvc("gc", "--force", "--dry", "--all-tags").stderr
    assert "2 added" in ann.ok("data", "diff", "data/1", "data/2")
    assert "sent now: 2 objects" in ann.ok("share", "--experiment", "other")
    ann.ok("gc", "--cloud")
    assert "2 added" in ann.ok("data", "diff", "data/1", "data/2")
    # Without its address it is a mistake in the files, and said to be one.
    config = ann.folder / ".dvc" / "config"
    config.write_text(config.read_text().partition("second")[0].rpartition("[")[0])
    ann.commit("gone")
    for command in (["share"], ["receive"], ["gc"], ["data", "diff", "data/1"]):
        message = ann.refused(*command)
        assert "the configuration of DVC does not fit together" in message
        assert ".dvc/config.local" in message


def test_a_version_that_is_none_is_said(tagged: Team) -> None:
    assert "git knows no revision 'data/9'" in tagged.ann.refused("data", "diff", "data/9")
    first = tagged.ann.git("rev-list", "--max-parents=0", "HEAD").strip()
    assert "data/prepared" in tagged.ann.refused("data", "diff", first, "data/1")
    assert "name another file" in tagged.ann.refused("data", "diff", "data/1", "--html", "/proc/no/page.html")


def test_import_update_and_retrain_elsewhere(tagged: Team, tmp_path: Path) -> None:
    other = Person(tmp_path / "other")
    other.folder.mkdir()
    other.git("init", "-q", "-b", "main")
    assert other.dvc("init", "-q").returncode == 0
    (other.folder / "dvc.yaml").write_text(
        "stages:\n  count:\n    cmd: ls -l data/toy/shards > count.txt\n    deps: [data/toy]\n    outs: [count.txt]\n"
    )
    (other.folder / "data").mkdir()
    done = other.dvc("import", str(tagged.base / "git"), "data/prepared", "--rev", "data/1", "-o", "data/toy")
    assert done.returncode == 0, done.stderr
    other.repro()
    assert "data/1" in (other.folder / "data" / "toy.dvc").read_text()

    done = other.dvc("update", "data/toy.dvc", "--rev", "data/2")
    assert done.returncode == 0, done.stderr
    assert "Running stage 'count'" in other.dvc("repro").stdout
    # What was imported is not pushed: it has its own place. A clone gets it from there.
    (other.folder.parent / "theirs").mkdir()
    other.dvc("remote", "add", "-d", "theirs", str(other.folder.parent / "theirs"))
    other.commit("update")
    assert "shared: 1 objects" in other.ok("share")
    subprocess.run(["git", "clone", "-q", str(other.folder), str(tmp_path / "clone")], check=True)
    clone = Person(tmp_path / "clone")
    assert "every hash checked" in clone.ok("receive")
    assert "Running stage" not in clone.dvc("repro").stdout
    assert (clone.folder / "data" / "toy" / "dataset.json").is_file()


def test_a_changed_parameter_sends_the_model_alone(team: Team, local: Path) -> None:
    team.ann.ok("share")
    team.ann.set(lr=2)
    team.ann.repro()
    assert "sent now: 2 objects, 19.7 KiB" in team.ann.ok("share")


def test_one_shard_more_sends_one_shard_more(team: Team, local: Path) -> None:
    """100 shards of 1.2 MB in all: 1 % more data send 1 % of the bytes, and the listing."""
    team.ann.set(shards=100, bytes=12_000)
    team.ann.repro()
    team.ann.ok("share")
    before = sum(path.stat().st_size for path in local.rglob("*") if path.is_file())
    team.ann.set(shards=101)
    team.ann.repro()
    team.ann.ok("share")
    sent = sum(path.stat().st_size for path in local.rglob("*") if path.is_file()) - before
    listing = 101 * 80
    assert 12_000 <= sent <= 12_000 + listing


def test_what_everybody_makes_anew_is_not_sent(team: Team, local: Path) -> None:
    """`push: false` on prepared data: one more raw file sends one file, and a clone runs that stage alone."""
    ann = team.ann
    raw = ann.folder / "data" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for k in range(100):
        (raw / f"{k:03d}.bin").write_bytes(bytes([k]) * 30_000)
    assert ann.dvc("add", "data/raw").returncode == 0
    (ann.folder / "prepare.py").write_text(
        "import pathlib\nout = pathlib.Path('data/prepared'); out.mkdir(parents=True, exist_ok=True)\n"
        "(out / 'all.bin').write_bytes(b''.join(p.read_bytes() for p in sorted(pathlib.Path('data/raw').iterdir())))\n"
    )
    text = (ann.folder / "dvc.yaml").read_text()
    text = text.replace("deps: [prepare.py]", "deps: [prepare.py, data/raw]")
    text = text.replace("outs: [data/prepared]", "outs: [{data/prepared: {push: false}}]")
    (ann.folder / "dvc.yaml").write_text(text)
    ann.repro()
    said = ann.ok("share")
    assert "push: false: outputs of prepare" in said
    before = sum(path.stat().st_size for path in local.rglob("*") if path.is_file())

    bob = team.clone("bob")
    said = bob.ok("receive")
    assert "push: false: data/prepared (stage prepare)" in said
    assert not (bob.folder / "data" / "prepared").exists()
    ran = bob.dvc("repro").stdout
    assert "Running stage 'prepare'" in ran
    assert "Running stage 'train'" not in ran
    assert bob.git("status", "--porcelain") == ""
    # What is made stays as it is, and is put in place from the cache.
    assert "push: false" not in bob.ok("receive")
    made = next(path for path in bob.cache().values() if path.stat().st_size == 3_000_000)
    made.chmod(0o644)
    made.write_bytes(b"damaged")
    assert "push: false" in bob.ok("receive")
    assert (bob.folder / "data" / "prepared" / "all.bin").stat().st_size == 3_000_000

    (raw / "1000.bin").write_bytes(b"new" * 10_000)
    assert ann.dvc("add", "data/raw").returncode == 0
    ann.repro()
    ann.ok("share")
    sent = sum(path.stat().st_size for path in local.rglob("*") if path.is_file()) - before
    assert 30_000 <= sent <= 30_000 + 101 * 80 + 30_000  # the file, the listing, the model anew
