"""packages.yaml against what is installed: what differs, what is written, and what a stage does about it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.params.yaml_file import read_yaml
from samebits.pipeline import packages
from samebits.pipeline.code import code_digest
from samebits.pipeline.packages import PACKAGES, differences, require_packages, stage_packages, write_packages
from tests.helpers.git_repository import git, start_repository

DVC = """
stages:
  prepare:
    cmd: python stages/prepare.py
    params: [data, packages.yaml: [numpy]]
  train:
    cmd: python stages/train.py
    params: [model, packages.yaml: [numpy, torch, "models.${model.name}"]]
  plain: {cmd: python plain.py}
"""
WRITTEN = """
numpy: "2.1"
torch: "2.14.1"
models:
  bert: {transformers: "5.1"}
  convnet: {}
  own: {}
"""
INSTALLED = {"numpy": "2.1", "torch": "2.14.1+cu130", "transformers": "5.1", "timm": "1.10", "pillow": "12.0"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in an environment of a few packages."""

    def version(name: str) -> str:
        if name not in INSTALLED:
            raise metadata.PackageNotFoundError(name)
        return INSTALLED[name]

    monkeypatch.setattr(packages.metadata, "version", version)
    modules = {"numpy": ["numpy"], "torch": ["torch"], "timm": ["timm"], "PIL": ["Pillow"], "google": ["a", "b"]}
    monkeypatch.setattr(packages, "_distributions", lambda: modules)
    for name, text in {"dvc.yaml": DVC, PACKAGES: WRITTEN, "params.yaml": "model: {name: bert}\n"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> Callable[..., None]:
    """Another release of a package; None takes it away."""

    def put(name: str, version: str | None) -> None:
        monkeypatch.delitem(INSTALLED, name) if version is None else monkeypatch.setitem(INSTALLED, name, version)

    return put


def choose(workspace: Path, model: str) -> None:
    (workspace / "params.yaml").write_text(f"model: {{name: {model}}}\n")


def test_a_stage_has_the_packages_that_dvc_yaml_lists_and_those_of_its_model(workspace: Path) -> None:
    assert stage_packages(workspace, "prepare") == {"numpy": "2.1"}
    assert stage_packages(workspace, "train") == {"numpy": "2.1", "torch": "2.14.1", "transformers": "5.1"}
    assert stage_packages(workspace, "plain") == stage_packages(workspace, "unknown") == {}
    choose(workspace, "convnet")
    assert stage_packages(workspace, "train") == {"numpy": "2.1", "torch": "2.14.1"}


def test_the_name_of_a_build_does_not_count(workspace: Path) -> None:
    assert differences(workspace) == []
    require_packages(workspace, "train")


def test_another_release_stops_the_stages_that_use_it_and_no_other(
    workspace: Path, install: Callable[..., None]
) -> None:
    install("torch", "2.15.0")
    install("transformers", None)
    require_packages(workspace, "prepare")
    with pytest.raises(UserError) as raised:
        require_packages(workspace, "train")
    assert raised.value.problem == (
        "torch 2.15.0 is installed (packages.yaml: 2.14.1), transformers is not installed (packages.yaml: 5.1)"
    )
    assert "make setup" in raised.value.fix
    assert "samebits packages --write" in raised.value.fix
    choose(workspace, "convnet")
    assert [each.name for each in differences(workspace)] == ["torch"]


def test_a_package_of_an_extra_that_is_not_there_comes_by_its_release(
    workspace: Path, install: Callable[..., None]
) -> None:
    install("transformers", None)
    with pytest.raises(UserError) as raised:
        require_packages(workspace, "train")
    assert raised.value.problem == "transformers is not installed (packages.yaml: 5.1)"
    assert raised.value.fix.endswith("-m pip install transformers==5.1")
    write_packages(workspace, lambda _: None)
    assert stage_packages(workspace, "train")["transformers"] == "5.1", "its entry stays"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "does not exist"),
        ('numpy: "2.1"\nmodels: {bert: {}}\n', "torch 2.14.1 is installed (packages.yaml: not named)"),
        ('numpy: "2.1"\ntorch: "2.14.1"\n', "packages.yaml has no section models.bert"),
        ('numpy: "2.1"\ntorch: "2.14.1"\nmodels: {bert: 5}\n', "packages.yaml has no section models.bert"),
        ("numpy: [\n", "packages.yaml, line"),
    ],
)
def test_a_damaged_file_is_named(workspace: Path, text: str | None, problem: str) -> None:
    if text is None:
        (workspace / PACKAGES).unlink()
    else:
        (workspace / PACKAGES).write_text(text)
    with pytest.raises(UserError) as raised:
        require_packages(workspace, "train")
    assert problem in raised.value.problem
    assert raised.value.fix


