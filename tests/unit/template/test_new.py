"""`samebits new`: what is made, and that a refusal leaves nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from samebits import __version__
from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.cli.main import main
from samebits.params.schema import read_params
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.packages import differences, project_release
from samebits.pipeline.recipes import recipe_names, use
from samebits.pipeline.release import release_code
from samebits.template import new as module
from samebits.template.base import read_base
from samebits.template.new import new
from tests.helpers.git_repository import git
from tests.helpers.workspace import AUTHOR, ROOT


@pytest.fixture(autouse=True)
def _author(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**AUTHOR, "GIT_CONFIG_GLOBAL": os.devnull}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def test_a_project_is_whole_and_committed(project: Project) -> None:
    root = project.workspace
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "log", "--format=%s") == f"Begin with samebits {__version__}"
    assert differences(root) == []
    assert project_release(root) == __version__
    assert read_yaml(root / "packages.yaml")["samebits"] == {"release": __version__, **release_code()}
    params = read_params(root / "params.yaml")
    assert params.runtime.tracking.experiment == "pets"
    assert read_base(root).name == "pets"
    assert read_yaml(root / "params.yaml") | {"runtime": {}} == read_yaml(ROOT / "params.yaml") | {"runtime": {}}


def test_recipes_are_those_of_samebits_and_the_projects_own(project: Project) -> None:
    root = project.workspace
    assert not (root / "recipes").exists()
    assert "bikeshare" in recipe_names(root)
    use(root, "bikeshare", say=lambda _: None)
    assert read_params(root / "params.yaml").sections["data"].source == "data/catalog/bikeshare.yaml"
    (root / "recipes").mkdir()
    (root / "recipes" / "bikeshare.yaml").write_text((ROOT / "recipes" / "mnist.yaml").read_text())
    use(root, "bikeshare", say=lambda _: None)
    assert read_params(root / "params.yaml").sections["data"].source == "data/catalog/mnist.yaml"


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a b", "a\nb", ".git", "a:b", "ü/…"])
def test_a_bad_name_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "--", name]) == 2
    assert "fix:" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "other" / "dvc.yaml").touch()
    before = sorted(tmp_path.rglob("*"))
    for name in ("full", "file", "link", "no/where", "other/inside"):
        with pytest.raises(UserError):
            new(Path(name))
    with pytest.raises(UserError, match="there is no recipe 'mnsit'"):
        new(Path("x"), recipe="mnsit")
    with pytest.raises(UserError, match="does not exist"):
        new(Path("x"), data=Path("gone"))
    (tmp_path / "full" / "broken").symlink_to("nowhere")
    before.append(tmp_path / "full" / "broken")
    with pytest.raises(UserError, match="broken cannot be copied"):
        new(Path("x"), data=Path("full"))
    with pytest.raises(UserError, match="/proc takes no folder"):
        new(Path("/proc/x"))
    with pytest.raises(UserError, match="which would be copied into it"):
        new(Path("full/x"), data=Path("full"))
    assert sorted(tmp_path.rglob("*")) == sorted(before)


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_commit", full)
    with pytest.raises(OSError, match="No space"):
        new(Path("x"))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_taken_and_no_author_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "knows_author", lambda _: False)
    (tmp_path / "x").mkdir()
    said: list[str] = []
    new(Path("x"), recipe="image_classification", say=said.append)
    assert any("first set data.source" in line for line in said)
    assert any(line.startswith("not committed: git knows no author") for line in said)
    assert (tmp_path / "x" / ".git").is_dir()
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_own_data_are_copied_and_kept_by_dvc_and_params_yaml_is_set(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7},{'ab'[i % 2]},{i * 1.5}\n" for i in range(80))
    (tmp_path / "houses.csv").write_text("rooms,town,price\n" + rows)
    said: list[str] = []
    new(Path("x"), data=Path("houses.csv"), say=said.append)
    root = tmp_path / "x"
    assert "data/raw/houses.csv.dvc" in git(root, "ls-files").splitlines()
    assert "data/raw/houses.csv" not in git(root, "ls-files").splitlines()
    assert git(root, "status", "--porcelain") == ""
    data = read_params(root / "params.yaml").sections["data"]
    assert (data.source, data.format, data.table.target) == ("data/raw/houses.csv", "table", "price")


def test_data_that_ask_a_question_are_kept_and_the_question_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_keep", lambda *_: None)  # DVC takes seconds
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "a.bin").write_bytes(b"\0\1")
    said: list[str] = []
    new(Path("x"), data=Path("odd"), say=said.append)
    assert any("samebits start data/raw/odd" in line for line in said)
    assert (tmp_path / "x" / "data" / "raw" / "odd" / "a.bin").is_file()
