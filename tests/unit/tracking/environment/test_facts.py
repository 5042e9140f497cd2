"""Facts of the environment: what they hold, and that they belong to the outputs they were noted for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from samebits.base.files import read_json
from samebits.base.paths import Project
from samebits.pipeline.context import FACTS
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.tracking.environment import facts as module
from samebits.tracking.environment.facts import environment_facts, note_facts, onednn_isa, recorded_facts


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "dvc.yaml").write_text("stages: {train: {cmd: x, outs: [model], metrics: [m.json: {cache: false}]}}\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w").write_text("1")
    (tmp_path / "m.json").write_text("{}")
    return Project(tmp_path, tmp_path)


def test_what_bits_depend_on_is_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    facts = environment_facts(torch.device("cpu"))
    assert {"torch", "threads", "cpu", "cpu_capability", "python", "package.numpy"} <= facts.keys()
    assert facts["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    assert facts["ONEDNN_DEFAULT_FPMATH_MODE"] == "BF16"
    assert facts["deterministic"] in ("off", "warn", "strict")
    assert all(isinstance(value, str) and value for value in facts.values())


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_the_instruction_set_of_onednn_is_asked_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    first, second = onednn_isa(), onednn_isa()
    assert first == second
    assert "onednn_verbose" not in capfd.readouterr().out
    print("standard output works", flush=True)
    assert "standard output works" in capfd.readouterr().out


def test_facts_belong_to_outputs(project: Project) -> None:
    note_facts(project, "train", "cpu")
    outputs = {name: dvc_md5(project.workspace / name) for name in ("model", "m.json")}
    assert recorded_facts(project.workspace, "train", outputs) == environment_facts(torch.device("cpu"))
    assert recorded_facts(project.workspace, "train", outputs | {"model": "0" * 32}) == {}, "made elsewhere"
    assert recorded_facts(project.workspace, "evaluate", {}) == {}


def test_the_file_is_the_same_each_time_and_keeps_other_stages(project: Project) -> None:
    file = project.workspace / FACTS
    note_facts(project, "train", "cpu")
    first = file.read_bytes()
    note_facts(project, "train", "cpu")
    assert file.read_bytes() == first
    (project.workspace / "dvc.yaml").write_text("stages: {train: {cmd: x, outs: [model]}, export: {cmd: x}}\n")
    note_facts(project, "export", "cpu")
    assert read_json(file)["stages"].keys() == {"train", "export"}
    assert str(project.workspace) not in file.read_text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99, "stages": {}}', '{"format": 1, "stages": 3}', "\x00"])
def test_a_damaged_file_says_nothing_and_is_written_anew(text: str, project: Project) -> None:
    file = project.workspace / FACTS
    file.parent.mkdir()
    file.write_text(text)
    assert recorded_facts(project.workspace, "train", {}) == {}
    note_facts(project, "train", "cpu")
    assert read_json(file)["stages"]["train"]["outs"].keys() == {"model", "m.json"}
    assert read_json(file)["format"] == module.FORMAT