def test_writing_takes_over_what_is_installed_and_says_which_stages_run_again(
    workspace: Path, install: Callable[..., None]
) -> None:
    install("torch", "2.15.0+cpu")
    install("transformers", "5.2")
    said: list[str] = []
    write_packages(workspace, said.append)
    assert said[:2] == [
        "models.bert.transformers 5.1 -> 5.2: dvc repro runs train again",
        "torch 2.14.1 -> 2.15.0: dvc repro runs train again",
    ]
    assert stage_packages(workspace, "train") == {"numpy": "2.1", "torch": "2.15.0", "transformers": "5.2"}
    assert differences(workspace) == []
    before = (workspace / PACKAGES).stat()
    write_packages(workspace, said.append)
    assert said[-1] == "packages.yaml is as installed"
    assert (workspace / PACKAGES).stat().st_ino == before.st_ino, "a file that is right is not touched"


@pytest.mark.parametrize("text", [None, "a: 1\n", "models: 3\n", "models: {bert: 3}\n", 'numpy: "1"\ngone: "2"\n'])
def test_writing_mends_a_file_that_lacks_or_has_too_much(workspace: Path, text: str | None) -> None:
    (workspace / PACKAGES).unlink() if text is None else (workspace / PACKAGES).write_text(text)
    write_packages(workspace, lambda _: None)
    values = read_yaml(workspace / PACKAGES)
    assert values == {"numpy": "2.1", "torch": "2.14.1", "models": {"bert": {}, "own": {}}}


def test_a_deleted_file_comes_back_with_what_other_models_need(workspace: Path) -> None:
    start_repository(workspace)
    git(workspace, "add", PACKAGES)
    git(workspace, "commit", "-q", "-m", "packages")
    (workspace / PACKAGES).unlink()
    choose(workspace, "convnet")
    write_packages(workspace, lambda _: None)
    assert read_yaml(workspace / PACKAGES)["models"]["bert"] == {"transformers": "5.1"}


def test_writing_refuses_what_is_neither_installed_nor_written(workspace: Path, install: Callable[..., None]) -> None:
    install("torch", None)
    write_packages(workspace, lambda _: None)
    assert stage_packages(workspace, "train")["torch"] == "2.14.1", "the stage that uses it says so"
    (workspace / PACKAGES).write_text('numpy: "2.1"\n')
    with pytest.raises(UserError, match="not installed: torch"):
        write_packages(workspace, lambda _: None)
    assert (workspace / PACKAGES).read_text() == 'numpy: "2.1"\n'


def test_the_packages_of_ones_own_model_are_those_that_its_code_imports(workspace: Path) -> None:
    for name, text in {
        "mine.py": "import os, torch, unheard_of\nfrom timm.layers import Mlp\nfrom custom.blocks import parts",
        "parts.py": "def image():\n    from PIL import Image\n    from . import mine\n    import google.x\n",
        "broken.py": "def (",
    }.items():
        (workspace / "custom" / "blocks" / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / "custom" / "blocks" / name).write_text(text)
    require_packages(workspace, "train")  # the model is another one
    choose(workspace, "own")
    with pytest.raises(UserError, match=r"pillow 12.0 is installed \(packages.yaml: not named\), timm"):
        require_packages(workspace, "train")
    write_packages(workspace, lambda _: None)
    assert read_yaml(workspace / PACKAGES)["models"]["own"] == {"pillow": "12.0", "timm": "1.10"}
    require_packages(workspace, "train")


@pytest.mark.parametrize(
    "settings",
    [
        "task: {name: regression, own_metrics: [{file: custom/mine.py, class_name: Cost}]}",
        "augment: {own: {file: custom/mine.py, class_name: Noise}}",
        "task: {name: own}",
    ],
)
def test_code_of_ones_own_beside_a_model_has_its_packages(settings: str, workspace: Path) -> None:
    (workspace / "custom").mkdir()
    (workspace / "custom" / "mine.py").write_text("import timm")
    (workspace / "dvc.yaml").write_text(DVC.replace('"models.${model.name}"', 'models.own, "models.${model.name}"'))
    require_packages(workspace, "train")
    (workspace / "params.yaml").write_text(f"model: {{name: bert}}\n{settings}\n")
    with pytest.raises(UserError, match=r"timm 1.10 is installed \(packages.yaml: not named\)"):
        require_packages(workspace, "train")
    write_packages(workspace, lambda _: None)
    require_packages(workspace, "train")
    assert stage_packages(workspace, "train")["timm"] == "1.10"


def test_a_package_that_only_another_stage_lists_is_one_of_ones_own_model(workspace: Path) -> None:
    (workspace / "custom").mkdir()
    (workspace / "custom" / "mine.py").write_text("import numpy\nfrom PIL import Image")
    (workspace / "dvc.yaml").write_text(DVC.replace("[numpy]", "[numpy, pillow]"))
    choose(workspace, "own")
    write_packages(workspace, lambda _: None)
    assert read_yaml(workspace / PACKAGES)["models"]["own"] == {"pillow": "12.0"}
    require_packages(workspace, "train")


def test_a_state_is_resumed_with_the_packages_that_it_was_saved_with(workspace: Path) -> None:
    before = {stage: code_digest(workspace, stage) for stage in ("prepare", "train")}
    (workspace / PACKAGES).write_text(WRITTEN.replace("2.14.1", "2.15"))
    after = {stage: code_digest(workspace, stage) for stage in before}
    assert [stage for stage in before if before[stage] != after[stage]] == ["train"]
