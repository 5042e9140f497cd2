"""An experiment with its run, from one person to another; doctor; and no credential where anybody could read it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.helpers.ports import free_port
from tests.helpers.team import Person, Team, objects_in
from tests.helpers.workspace import ROOT

pytestmark = pytest.mark.slow

_RUN = """
import sys
from pathlib import Path
from samebits.base.paths import Project
from samebits.tracking.upload.mlflow_store import MlflowStore
from mlflow import MlflowClient
from samebits.tracking.tracking_uri import pick_target
project = Project(Path.cwd(), Path.cwd())
target = pick_target(project)
folder = MlflowStore(project, target).prepare("samebits")
client = MlflowClient(target.uri)
run = client.create_run(folder, run_name="wave", tags={"dvc.exp_name": "wave", "note": sys.argv[1]}).info.run_id
client.log_param(run, "lr", "3")
client.log_metric(run, "test/accuracy", 0.75, step=4)
client.set_terminated(run)
"""
_RUNS = """
import json, mlflow
client = mlflow.MlflowClient("sqlite:///mlruns/mlflow.db")
print(json.dumps([[r.info.run_name, r.info.status, r.data.params, r.data.metrics, r.data.tags]
                  for r in client.search_runs([e.experiment_id for e in client.search_experiments()])]))
"""


def give_params(team: Team) -> None:
    """The sections of the real params.yaml beside the toy's own, for whoever reads `runtime`, and the card it names."""
    shutil.copytree(ROOT / "data" / "catalog", team.ann.folder / "data" / "catalog")
    file = team.ann.folder / "params.yaml"
    real = (ROOT / "params.yaml").read_text()
    (team.ann.folder / "toy.yaml").write_text(file.read_text())
    file.write_text(real)
    for name in ("prepare.py", "train.py"):
        path = team.ann.folder / name
        path.write_text(path.read_text().replace('open("params.yaml")', 'open("toy.yaml")'))
    path = team.ann.folder / "dvc.yaml"
    text = path.read_text()
    for keys in ("[shards, bytes]", "[lr]"):
        text = text.replace(f"params: {keys}", f"params: [{{toy.yaml: {keys}}}]")
    path.write_text(text)
    team.ann.repro()


