"""The figures on sharing in docs/decisions.md: rates next to plain tools, and what a small change sends.

    python bench/sharing.py rates --mib 200 --rounds 3     S3 (SeaweedFS) and SSH on loopback, in alternation
    python bench/sharing.py change --images 50000          bytes that 1 % more images send

`aws` and `rsync` are compared with where they are installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.data.preparation.shards import npy_bytes, shard_borders
from samebits.data.readers.sample_hashes import sample_hashes

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.helpers import servers  # noqa: E402
from tests.helpers.team import Person, Team  # noqa: E402

Array = npt.NDArray[Any]


def checked(command: list[str], **environment: str) -> None:
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(done.stdout.decode(errors="replace"))


class Rates:
    """MB/s of moving the same bytes by several means."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._found: dict[str, list[float]] = {}

    def measure(self, name: str, run: Callable[..., object], *arguments: Any, **named: Any) -> None:
        began = time.perf_counter()
        run(*arguments, **named)
        self._found.setdefault(name, []).append(self._size / 1e6 / (time.perf_counter() - began))

    def show(self) -> None:
        for name, values in self._found.items():
            spread = f"({min(values):.1f} to {max(values):.1f}, n={len(values)})"
            print(f"{name:<24} {statistics.median(values):7.1f} MB/s {spread}")


def ran(person: Person, tool: str, command: str, environment: dict[str, str]) -> None:
    done = (person.dvc if tool == "dvc" else person.samebits)(command, **environment)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def rates(mib: int, rounds: int) -> None:
    """share, receive, `dvc push`, `dvc pull` and a plain copy of the same bytes, in alternation."""
    found = Rates(mib * 2**20)
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        base.chmod(0o755)
        team = Team(base / "team")
        team.ann.set(shards=mib // 8, bytes=8 * 2**20)
        team.ann.repro()
        with servers.s3(base / "s3") as s3, servers.ssh(base / "ssh") as ssh:
            for k in range(rounds):
                through_dvc(found, team, k, "s3", f"s3://bucket/{k}", s3.options, {})
                through_dvc(found, team, k, "ssh", f"{ssh.url}/{k}", ssh.options, ssh.environment())
                plainly(found, team.ann.folder / "data" / "prepared", base / f"plain-{k}", k, s3, ssh)
    found.show()


def through_dvc(
    found: Rates, team: Team, k: int, kind: str, url: str, options: dict[str, str], environment: dict[str, str]
) -> None:
    for tool, there, back in (("dvc", "push", "pull"), ("samebits", "share", "receive")):
        # Options of another kind of remote are an error to DVC.
        (team.ann.folder / ".dvc" / "config.local").unlink(missing_ok=True)
        team.add_remote(f"{url}-{tool}", **options)
        found.measure(f"{kind} {tool} {there}", ran, team.ann, tool, there, environment)
        bob = team.clone(f"bob-{kind}-{tool}-{k}", **options)
        found.measure(f"{kind} {tool} {back}", ran, bob, tool, back, environment)
        shutil.rmtree(bob.folder)


def plainly(found: Rates, data: Path, scratch: Path, k: int, s3: servers.S3, ssh: servers.Ssh) -> None:
    if shutil.which("aws"):
        keys = {"AWS_ACCESS_KEY_ID": servers.KEY, "AWS_SECRET_ACCESS_KEY": servers.SECRET}
        copy = ["aws", "--endpoint-url", s3.endpoint, "--region", "us-east-1", "s3", "cp", "--recursive", "--quiet"]
        far = f"s3://bucket/plain-{k}"
        found.measure("s3 aws s3 cp, up", checked, [*copy, str(data), far], **keys)
        found.measure("s3 aws s3 cp, down", checked, [*copy, far, str(scratch / "aws")], **keys)
    if shutil.which("rsync"):
        shell = (
            f"ssh -p {ssh.port} -i {ssh.options['keyfile']} -o UserKnownHostsFile={ssh.home}/.ssh/known_hosts "
            "-o BatchMode=yes"
        )
        scratch.mkdir(exist_ok=True)
        far = f"{ssh.options['user']}@127.0.0.1:{ssh.store}/plain-{k}/"
        found.measure("ssh rsync, up", checked, ["rsync", "-a", "-e", shell, f"{data}/", far])
        found.measure("ssh rsync, down", checked, ["rsync", "-a", "-e", shell, far, str(scratch / "rsync")])
    shutil.rmtree(scratch, ignore_errors=True)


def change(images: int) -> None:
    """Share of the bytes of a prepared data set that are new after 1 % more images, at the end and scattered."""
    random = np.random.default_rng(1)
    for side, channels in ((28, 1), (32, 3), (64, 3)):
        n = images if side < 64 else images // 4
        data = random.integers(0, 256, (n + n // 100, channels, side, side), dtype=np.uint8)
        hashes = sample_hashes(data)
        everything = np.arange(len(data))
        without = np.setdiff1d(everything, random.choice(len(data), n // 100, replace=False))
        for mib in (8.0, 1.0):
            target = max(1, round(mib * 2**20 / (channels * side * side)))
            for name, before in (("at the end", everything[:n]), ("scattered", without)):
                old, new = objects(data, hashes, before, target), objects(data, hashes, everything, target)
                sent = sum(size for key, size in new.items() if key not in old)
                whole = sum(new.values())
                print(
                    f"{channels}x{side}x{side} n={n:,} shard_mib={mib:g} {name:<11} "
                    f"sent {sent / whole:6.1%} of {whole / 1e6:.0f} MB"
                )


def objects(data: Array, hashes: Array, rows: Array, target: int) -> dict[str, int]:
    """Hash and size of the shards that these rows make, and of the manifest: 40 bytes a row, of which 32 are a hash."""
    found, start = {}, 0
    for end in shard_borders(hashes[rows], target):
        part = npy_bytes(data[rows[start:end]])
        found[hash_of(part)] = len(part)
        start = end
    return found | {f"manifest of {len(rows)} {hash_of(rows.tobytes())}": 40 * len(rows)}


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rates", "change"])
    parser.add_argument("--mib", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=50_000)
    arguments = parser.parse_args()
    if arguments.what == "rates":
        rates(arguments.mib, arguments.rounds)
    else:
        change(arguments.images)


if __name__ == "__main__":
    main()
