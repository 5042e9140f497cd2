"""`samebits audit` and `samebits sign` as an auditor runs them: a clone, DVC's remote, and what a trainer may forge."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from samebits.base.files import read_json, sha256_file, write_json
from samebits.pipeline.code import code_digest
from samebits.pipeline.dvc_lock import read_lock
from samebits.training.commitment.record import AUDIT, AuditState, read_record, root_of
from samebits.training.resume.saved import COUNTERS, STATE, state_folder
from tests.helpers.keys import write_keys
from tests.helpers.repository import Repository, make_repository, samebits, samebits_each
from tests.helpers.shared import shared
from tests.helpers.table_project import houses
from tests.helpers.workspace import ROOT, set_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MODEL = {"name": "tabular", "embedding": 4, "width": 16, "members": 2, "dropout": 0.1}
PARAMS = {
    "reproducibility": "strict",
    "data": {"source": "data/raw/houses.csv", "format": "table", "table": {"target": "price"}},
    "train": {"epochs": 3, "batch_size": 32, "threads": 1, "precision": "fp32", "ema_decay": 0.9, "audit_steps": 4},
    "runtime": {"tracking": {"enabled": False}},
}
ORDER = 'np.arange(n, dtype=np.int64)), kind="stable").astype(np.int64)'


def commit(repository: Repository, *, results: bool = True) -> None:
    if results:
        done = repository.dvc("commit", "-fq", "train")
        assert done.returncode == 0, done.stderr
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "as it is")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`project`, whose training kept its states and is committed, and `store`, its remote."""

    def make(folder: Path) -> None:
        repository = make_repository(folder / "project", card=ROOT / "data" / "catalog" / "mnist.yaml")
        task = {"name": "regression", "loss": "mse"}
        set_params(repository.folder, PARAMS, replace={"model": MODEL, "task": task})
        (repository.folder / "data" / "raw" / "houses.csv").write_text(houses(), encoding="utf-8")
        repository.git("add", "-f", "data/raw/houses.csv")
        repository.dvc("remote", "add", "-d", "store", str(folder / "store"))
        done = repository.dvc("repro", "train")
        assert done.returncode == 0, done.stdout + done.stderr
        commit(repository, results=False)
        assert repository.dvc("push").returncode == 0

    return shared(tmp_path_factory, "audited", make)


@pytest.fixture
def repository(trained: Path, tmp_path: Path) -> Repository:
    """The trainer's copy, who may forge what is in it."""
    shutil.copytree(trained / "project", tmp_path / "project", symlinks=True)
    return Repository(tmp_path / "project")


def audit(repository: Repository, *arguments: str, **environment: str) -> CompletedProcess[str]:
    done = samebits(repository, "audit", *arguments, **environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def tamper(file: Path) -> str:
    """Change one weight; the name of its tensor."""
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith("weight"))
    tensors[name].view(-1)[0] += 0.01
    file.unlink()  # it may be a link into DVC's cache
    save_file(tensors, file)
    return name


def record_again(repository: Repository) -> None:
    """Commit to the states as they are now."""
    file, states = repository.folder / "models/checkpoint" / AUDIT, repository.folder / "models/states"
    old = read_record(file.parent)
    new = tuple(
        AuditState(step=state.step, tensors=sha256_file(folder / STATE), counters=sha256_file(folder / COUNTERS))
        for state in old.states
        if (folder := state_folder(states, state.step))
    )
    file.unlink()
    write_json(file, old.model_copy(update={"states": new, "root": root_of(new)}).model_dump(mode="json"))


