"""What a fresh clone relies on: the lock, the ranges, the licence, the make targets, the checks before a commit."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.schedule import TOGETHER, scope
from tests.helpers.tools import load
from tests.helpers.workspace import ROOT, tracked_files

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Declared, though nothing of ours imports them: each with its reason.
NOT_IMPORTED = {
    "alembic": "MLflow makes and upgrades the tables of its SQLite store with it",
    "dvc": "run as a command",
    "onnx": "torch.onnx and onnxscript build the file with it",
    "onnxscript": "torch.onnx.export(dynamo=True) imports it",
    "pandas": "the notebooks, and whoever opens our Parquet and CSV files",
    "pyyaml": "DVC's and MLflow's own files are YAML 1.1",
    "torchvision": "the user's own models, transforms and data sets",
}

# Imported where the user asked for it by an extra, else a message names the extra.
OF_EXTRAS = {
    "dask": "dask", "dvc-ssh": "ssh", "fastapi": "serve", "model-signing": "sign", "optuna": "sweep",
    "prometheus-client": "serve",
    "python-multipart": "serve", "scipy": "sweep", "starlette": "serve", "timm": "timm", "transformers": "transformers",
    "uvicorn": "serve",
}  # fmt: skip

# What DVC's plugins among the dev requirements bring; the tests meet their errors.
OF_PLUGINS = {"asyncssh", "botocore", "httpx", "s3fs"}


def locked() -> dict[str, str]:
    """Version of each locked package."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9.-]*)==(\S+)", LOCK, re.MULTILINE))


# --- the lock


def test_every_locked_package_has_sha256_hashes_and_an_exact_version() -> None:
    blocks = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) > 100
    for block in blocks:
        name, *_ = block.split("==")
        assert re.match(r"[a-z0-9.-]+==[^\s*,]+( ; [^\\\n]+)? \\\n", block), block.splitlines()[0]
        assert re.findall(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$", block, re.MULTILINE), name


def test_the_lock_holds_packages_and_hashes_only() -> None:
    """No option line, so no index, no link, no host: pip takes the packages from where the user's pip takes them."""
    kinds = re.compile(r"^([a-z0-9][a-z0-9.-]*==.*|    --hash=sha256:[0-9a-f]{64}( \\)?|\s*#.*)$")
    assert [line for line in LOCK.splitlines() if not kinds.match(line)] == []
    assert "://" not in LOCK


def test_each_package_is_locked_once() -> None:
    """One version for all platforms and Pythons: two would be two sets of bits."""
    names = re.findall(r"^([a-z0-9][a-z0-9.-]*)==", LOCK, re.MULTILINE)
    assert sorted(set(names)) == names


def test_the_ranges_admit_the_locked_versions() -> None:
    versions = locked()
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)], prereleases=True), line


def test_each_runtime_dependency_has_a_lower_and_an_upper_bound() -> None:
    for line in PROJECT["dependencies"]:
        operators = {each.operator for each in Requirement(line).specifier}
        assert "<" in operators or line.startswith("nvidia-ml-py"), line
        assert ">=" in operators, line


def test_the_lock_and_the_environment_agree_on_the_main_packages() -> None:
    """The tests run on what is locked; an environment made otherwise is told so."""
    for name in ("torch", "dvc", "mlflow", "numpy", "pydantic"):
        assert metadata.version(name).split("+")[0] == locked()[name], f"{name}: run make setup"


# --- what the code imports


