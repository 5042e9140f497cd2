"""`make setup`: the build of torch and the extras, with the real uv, a toy lock, and indexes on loopback."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.http_site import Site, serve
from tests.helpers.tools import load
from tests.helpers.wheels import lock_text, make_wheel

UV = Path(sys.executable).with_name("uv")
PYPROJECT = """\
[project]
name = "toy"
version = "1"
dependencies = ["alpha", "torch"]
[project.optional-dependencies]
more = ["beta"]
dev = ["beta", "gamma"]
"""

pytestmark = pytest.mark.skipif(not UV.exists(), reason="no uv in this environment")


def metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA")))


def pages(wheels: list[Path]) -> dict[str, bytes]:
    """The files and pages of a package index (PEP 503)."""
    files = {f"files/{each.name.replace('+', '%2B')}": each.read_bytes() for each in wheels}
    files |= {f"{path}.metadata": metadata(each) for path, each in zip(list(files), wheels, strict=True)}
    links: dict[str, str] = {}
    for each in wheels:
        name = each.name.split("-")[0].replace("_", "-")
        fragment = f"#sha256={hashlib.sha256(each.read_bytes()).hexdigest()}"
        href = f"/files/{each.name.replace('+', '%2B')}{fragment}"
        links[name] = links.get(name, "") + f'<a href="{href}" data-core-metadata="true">{each.name}</a>'
    return {**files, **{f"simple/{name}/": text.encode() for name, text in links.items()}}


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Site, str]]:
    """An index with all of a lock, one with CPU builds alone, and the lock."""
    folder = tmp_path_factory.mktemp("wheels")
    names = {"alpha": "1.0", "beta": "2.0", "gamma": "3.0", "torch": "2.14.1", "torchvision": "0.29.1"}
    names |= {"nvidia_cublas": "13.1", "nvidia_ml_py": "13.6", "cuda_toolkit": "13.0", "triton": "3.8"}
    whole = [make_wheel(folder / "whole", name, version) for name, version in names.items()]
    cpu = [make_wheel(folder / "cpu", name, f"{names[name]}+cpu") for name in ("torch", "torchvision")]
    requires = "Requires-Dist: alpha\nRequires-Dist: torch\nProvides-Extra: ui\nRequires-Dist: beta ; extra == 'ui'\n"
    more = [make_wheel(folder, "samebits", "1.0", about_it=requires), make_wheel(folder, "pytest", "9.0")]
    with serve(Site(pages([*whole, *more]))) as index, serve(Site(pages(cpu))) as torch:
        for site in (index, torch):
            site.content_type = "text/html"
        yield index, torch, lock_text(whole).replace("_", "-")


@pytest.fixture
def setup(indexes: tuple[Site, Site, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/environment.py on a toy project with an empty .venv."""
    module = load("environment")
    for name in [each for each in os.environ if each.startswith(("PIP_", "UV_", "TORCH", "EXTRAS"))]:
        monkeypatch.delenv(name)
    venv, index = tmp_path / ".venv", indexes[0]
    subprocess.run([UV, "venv", "--quiet", "--no-config", "--python", sys.executable, venv], check=True)
    (venv / "bin" / "uv").symlink_to(UV)
    (tmp_path / "requirements.lock").write_text(indexes[2], encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    places = {"ROOT": tmp_path, "VENV": venv, "BIN": venv / "bin", "PYTHON": venv / "bin" / "python"}
    places |= {"LOCK": tmp_path / "requirements.lock", "STAMP": venv / module.STAMP.name}
    places["RELEASE"] = tmp_path / "requirements.txt"
    for name, place in places.items():
        monkeypatch.setattr(module, name, place)
    for name, value in {"UV_DEFAULT_INDEX": index.base.format(name="simple"), "UV_NO_CONFIG": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "FIRST", ())
    monkeypatch.setattr(module, "install_uv", lambda: None)
    monkeypatch.setattr(module, "has_gpu", lambda: False)
    plain = module.run
    monkeypatch.setattr(
        module,
        "run",
        lambda what, *more: plain(what, *more) if what != "installing samebits" or module.RELEASE.exists() else None,
    )
    monkeypatch.setattr(module.subprocess, "call", lambda command, **more: subprocess.run(command, **more).returncode)
    (venv / "bin" / "samebits").write_text("#!/bin/sh\n", encoding="utf-8")
    (venv / "bin" / "samebits").chmod(0o755)
    return module


def install(module: ModuleType) -> dict[str, str]:
    """What is installed afterwards, by name."""
    content = module.wanted(module.read_stamp())
    content["torch"] = module.install(content)
    module.write_stamp(content)
    command = [UV, "pip", "list", "--python", module.PYTHON, "--format", "freeze"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split("==") for line in listed.split())


LOCKED = {"nvidia-cublas": "13.1", "cuda-toolkit": "13.0", "triton": "3.8", "torch": "2.14.1", "torchvision": "0.29.1"}
ALWAYS = {"alpha": "1.0", "beta": "2.0", "gamma": "3.0", "nvidia-ml-py": "13.6"}
CPU = {"torch": "2.14.1+cpu", "torchvision": "0.29.1+cpu"}


def test_the_cpu_build_replaces_torch_and_brings_no_cuda(
    setup: ModuleType, indexes: tuple[Site, Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_INDEX", indexes[1].base.format(name="simple"))
    assert install(setup) == ALWAYS | CPU
    assert "--hash=" in (setup.VENV / "chosen.lock").read_text(encoding="utf-8").partition("torch==")[2]
    # Later calls keep the build; the other one is asked for by name.
    monkeypatch.delenv("TORCH_INDEX")
    assert setup.up_to_date()
    monkeypatch.setenv("TORCH", "locked")
    assert not setup.up_to_date()
    assert install(setup) == ALWAYS | LOCKED
    assert setup.up_to_date()


def test_a_folder_of_wheels_serves_as_torchs_index(
    setup: ModuleType, indexes: tuple[Site, Site, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in CPU.items():
        make_wheel(tmp_path / "here", name, version)
    monkeypatch.setenv("TORCH_INDEX", str(tmp_path / "here"))
    assert install(setup) == ALWAYS | CPU


def test_a_wheel_that_is_not_what_the_index_states_is_refused(
    setup: ModuleType,
    indexes: tuple[Site, Site, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    files = {**indexes[1].files}
    name = next(each for each in files if each.startswith("files/torch-"))
    files[name] = files[next(each for each in files if each.startswith("files/torchvision-"))]
    with serve(Site(files, content_type="text/html")) as site:
        monkeypatch.setenv("TORCH_INDEX", site.base.format(name="simple"))
        with pytest.raises(SystemExit):
            install(setup)
    assert not setup.up_to_date()


def test_without_an_answer_the_locked_build_is_taken_and_said(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_INDEX", "http://127.0.0.1:9/simple")
    assert install(setup) == ALWAYS | LOCKED
    assert "no GPU here, but http://127.0.0.1:9/simple does not answer" in capsys.readouterr().out
    monkeypatch.delenv("TORCH_INDEX")
    assert setup.up_to_date(), "the next call does not try again"


def test_the_cpu_build_that_was_asked_for_and_is_not_to_be_had_stops_before_anything_changes(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_locked = install(setup)
    monkeypatch.setenv("TORCH", "cpu")
    monkeypatch.setenv("TORCH_INDEX", os.environ["UV_DEFAULT_INDEX"])  # it has no such build
    with pytest.raises(SystemExit):
        install(setup)
    assert "does not have the CPU build of the locked torch" in capsys.readouterr().err
    monkeypatch.setenv("TORCH", "locked")
    assert setup.up_to_date()
    assert install(setup) == install_locked


def test_a_machine_with_a_gpu_takes_what_is_locked(
    setup: ModuleType, indexes: tuple[Site, Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "has_gpu", lambda: True)
    monkeypatch.setenv("TORCH_INDEX", indexes[1].base.format(name="simple"))
    assert install(setup) == ALWAYS | LOCKED


@pytest.mark.parametrize(
    ("extras", "names"),
    [
        ("none", {"alpha", "torch"}),
        ("more", {"alpha", "beta", "torch"}),
        ("more,dev", {"alpha", "beta", "gamma", "torch"}),
    ],
)
def test_extras_are_cut_out_of_the_lock(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, extras: str, names: set[str]
) -> None:
    monkeypatch.setenv("TORCH", "locked")
    monkeypatch.setenv("EXTRAS", extras)
    assert install(setup).keys() == names
    monkeypatch.delenv("EXTRAS")
    assert setup.up_to_date(), "later calls keep to it"
    monkeypatch.setenv("EXTRAS", "dev")
    assert not setup.up_to_date()


@pytest.mark.parametrize(("extras", "names"), [("", {"beta", "gamma"}), ("none", set()), ("ui", {"beta"})])
def test_a_project_gets_the_release_that_it_names(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extras: str, names: set[str]
) -> None:
    (tmp_path / "pyproject.toml").unlink()
    setup.RELEASE.write_text("# the release\nsamebits==1.0\n", encoding="utf-8")
    monkeypatch.setenv("TORCH", "locked")
    monkeypatch.setenv("EXTRAS", extras)
    assert install(setup).keys() - LOCKED.keys() - {"nvidia-ml-py"} == {"samebits", "alpha"} | names
    assert setup.up_to_date()
    setup.RELEASE.write_text("samebits==1.1\n", encoding="utf-8")
    assert not setup.up_to_date(), "another release"


def test_an_unknown_extra_or_build_is_named(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXTRAS", "nonsense")
    with pytest.raises(SystemExit):
        install(setup)
    assert "EXTRAS=nonsense" in capfd.readouterr().err
    monkeypatch.setenv("TORCH", "gpu")
    with pytest.raises(SystemExit):
        setup.wanted({})
    assert "one of auto, cpu, locked" in capfd.readouterr().err


def test_what_the_cpu_build_leaves_out_of_the_lock_is_what_only_cuda_needs() -> None:
    module = load("environment")
    names = {name for name, _ in module.blocks()}
    left_out = {name for name in names if module.re.fullmatch(module.CUDA, name)}
    wanted_by = {
        name: set(module.re.findall(r"^    # +(?:via )?([\w.-]+)", text, module.re.MULTILINE)) - {"via"}
        for name, text in module.blocks()
    }
    assert "nvidia-cudnn-cu13" in left_out
    assert "nvidia-ml-py" not in left_out
    assert {name for name in left_out if not wanted_by[name] <= left_out | {"torch"}} == set()