def runs(person: Person) -> list[list[object]]:
    done = person.run(sys.executable, "-c", _RUNS)
    assert done.returncode == 0, done.stderr
    found: list[list[object]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_an_experiment_comes_with_its_model_and_its_run(team: Team, local: Path) -> None:
    give_params(team)
    team.ann.ok("share")
    bob = team.clone("bob")
    bob.ok("receive")
    done = team.ann.dvc("exp", "run", "-n", "wave", "-S", "toy.yaml:lr=3")
    assert done.returncode == 0, done.stderr
    assert team.ann.run(sys.executable, "-c", _RUN, "password=planted-1234").returncode == 0
    team.ann.git("checkout", "-q", "--", ".")
    team.ann.dvc("checkout")

    message = bob.refused("receive", "--experiment", "wave")
    assert "there is no experiment 'wave' on origin" in message
    assert "there is no experiment 'wafe' here" in team.ann.refused("share", "--experiment", "wafe")
    said = team.ann.ok("share", "--experiment", "wave")
    assert "sent now: 2 objects" in said
    said = bob.ok("receive", "--experiment", "wave")
    assert "received: experiment wave; 10 objects" in said
    assert "(2 fetched now)" in said
    assert "its MLflow run wave is recorded" in said
    # The workspace is as it was until the experiment is asked for.
    assert bob.git("status", "--porcelain") == ""
    assert bob.dvc("exp", "apply", "wave").returncode == 0
    assert "lr: 3" in (bob.folder / "toy.yaml").read_text()
    assert "Running stage" not in bob.dvc("repro").stdout

    assert "is here already" in bob.ok("receive", "--experiment", "wave")
    ((name, status, params, metrics, tags),) = runs(bob)
    assert (name, status, params, metrics) == ("wave", "FINISHED", {"lr": "3"}, {"test/accuracy": 0.75})
    assert isinstance(tags, dict)
    assert tags["dvc.exp_name"] == "wave"
    assert "planted" not in json.dumps(tags)
    assert "planted" not in bob.git("for-each-ref", "refs/samebits", "--format=%(contents)")

    # A model that was damaged on the way out is named, and the experiment does not appear.
    eve = team.clone("eve")
    for path in objects_in(local).values():
        if path.stat().st_size == 20_000:
            path.chmod(0o644)
            path.write_bytes(b"x" * 20_000)
    assert "damaged on remote 'store'" in eve.refused("receive", "--experiment", "wave")
    assert "wave" not in eve.git("for-each-ref", "refs/exps")


def test_doctor_says_what_is_wrong_and_exits_by_it(team: Team, local: Path, tmp_path: Path) -> None:
    give_params(team)
    (team.ann.folder / "requirements.lock").write_text("numpy==0.0.1 \\\n    --hash=sha256:0\n")
    team.ann.commit("lock")
    before = objects_in(local)
    done = team.ann.samebits("doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["healthy"]
    states = {line["name"]: line["state"] for line in report["lines"]}
    assert list(states) == [
        "python",
        "versions",
        "packages",
        "torch",
        "data",
        "git",
        "dvc",
        "lock",
        "remote",
        "mlflow",
        "disk",
    ]
    assert {name for name, state in states.items() if state != "ok"} == {"versions", "git"}
    assert "numpy" in next(line["text"] for line in report["lines"] if line["name"] == "versions")
    # It leaves nothing behind, neither on the remote nor in MLflow.
    assert objects_in(local) == before
    with sqlite3.connect(team.ann.folder / "mlruns" / "mlflow.db") as store:
        assert store.execute("SELECT count(*) FROM runs").fetchone() == (0,)

    team.add_remote(str(tmp_path / "gone"))
    done = team.ann.samebits("doctor", MLFLOW_TRACKING_URI=f"http://me:planted-77@127.0.0.1:{free_port()}")
    assert done.returncode == 1
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if not line.startswith(" ")}
    assert lines["remote"].startswith("error")
    assert lines["mlflow"].startswith("error")
    assert done.stdout.count("fix:") >= 2
    assert "planted" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


PLANTED = ["planted-secret-AA11", "planted-token-BB22", "planted-password-CC33", "planted-user-DD44"]


def test_planted_credentials_are_in_no_message_log_or_store(team: Team, local: Path) -> None:
    give_params(team)
    key, token, password, user = PLANTED
    environment = {"AWS_SECRET_ACCESS_KEY": key, "AWS_ACCESS_KEY_ID": user, "AWS_SESSION_TOKEN": token}
    said = []
    for url in (
        f"s3://{user}:{password}@bucket/x",
        f"webdav://{user}:{password}@127.0.0.1:9/x",
        f"ssh://{user}:{password}@127.0.0.1:9/x",
        f"http://{user}:{password}@127.0.0.1:9/x",
    ):
        (team.ann.folder / ".dvc" / "config.local").write_text(
            f"[core]\n    remote = bad\n['remote \"bad\"']\n    url = {url}\n"
            + ("    endpointurl = http://127.0.0.1:9\n" if url.startswith("s3") else "")
        )
        for command in ("share", "receive"):
            done = team.ann.samebits(command, "--timeout", "10", **environment)
            # What lies in the cache may be received without a word to the remote.
            assert done.returncode in ([2] if command == "share" else [0, 2]), done.stdout + done.stderr
            said.append(done.stdout + done.stderr)
    done = team.ann.samebits("doctor", "--timeout", "10", **environment)
    said.append(done.stdout + done.stderr)
    text = "\n".join(said)
    assert [each for each in PLANTED if each in text] == []
    files = [
        path
        for folder in (".samebits", "mlruns", ".dvc/tmp")
        for path in (team.ann.folder / folder).rglob("*")
        if path.is_file()
    ]
    assert files
    assert [str(path) for path in files for each in PLANTED if each.encode() in path.read_bytes()] == []
    assert team.ann.git("status", "--porcelain") == ""
