"""A small DVC project with a team: one person's repository, a git remote, and fresh clones of it.

Its stages write files in milliseconds, in the shape of the real pipeline's outputs (a folder of shards with
`dataset.json`, a model folder, metrics that git keeps), so that sharing is what the tests spend their time on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.helpers.workspace import AUTHOR, ROOT

_PREPARE = """
import json, pathlib, random, yaml
params = yaml.safe_load(open("params.yaml"))
out = pathlib.Path("data/prepared"); (out / "shards").mkdir(parents=True, exist_ok=True)
for k in range(params["shards"]):
    data = random.Random(k).randbytes(params["bytes"])
    (out / "shards" / f"{k:03d}.bin").write_bytes(data)
(out / "dataset.json").write_text(json.dumps({"title": "Toy", "digest": "d" * 64}))
"""

_TRAIN = """
import json, pathlib, random, yaml
params = yaml.safe_load(open("params.yaml"))
pathlib.Path("ran").open("a").write("train ")
out = pathlib.Path("models/checkpoint"); out.mkdir(parents=True, exist_ok=True)
(out / "model.safetensors").write_bytes(random.Random(1000 + params["lr"]).randbytes(20_000))
(out / "config.json").write_text(json.dumps({"model": {"name": "toy"}}))
pathlib.Path("reports/evaluation").mkdir(parents=True, exist_ok=True)
pathlib.Path("reports/evaluation/metrics.json").write_text(json.dumps({"test": {"accuracy": 0.5}}))
"""

_DVC_YAML = """
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py]
    params: [shards, bytes]
    outs: [data/prepared]
  train:
    cmd: python train.py
    deps: [train.py, data/prepared]
    params: [lr]
    outs: [models/checkpoint]
    metrics:
      - reports/evaluation/metrics.json: {cache: false}
"""


class Person:
    """A clone, and the commands that its owner types there. Nothing of it is shared with another person's."""

    python_path = ""
    """Put before the code on PYTHONPATH, for a test that slows something down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("DVC_", "MLFLOW_", "AWS_", "SAMEBITS_", "SSH_"))
        }
        kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
        # DVC's index of remotes lies beside no clone: two people on two machines have two.
        kept["DVC_SITE_CACHE_DIR"] = str(self.folder.parent / f"{self.folder.name}-site")
        return (
            kept
            | AUTHOR
            | {"PYTHONPATH": self.python_path + str(ROOT / "src"), "GIT_CONFIG_GLOBAL": os.devnull}
            | extra
        )

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(command), cwd=self.folder, env=self.environment(**environment), capture_output=True, text=True,
            timeout=240, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def samebits(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "samebits.cli.main", *arguments, **environment)

    def dvc(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dvc", *arguments, **environment)

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ok(self, *arguments: str, **environment: str) -> str:
        """A `samebits` command that must succeed; what it printed."""
        done = self.samebits(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str, **environment: str) -> str:
        """A `samebits` command that must fail as one for bad input does; its message."""
        done = self.samebits(*arguments, **environment)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr + done.stdout
        assert "fix:" in done.stderr
        return done.stderr

    def repro(self, message: str = "run") -> None:
        done = self.dvc("repro")
        assert done.returncode == 0, done.stdout + done.stderr
        self.commit(message)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def publish(self) -> None:
        self.git("push", "-q", "origin", "HEAD:main")

    def set(self, **params: object) -> None:
        lines = dict(line.split(": ") for line in (self.folder / "params.yaml").read_text().splitlines())
        lines |= {key: str(value) for key, value in params.items()}
        (self.folder / "params.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))

    def cache(self) -> dict[str, Path]:
        """Objects in the local cache."""
        base = self.folder / ".dvc" / "cache" / "files" / "md5"
        return {p.parent.name + p.name: p for p in base.glob("??/*")}


def dvc_config(person: Person, level: str) -> AbstractContextManager[Any]:
    """DVC's configuration, written as by `dvc remote add` and `modify`, of which each start takes a second."""
    from dvc.config import Config

    edited: AbstractContextManager[Any] = Config(str(person.folder / ".dvc")).edit(level)
    return edited


class Team:
    """A finished project with a git remote, and who has clones of it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.ann = Person(base / "ann")
        self.ann.folder.mkdir(parents=True)
        files = {
            "prepare.py": _PREPARE, "train.py": _TRAIN, "dvc.yaml": _DVC_YAML,
            "params.yaml": "shards: 5\nbytes: 20000\nlr: 1\n",
            ".gitignore": "/ran\n/.samebits\n/mlruns\n__pycache__/\n",
        }  # fmt: skip
        for name, text in files.items():
            (self.ann.folder / name).write_text(text)
        self.ann.git("init", "-q", "-b", "main")
        assert self.ann.dvc("init", "-q").returncode == 0
        self.ann.dvc("config", "core.analytics", "false")
        self.ann.dvc("config", "core.autostage", "false")
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(base / "git")], check=True)
        self.ann.git("remote", "add", "origin", str(base / "git"))
        self.ann.repro()

    def add_remote(self, address: str, **options: str) -> None:
        """The default remote, committed; options go into the file that git ignores."""
        with dvc_config(self.ann, "repo") as config:
            config["remote"]["store"] = {"url": address}
            config["core"]["remote"] = "store"
        self.ann.commit("remote")
        self.configure(self.ann, **options)

    @staticmethod
    def configure(person: Person, **options: str) -> None:
        if options:
            with dvc_config(person, "local") as config:
                config["remote"].setdefault("store", {}).update(options)

    def clone(self, name: str, **options: str) -> Person:
        """A teammate's fresh clone of what ann has published."""
        self.ann.publish()
        person = Person(self.base / name)
        subprocess.run(["git", "clone", "-q", str(self.base / "git"), str(person.folder)], check=True)
        self.configure(person, **options)
        return person

    @classmethod
    def of(cls, person: Person) -> Team:
        """A team in which somebody else is in ann's place."""
        team = cls.__new__(cls)
        team.base, team.ann = person.folder.parent, person
        return team

    @classmethod
    def copied(cls, template: Team, base: Path) -> Team:
        """Another one like it; the run of its pipeline is not repeated."""
        shutil.copytree(template.base, base, dirs_exist_ok=True, symlinks=True)
        team = cls.__new__(cls)
        team.base, team.ann = base, Person(base / "ann")
        team.ann.git("remote", "set-url", "origin", str(base / "git"))
        return team


def objects_in(store: Path) -> dict[str, Path]:
    """Objects of a remote that is a folder (or whose server keeps one)."""
    return {p.parent.name + p.name: p for p in (store / "files" / "md5").glob("??/*")}


def flip(path: Path) -> None:
    """Change one bit; size, mode and time stay."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    path.chmod(status.st_mode)


def object_of(team: Team, path: str) -> str:
    """The hash of a file of ann's, as an object has it for a name."""
    from samebits.sharing.remote.objects import md5_of

    return md5_of(team.ann.folder / path)