def imported(folder: Path) -> set[str]:
    """Top-level names of everything that the files of a folder import, inside functions too."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        if path.is_relative_to(ROOT / "src" / "samebits" / "template" / "files"):
            continue  # tests of a project, whose lock has pytest
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"samebits"}


def distributions(names: set[str]) -> set[str]:
    known = metadata.packages_distributions()
    # mlflow, an extra, and mlflow-skinny both bring `mlflow`.
    one = {"mlflow": "mlflow-skinny"}
    return {canonicalize_name(one.get(name) or min(known.get(name, [name]), key=len)) for name in names}


def test_what_src_and_stages_import_is_declared() -> None:
    """An import that works only because another package brings it breaks when that package changes."""
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    found = distributions(imported(ROOT / "src") | imported(ROOT / "stages"))
    assert found - declared == set(OF_EXTRAS)


def test_what_the_tests_and_tools_import_is_declared() -> None:
    lines = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    own = {"tests", "stages", "tools", "conftest"} | own_modules("tools") | own_modules("bench")
    # The benchmark's peers run in an environment of their own.
    peers = imported(ROOT / "bench" / "peers") - imported(ROOT / "bench" / "ours") - imported(ROOT / "bench" / "parts")
    names = imported(ROOT / "tests") | imported(ROOT / "tools") | (imported(ROOT / "bench") - peers)
    assert distributions(names - own) - declared - OF_PLUGINS == set()


def test_what_the_benchmarks_peers_import_is_pinned() -> None:
    lines = (ROOT / "bench" / "peers" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(Requirement(line).name) for line in lines}
    assert all("==" in line for line in lines)
    renamed = {"pil": "pillow", "tensorflow": "tensorflow-cpu"}
    names = {renamed.get(name.lower(), name) for name in imported(ROOT / "bench" / "peers") - own_modules("bench")}
    assert {canonicalize_name(name) for name in names} <= pinned
    ours = locked()
    same = {"torch", "torchvision", "numpy", "pillow", "transformers"}
    assert {name: ours[name] for name in same} == {
        name: line.split("==")[1] for line in lines if (name := line.split("==")[0]) in same
    }


def own_modules(folder: str) -> set[str]:
    """Names by which the scripts of a folder import each other."""
    return {path.stem for path in (ROOT / folder).rglob("*.py")} | {
        path.name for path in (ROOT / folder).glob("*") if path.is_dir()
    }


def test_what_is_declared_is_used() -> None:
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    used = distributions(imported(ROOT / "src") | imported(ROOT / "stages"))
    assert declared - used - set(NOT_IMPORTED) == set()


# --- what lies in the repository


def test_no_tracked_file_names_the_host_of_a_package_registry() -> None:
    """A user behind a mirror must not be sent elsewhere; the clients' own settings say where packages come from."""
    hosts = ["pypi" + ".org", "python" + "hosted.org", "registry.npm" + "js.org", "registry.yarn" + "pkg.com"]
    hosts += ["deb.deb" + "ian.org", "archive.ubu" + "ntu.com", "download.pyt" + "orch.org", "conda.ana" + "conda.org"]
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked_files()
        for host in hosts
        if host.encode() in path.read_bytes()
    ]
    assert found == []


def test_the_licence_is_apache_2_in_full() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["license"] == "Apache-2.0"


@pytest.mark.parametrize("path", ["data/catalog/mnist.yaml", "src/samebits/models/__init__.py", "models", "reports"])
def test_git_does_not_ignore_what_belongs_to_the_project(path: str) -> None:
    result = subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", "--no-index", path], check=False)
    assert result.returncode != 0, path


@pytest.mark.parametrize(
    "path", [".venv/x", "mlruns/mlflow.db", ".samebits/x", "src/a/__pycache__/b.pyc", ".dvc/config.local"]
)
def test_git_ignores_what_a_run_leaves(path: str) -> None:
    result = subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", "--no-index", path], check=False)
    assert result.returncode in (0, 128), path


def test_dvc_tells_nobody_what_is_done_here() -> None:
    text = (ROOT / ".dvc" / "config").read_text(encoding="utf-8")
    assert re.search(r"^\s*analytics = false$", text, re.MULTILINE)
    assert re.search(r"^\s*check_update = false$", text, re.MULTILINE)


def test_scripts_are_executable_and_read_by_a_shell() -> None:
    for name in (".ci/run", "tools/environment.sh"):
        path = ROOT / name
        assert os.access(path, os.X_OK), name
        shell = "bash" if path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash") else "sh"
        assert subprocess.run([shell, "-n", str(path)], check=False).returncode == 0


# --- make and continuous integration


