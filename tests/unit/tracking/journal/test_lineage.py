from __future__ import annotations

import hashlib
import os

import pytest

from samebits.base.errors import UserError
from samebits.base.git import head_commit
from samebits.base.paths import Project
from samebits.base.redaction import first_secret
from samebits.tracking.journal.journal import JournalWriter, Segment
from samebits.tracking.journal.lineage import artefact_facts, restore_command, source_facts
from samebits.tracking.journal.record import Execution, ProcessId
from tests.helpers.git_repository import git

EXECUTION = Execution(ProcessId("host", 1, "x"), "", "dvc repro")
PASSWORD = "pass" + "word"  # pragma: allowlist secret


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    for variable in ("DVC_EXP_BASELINE_REV", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)
    root = project.workspace
    git(root, "init", "-q", "-b", "work")
    for name, text in (
        ("src/a.py", "one\n"),
        ("params.yaml", "lr: 1\n"),
        ("dvc.lock", "x\n"),
        (".gitignore", "mlruns\n"),
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return project


def facts_of(project: Project) -> tuple[dict[str, str], bytes]:
    return source_facts(project, EXECUTION)


def test_a_clean_tree(repository: Project) -> None:
    (repository.workspace / "mlruns").mkdir()
    (repository.workspace / "mlruns" / "ignored.db").touch()
    facts, patch = facts_of(repository)
    assert facts["git.commit"] == facts["mlflow.source.git.commit"] == git(repository.workspace, "rev-parse", "HEAD")
    assert (facts["git.branch"], facts["git.dirty"], facts["params.changed"]) == ("work", "false", "false")
    assert facts["mlflow.source.name"] == "dvc repro"
    assert "git.patch" not in facts
    assert patch == b""


def test_what_dvc_writes_is_no_dirt(repository: Project) -> None:
    (repository.workspace / "dvc.lock").write_text("y\n")
    assert facts_of(repository)[0]["git.dirty"] == "false"
    (repository.workspace / "params.yaml").write_text("lr: 2\n")
    facts, patch = facts_of(repository)
    assert (facts["git.dirty"], facts["params.changed"]) == ("false", "true")
    assert b"+lr: 2" in patch
    assert b"dvc.lock" not in patch


def test_the_patch_brings_the_tree_back(repository: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = repository.workspace
    (root / "src/a.py").write_text("two\n")
    (root / "src/new.py").write_text("new\n")
    (root / "src/picture.bin").write_bytes(bytes(range(256)))
    (root / ".gitignore").unlink()
    git(root, "add", "src/a.py")
    index = (root / ".git/index").read_bytes()
    facts, patch = facts_of(repository)
    assert facts["git.dirty"] == "true"
    assert facts["git.patch"] == "uncommitted.patch"
    assert (root / ".git/index").read_bytes() == index
    clone = tmp_path_factory.mktemp("clone")
    git(clone, "clone", "-q", str(root), ".")
    (clone / "p.patch").write_bytes(patch)
    git(clone, "apply", "p.patch")
    assert (clone / "src/a.py").read_text() == "two\n"
    assert (clone / "src/new.py").read_text() == "new\n"
    assert (clone / "src/picture.bin").read_bytes() == bytes(range(256))
    assert not (clone / ".gitignore").exists()


def test_a_temporary_workspace_has_the_branch_of_the_main_tree(
    repository: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    git(temporary, "clone", "-q", str(repository.home), ".")
    git(temporary, "checkout", "-q", "--detach")
    git(repository.home, "checkout", "-q", "--detach")
    (temporary / "params.yaml").write_text("lr: 3\n")
    git(temporary, "commit", "-qam", "made by dvc")
    baseline = git(repository.home, "rev-parse", "HEAD")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", baseline)
    execution = Execution(EXECUTION.anchor, "brave-fox", "dvc exp run")
    facts, patch = source_facts(Project(workspace=temporary, home=repository.home), execution)
    assert (facts["git.commit"], facts["git.branch"]) == (baseline, "work")
    assert (facts["dvc.exp_name"], facts["dvc.baseline_rev"]) == ("brave-fox", baseline)
    assert facts["params.changed"] == "true"
    assert b"+lr: 3" in patch


def test_bytes_that_are_no_utf_8_are_kept(repository: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = repository.workspace
    line = b"gr\xfc\xdfe\n"
    (root / "notes.txt").write_bytes(line)
    (root / os.fsdecode(b"gr\xfcn.txt")).write_bytes(line)
    git(root, "checkout", "-q", "-b", os.fsdecode(b"gr\xfcn"))
    facts, patch = facts_of(repository)
    assert (facts["git.dirty"], facts["git.patch"]) == ("true", "uncommitted.patch")
    clone = tmp_path_factory.mktemp("clone")
    git(clone, "clone", "-q", str(root), ".")
    (clone / "p.patch").write_bytes(patch)
    git(clone, "apply", "p.patch")
    assert (clone / "notes.txt").read_bytes() == line
    assert (clone / os.fsdecode(b"gr\xfcn.txt")).read_bytes() == line
    writer = JournalWriter(root / ".samebits" / "journal" / "001-train.jsonl")
    writer.append("tags", v=facts)  # the branch's name has no place in JSON: a ? stands for the byte
    assert Segment(writer.path).last()["v"]["git.branch"] == "gr?n"


def test_a_repository_of_another_user_is_one_warning(repository: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    said: list[str] = []
    facts, _ = source_facts(repository, EXECUTION, said.append)
    assert facts["git.commit"] == "none"
    (line,) = said
    assert f"git config --global --add safe.directory {repository.workspace}" in line
    with pytest.raises(UserError, match="belongs to another user") as raised:
        head_commit(repository.workspace)
    assert "safe.directory" in raised.value.fix


def test_outside_a_repository_it_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.workspace.parent))
    facts, patch = facts_of(project)
    assert (facts["git.commit"], patch) == ("none", b"")
    assert restore_command(facts).startswith("#")


@pytest.mark.parametrize(
    "line",
    [
        "aws = 'AK" + "IAIOSFODNN7EXAMPLE'",
        "-----BEGIN RSA PRI" + "VATE KEY-----",
        "url = http://me:" + "s3cret1@host/x",
        f"{PASSWORD}: hunter2hunter2",
        "TOKEN = 'gh" + "p_" + "a1" * 18 + "'",
        "api_" + 'key = "0123456789abcdef"',
    ],
)
def test_a_key_keeps_the_patch_out(repository: Project, line: str) -> None:
    (repository.workspace / "src/new.py").write_text(f"x = 1\n{line}\n")
    facts, patch = facts_of(repository)
    assert patch == b""
    assert "looks like a key" in facts["git.patch"]
    assert "s3cret1" not in str(facts)


@pytest.mark.parametrize(
    "line",
    [
        f"{PASSWORD} = os.environ['MLFLOW_TRACKING_{PASSWORD.upper()}']",
        f"def without_{PASSWORD}(text: str) -> str:",
        "tokens_per_second: 123456789",
        "secret = None",
        "see https://example.org/a:b@c",
    ],
)
def test_ordinary_code_is_no_key(line: str) -> None:
    assert first_secret(line) is None


def test_a_patch_that_is_too_large_is_left_out(repository: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.tracking.journal.lineage._PATCH_LIMIT", 1000)
    (repository.workspace / "src/a.py").write_text("line\n" * 1000)
    facts, patch = facts_of(repository)
    assert patch == b""
    assert "over the limit" in facts["git.patch"]


def test_new_data_are_no_code_and_do_not_push_the_code_out(
    repository: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.tracking.journal.lineage._PATCH_LIMIT", 10_000)
    raw = repository.workspace / "data" / "raw"
    (raw / "pictures").mkdir(parents=True)
    for number in range(20):
        (raw / "pictures" / f"{number}.txt").write_text("pixels\n" * 1000)
    facts, patch = facts_of(repository)
    assert (facts["git.dirty"], patch) == ("false", b"")
    (repository.workspace / "src/new.py").write_text("x = 1\n")
    (raw / "pictures.dvc").write_text("outs: []\n")
    facts, patch = facts_of(repository)
    assert facts["git.dirty"] == "true"
    assert b"+x = 1" in patch
    assert b"+outs: []" in patch
    assert b"pixels" not in patch


def test_inputs_and_outputs_are_tags(project: Project) -> None:
    checkpoint = project.checkpoint
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    facts = artefact_facts(project, [project.workspace / "absent"], [checkpoint])
    assert facts["dvc.out.models/checkpoint"].endswith(".dir")
    assert facts["model.sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert len(facts) == 2


def test_the_command_that_restores_a_run() -> None:
    facts = {"git.commit": "c0ffee", "git.patch": "uncommitted.patch", "dvc.exp_name": "brave-fox"}
    lines = restore_command(facts).splitlines()
    assert lines[0] == "git checkout c0ffee"
    assert lines[1].startswith("git apply uncommitted.patch")
    assert "dvc exp apply brave-fox" in lines[2]
    assert lines[-1].startswith("dvc pull")
    assert "lost" in restore_command({"git.commit": "c0ffee", "git.patch": "left out: 2 MiB"})


def test_what_dvc_writes_is_no_edited_code(repository: Project) -> None:
    root = repository.workspace
    (root / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: x\n    outs: [data/out]\n    metrics:\n      - reports/m.json: {cache: false}\n"
    )
    git(root, "add", "dvc.yaml")
    git(root, "commit", "-qm", "two")
    for name in ("reports/m.json", "reports/.gitignore", "data/.gitignore", "data/out/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1\n")
    facts, patch = facts_of(repository)
    assert (facts["git.dirty"], patch) == ("false", b"")
    (root / "reports/mine.txt").write_text("1\n")
    facts, patch = facts_of(repository)
    assert facts["git.dirty"] == "true"
    assert b"reports/mine.txt" in patch
    assert b"m.json" not in patch


def test_the_code_of_a_stage_is_one_tag(project: Project) -> None:
    root = project.workspace
    for name in ("src/a.py", "stages/b.py", "data/c"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    reads = [root / "src/a.py", root / "data/c", root / "stages/b.py"]
    before = artefact_facts(project, reads, [], "train")
    assert set(before) == {"dvc.in.code.train", "dvc.in.data/c"}
    assert before["dvc.in.code.train"].endswith(" (2 parts)")
    assert artefact_facts(project, reads[::-1], [], "train") == before
    (root / "stages/b.py").write_text("changed")
    assert artefact_facts(project, reads, [], "train")["dvc.in.code.train"] != before["dvc.in.code.train"]
