"""dvc.yaml names all that a stage reads: every module it imports and every parameter it takes, and nothing more."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from samebits.params.choices import MODELS, TASKS
from samebits.params.schema import NAMED, SCALARS, SECTIONS, read_params
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.packages import PACKAGES
from samebits.stage import load_body, sections_of
from tests.helpers.imports import closure, direct_packages, with_reached
from tests.helpers.workspace import ROOT
from tools.document_params import page

STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]
NAMES = list(STAGES)
OUTPUTS = [next(iter(out)) if isinstance(out, dict) else out for stage in STAGES.values() for out in stage["outs"]]


PARAMS = {name: [each for each in stage["params"] if isinstance(each, str)] for name, stage in STAGES.items()}
"""Sections of params.yaml."""
USED = {name: next(each for each in stage["params"] if isinstance(each, dict)) for name, stage in STAGES.items()}
"""`packages.yaml: [...]`"""
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = dict(re.findall(r"^([a-z0-9][a-z0-9.-]*)==([^\s;]+)", LOCK, re.MULTILINE))


def script(stage: str) -> Path:
    return ROOT / "stages" / f"{stage}.py"


def target(stage: str) -> str:
    """The second argument of `run_stage(...)` in the stage's script."""
    for node in ast.walk(ast.parse(script(stage).read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "run_stage":
            name, function = (ast.literal_eval(argument) for argument in node.args[:2])
            assert name == stage
            return str(function)
    raise AssertionError(f"{script(stage)} does not call run_stage")


def test_the_stages_are_the_four() -> None:
    assert NAMES == ["prepare", "train", "evaluate", "export"]
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} == set(NAMES)


SPARE = {"src/samebits/data/loading/torch_dataset.py", "src/samebits/signature/special_tokens.py"}
"""Files of folders that are no part of each stage that depends on the folder."""


def needed(stage: str, model: str) -> set[str]:
    """Files that a stage reaches with this model, whatever the task."""
    chosen = [] if stage == "prepare" else [MODELS[model], *TASKS.values()]
    return {path.relative_to(ROOT).as_posix() for path in closure(script(stage), chosen)}


def code_deps(stage: str, model: str) -> list[str]:
    return [dep.replace("${model.name}", model) for dep in STAGES[stage]["deps"] if dep.startswith("src/")]


@pytest.mark.parametrize("stage", NAMES)
def test_deps_hold_all_that_a_stage_imports(stage: str) -> None:
    assert f"stages/{stage}.py" in STAGES[stage]["deps"]
    for model in MODELS:
        listed = code_deps(stage, model)
        missing = [
            file
            for file in sorted(needed(stage, model))
            if not any(file == dep or file.startswith(f"{dep}/") for dep in listed)
        ]
        assert not missing, f"with model.name {model}: add them to {stage} in dvc.yaml"


@pytest.mark.parametrize("stage", NAMES)
def test_deps_hold_nothing_that_a_stage_does_not_import(stage: str) -> None:
    reached = {file for model in MODELS for file in needed(stage, model)} | SPARE
    spare = set()
    for dep in (ROOT / name for model in MODELS for name in code_deps(stage, model)):
        files = [file for file in dep.rglob("*.py") if file.name != "__init__.py"] if dep.is_dir() else [dep]
        spare |= {file.relative_to(ROOT).as_posix() for file in files} - reached
    assert not spare, f"an edit of them re-runs {stage} for nothing"


@pytest.mark.parametrize("stage", NAMES)
def test_params_are_what_the_stage_takes(stage: str) -> None:
    assert PARAMS[stage] == list(sections_of(load_body(target(stage))))


def packages_of(stage: str) -> set[str]:
    """Packages that a stage uses with every model, derived from its code."""
    tasks = [] if stage == "prepare" else TASKS.values()
    return with_reached(stage, direct_packages({script(stage), *closure(script(stage), tasks)}))


@pytest.mark.parametrize("stage", NAMES)
def test_packages_are_what_the_stage_uses(stage: str) -> None:
    models = [] if stage == "prepare" else ["models.own", "models.${model.name}"]
    assert USED[stage] == {PACKAGES: [*sorted(packages_of(stage)), *models]}


def test_packages_yaml_has_what_single_models_use() -> None:
    common = set.intersection(*(packages_of(stage) for stage in NAMES if stage != "prepare"))
    used = {model: direct_packages(closure(script("train"), [module])) - common for model, module in MODELS.items()}
    used["own"] |= {"pillow"}  # of custom/emoji_order.py: which code of `custom` a training runs, params.yaml says
    assert {name: set(some) for name, some in read_yaml(ROOT / PACKAGES)["models"].items()} == used


def test_packages_yaml_names_the_locked_releases_of_what_stages_use() -> None:
    """`make setup` writes it anew where it installs another lock."""
    written = read_yaml(ROOT / PACKAGES)
    models = written.pop("models")
    assert set(written) == {name for used in USED.values() for name in used[PACKAGES]} - {
        "models.own",
        "models.${model.name}",
    }
    for name, version in [*written.items(), *(pair for some in models.values() for pair in some.items())]:
        assert version == LOCKED[name].partition("+")[0], f"{name}: make setup"
        assert "." not in name, "DVC would look for a section"
        assert f"\n{name}=={LOCKED[name]} \\\n" in f"\n{LOCK}", "it is not there on every system"


def test_every_section_but_runtime_belongs_to_a_stage() -> None:
    used = {section for sections in PARAMS.values() for section in sections}
    assert used == {*SCALARS, *NAMED, *SECTIONS} - {"runtime"}


def test_params_yaml_is_valid_and_names_every_section_a_stage_reads() -> None:
    raw = read_yaml(ROOT / "params.yaml")
    read_params(ROOT / "params.yaml")
    for sections in PARAMS.values():
        assert set(sections) <= set(raw), "DVC fails on a parameter that params.yaml does not hold"


def test_the_parameters_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8") == page(), "bring it up to date: make generate"


def test_params_yaml_holds_every_key() -> None:
    """`dvc exp run -S` refuses a key that the file does not hold, even one that has a default."""
    raw = read_yaml(ROOT / "params.yaml")
    assert _keys(raw) == _keys(read_params(ROOT / "params.yaml").dump())


def _keys(value: object, prefix: str = "") -> set[str]:
    if not isinstance(value, dict):
        return {prefix}
    return {key for name, inner in value.items() for key in _keys(inner, f"{prefix}.{name}")}


def test_plots_and_artifacts_are_made_by_a_stage() -> None:
    declared = read_yaml(ROOT / "dvc.yaml")
    plots = {name: plot for entry in declared["plots"] if isinstance(entry, dict) for name, plot in entry.items()}
    assert set(plots) == {"loss", "validation", "predictions"}
    for plot in plots.values():
        for file in plot["y"]:
            assert any(file == out or file.startswith(f"{out}/") for out in OUTPUTS), file
    assert declared["artifacts"]["model"]["path"] in OUTPUTS
    assert "/dvc_plots" in (ROOT / ".gitignore").read_text().splitlines()