@pytest.mark.parametrize(
    "target", ["setup", "repro", "test", "test-slow", "test-full", "lint", "types", "ui", "lock", "help"]
)
def test_make_has_the_target_and_help_lists_it(target: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    planned = subprocess.run(
        ["make", "-n", target], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert planned.returncode == 0, planned.stderr
    listed = subprocess.run(["make", "help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert re.search(rf"^  make {target} +\S", listed.stdout, re.MULTILINE)


def test_a_failing_step_stops_make_and_is_named(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (tmp_path / "Makefile").write_text(
        makefile + "\nbroken:\n\t@$(call step,the third step,sh -c 'exit 7')\n\t@echo after\n", encoding="utf-8"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    result = subprocess.run(
        ["make", "broken"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "make broken: the third step failed (exit code 7)" in result.stderr
    assert "after" not in result.stdout


def test_ci_runs_the_fast_and_the_slow_tests_and_the_workflow_calls_the_same() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make test$", script, re.MULTILINE)
    assert script.rstrip().endswith("make test-slow")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    commands = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    assert any(command.startswith("make test") for command in commands)
    assert "bash .ci/run" in commands
    assert workflow["permissions"] == {"contents": "read"}


def test_modules_that_stay_in_one_process_are_there() -> None:
    assert all((ROOT / module).is_file() for module in TOGETHER)
    assert scope(f"{TOGETHER[0]}::test_a[x]") == scope(f"{TOGETHER[0]}::test_b") != scope(f"{TOGETHER[1]}::test_b")
    assert scope("tests/exact/test_train.py::test_a") == "tests/exact/test_train.py::test_a"


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    environment = load("environment")
    oldest, newest = environment.OLDEST, environment.NEWEST
    shell = (ROOT / "tools" / "environment.sh").read_text(encoding="utf-8")
    assert f"Python 3.{oldest[1]} to 3.{newest[1]};" in shell
    assert PROJECT["requires-python"] == f">={oldest[0]}.{oldest[1]}"


# --- the environment


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/environment.py on a project in tmp_path whose .venv is ready: a fake one, with a real interpreter."""
    module = load("environment")
    packages = tmp_path / ".venv" / "lib" / "python3" / "site-packages"
    for folder in ("pip", "torch", "torch-2.14.1.dist-info"):
        (packages / folder).mkdir(parents=True)
    (tmp_path / ".venv" / "bin").mkdir()
    (tmp_path / ".venv" / "bin" / "dvc").touch()
    (tmp_path / "requirements.lock").write_text("torch==2.14.1\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    venv = tmp_path / ".venv"
    places = {"ROOT": tmp_path, "VENV": venv, "BIN": venv / "bin", "PYTHON": Path(sys.executable)}
    places |= {"LOCK": tmp_path / "requirements.lock", "STAMP": venv / module.STAMP.name}
    for name, place in places.items():
        monkeypatch.setattr(module, name, place)
    module.write_stamp(module.wanted({}))
    return module


def test_a_finished_environment_needs_nothing(environment: ModuleType) -> None:
    assert environment.up_to_date()


def test_an_interrupted_installation_counts_as_none(environment: ModuleType) -> None:
    environment.STAMP.unlink()
    assert not environment.up_to_date()


def test_a_damaged_stamp_counts_as_none(environment: ModuleType) -> None:
    environment.STAMP.write_text("{", encoding="utf-8")
    assert not environment.up_to_date()


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_is_seen(environment: ModuleType, name: str) -> None:
    path = environment.ROOT / name
    path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    assert not environment.up_to_date()


@pytest.mark.parametrize("gone", ["torch", "torch-2.14.1.dist-info", "dvc"])
def test_what_was_removed_by_hand_is_seen(environment: ModuleType, gone: str) -> None:
    path = next(environment.VENV.rglob(gone))
    path.rename(path.with_name("elsewhere"))
    assert not environment.is_sound(environment.read_stamp())
    assert not environment.up_to_date()


def test_what_was_added_by_hand_is_nobodys_business(environment: ModuleType) -> None:
    (environment.VENV / "lib" / "python3" / "site-packages" / "dvc_s3").mkdir()
    assert environment.up_to_date()


def test_a_moved_project_is_seen(environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path / "moved")
    assert not environment.is_sound(environment.read_stamp())


def test_an_interpreter_that_is_gone_is_seen(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "PYTHON", tmp_path / "no-python")
    assert not environment.up_to_date()


def test_uv_and_what_builds_are_cut_out_of_the_lock() -> None:
    """pip installs these two before uv installs the rest."""
    lines = load("environment").locked("setuptools", "uv")
    assert re.findall(r"^(\S+)==", lines, re.MULTILINE) == ["setuptools", "uv"]
    assert lines.count("--hash=sha256:") > 2


def test_uv_gets_the_indexes_of_pips_settings(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = https://mirror.acme.net/simple\ntrusted-host = a\n  b\n[install]\nno-index = true\n",
        encoding="utf-8",
    )
    for name in [each for each in os.environ if each.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://b.acme.net/simple https://c.acme.net/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more-wheels")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "7")
    monkeypatch.setenv("PIP_TIMEOUT", "9")
    variables, options = environment.for_uv()
    assert variables["UV_DEFAULT_INDEX"] == "https://mirror.acme.net/simple"
    assert variables["UV_INDEX"] == "https://b.acme.net/simple https://c.acme.net/simple"
    assert variables["UV_FIND_LINKS"] == "/wheels,/more-wheels"
    assert variables["UV_INSECURE_HOST"] == "a b"
    assert variables["UV_HTTP_TIMEOUT"] == "7", "uv's own variable wins"
    assert options == ["--no-index"]


def test_an_edit_in_the_environment_does_not_reach_uvs_cache(environment: ModuleType) -> None:
    """A hard link would carry it there, and from there into each environment made anew."""
    variables, _ = environment.for_uv()
    assert os.environ.get("UV_LINK_MODE") or variables["UV_LINK_MODE"] in ("copy", "clone")


def test_a_python_that_does_not_fit_gives_one_clear_message(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.1 && exit 0\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    result = subprocess.run(
        [str(ROOT / "tools" / "environment.sh")],
        env={"PATH": os.environ["PATH"], "PYTHON": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"{old} does not fit (Python 3.9.1)" in result.stderr
    assert "fix:" in result.stderr