def test_an_auditor_fetches_single_states_and_finds_the_same_bits(trained: Path, tmp_path: Path) -> None:
    clone = Repository(tmp_path / "clone")
    Repository(trained / "project").git("clone", "-q", str(trained / "project"), str(clone.folder))
    assert clone.dvc("pull", "-q", "models/checkpoint").returncode == 0
    done = audit(clone, "--segments", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    states = read_record(clone.folder / "models/checkpoint").states
    n = len(states) - 1
    assert f"2 of {n} segments were computed again; all of it has the same bits" in done.stdout
    assert f"1 forged ({1 / n:.1%}): {2 / n:.1%}" in done.stdout
    (stage,) = (stage for stage in read_lock(clone.folder) if stage.name == "train")
    cache = clone.folder / ".dvc" / "cache" / "files" / "md5"
    listing = stage.outs["models/states"]
    listed = json.loads((cache / listing[:2] / listing[2:]).read_text())
    here = [each for each in listed if (cache / each["md5"][:2] / each["md5"][2:]).is_file()]
    assert len(listed) == 2 * len(states)
    assert len(here) <= 2 * 3, "the two first states and the last one"
    assert not list((clone.folder / ".samebits" / "audit").iterdir())
    assert not clone.git("status", "--short")

    # A state that the remote does not have any more.
    shutil.rmtree(cache)
    shutil.copytree(trained / "store", tmp_path / "store")
    clone.dvc("remote", "modify", "--local", "store", "url", "../store")
    lost = next(each["md5"] for each in listed if each["relpath"] == f"{12:010d}/{STATE}")
    (tmp_path / "store" / "files" / "md5" / lost[:2] / lost[2:]).unlink()
    done = audit(clone, "--start", "12")
    assert done.returncode == 2
    assert f"models/states/{12:010d}/{STATE} (md5 {lost})" in done.stderr, done.stderr
    assert "a state that is kept back is not checked" in done.stderr
    assert audit(clone, "--start", "8").returncode == 0


def test_a_state_that_was_changed_after_the_commitment(repository: Repository) -> None:
    tamper(state_folder(repository.folder / "models/states", 12) / STATE)
    commit(repository)
    done = audit(repository, "--start", "12")
    assert done.returncode == 1, done.stderr
    assert "state.safetensors of step 12 is not the file that the record commits to" in done.stdout


def test_a_state_that_was_changed_before_the_commitment(repository: Repository) -> None:
    name = tamper(state_folder(repository.folder / "models/states", 12) / STATE)
    record_again(repository)
    commit(repository)
    into = audit(repository, "--start", "8", "--start", "12")
    assert into.returncode == 1, into.stderr
    assert re.search(rf"step 12/state.safetensors: 1 of \d+ tensors differ; the first is {name}", into.stdout)
    assert "steps 12 to 16        different" in into.stdout
    assert audit(repository, "--start", "16").returncode == 0, "which is why segments are drawn by chance"


def test_a_model_that_is_not_the_last_state(repository: Repository, tmp_path: Path) -> None:
    weights = repository.folder / "models/checkpoint/model.safetensors"
    alone = Path(shutil.copy(weights, tmp_path / "alone.safetensors"))
    name = tamper(alone)
    done = audit(repository, str(alone), "--segments", "1")
    assert done.returncode == 1
    assert re.search(rf"model.safetensors: 1 of \d+ tensors differ; the first is {name}", done.stdout)
    assert "every recorded fact of the environment is the same here" in done.stdout


def test_another_order_of_the_data(repository: Repository) -> None:
    """The trainer ran other code than is committed, and says in the record that it was the committed one."""
    order = repository.folder / "src/samebits/data/loading/order.py"
    code = order.read_text()
    assert code.count(ORDER) == 1
    order.write_text(code.replace(ORDER, f"{ORDER}[::-1].copy()"))
    done = repository.dvc("repro", "train")
    assert done.returncode == 0, done.stderr
    order.write_text(code)
    file = repository.folder / "models/checkpoint" / AUDIT
    raw = read_json(file)
    raw["origin"]["code"] = code_digest(repository.folder, "train")
    file.unlink()
    write_json(file, raw)
    commit(repository)
    done = audit(repository, "--segments", "1")
    assert done.returncode == 1, done.stderr
    assert "first state           same" in done.stdout
    assert "tensors differ; the first is" in done.stdout


@pytest.mark.parametrize("named", [False, True])
def test_other_data_under_the_same_digest(named: bool, repository: Repository) -> None:
    """The trainer changed a number in the prepared data, and `dataset.json` with it or not."""
    prepared = repository.folder / "data" / "prepared"
    about = read_json(prepared / "dataset.json")
    shard = about["shards"]["train"][0]
    file = prepared / shard["inputs"]
    array = np.load(file)
    array[0, -1] += 1.0
    file.unlink()
    np.save(file, array)
    if named:
        shard["inputs_sha256"] = sha256_file(file)
        (prepared / "dataset.json").unlink()
        write_json(prepared / "dataset.json", about)
    assert repository.dvc("commit", "-fq", "prepare").returncode == 0
    commit(repository)
    done = audit(repository, "--segments", "1")
    assert done.returncode == 2, done.stdout
    message = "its code or its data differ" if named else "is not the file that its dataset.json names"
    assert message in done.stderr


def test_another_seed_is_seen_at_the_first_state(repository: Repository) -> None:
    set_params(repository.folder, {"seed": 1})
    assert repository.dvc("repro", "train").returncode == 0
    set_params(repository.folder, {"seed": 0})
    file = repository.folder / "models/checkpoint" / AUDIT
    raw = read_json(file)
    raw["origin"]["parameters"]["seed"] = 0
    file.unlink()
    write_json(file, raw)
    commit(repository)
    done = audit(repository, "--segments", "1")
    assert done.returncode == 1, done.stderr
    assert "first state           different" in done.stdout
    assert "not the one that seed 0 gives" in done.stdout


def test_other_kernels_are_named_as_what_may_explain_it(repository: Repository) -> None:
    done = audit(repository, "--segments", "9", ATEN_CPU_CAPABILITY="avx2", MKL_CBWR="COMPATIBLE")
    assert done.returncode == 1, done.stderr
    assert "the environment is another than the training's, which may explain it" in done.stdout
    assert "MKL_CBWR: (none) -> COMPATIBLE" in done.stdout
    assert "last state and model  same" in done.stdout


def test_roots_and_signatures(repository: Repository, tmp_path: Path) -> None:
    checkpoint = repository.folder / "models/checkpoint"
    private, public = write_keys(tmp_path, "trainer")
    _, stranger = write_keys(tmp_path, "stranger")
    root = read_record(checkpoint).root
    sign, other, wrong = samebits_each(
        repository,
        ["sign", "--key", str(private)],
        ["audit", "--key", str(stranger)],
        ["audit", "--root", "0" * 64],
    )
    assert sign.returncode == 0, sign.stderr
    assert f"root {root}" in sign.stdout
    assert repository.git("status", "--short").split() == ["??", "models/checkpoint.sig"], "git keeps it, DVC does not"
    good = audit(repository, "--key", str(public), "--root", root, "--segments", "1")
    assert good.returncode == 0, good.stderr
    assert "is signed by the owner of" in good.stdout
    assert other.returncode == 2
    assert "Key mismatch" in other.stderr
    assert wrong.returncode == 2
    assert f"has the root {root}, not 000" in wrong.stderr

    tamper(checkpoint / "model.safetensors")
    forged, export = samebits_each(repository, ["audit", "--key", str(public)], ["audit", "dvc.yaml"])
    assert forged.returncode == 2
    assert "it is of another model.safetensors" in forged.stderr
    assert export.returncode == 2
    assert "holds no weights as training writes them" in export.stderr
