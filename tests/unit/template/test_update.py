"""`samebits update`: a three-way merge of what was edited, and what runs again. Releases are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from samebits import __version__
from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.packages import require_packages, write_packages
from samebits.template.base import BASE, read_base
from samebits.template.render import render
from samebits.template.update import update
from tests.helpers.git_repository import git

TEXTS = render("pets")
Release = Callable[..., None]


def ran(project: Project) -> list[str]:
    said: list[str] = []
    update(project, said.append)
    return said


def changed(root: Path) -> list[str]:
    return [line.split()[-1] for line in git(root, "status", "--porcelain", "-uall").splitlines()]


def test_a_project_that_is_up_to_date_is_not_touched(project: Project, installed: Release) -> None:
    (project.workspace / "notes").touch()
    assert ran(project) == [f"the project is at samebits {__version__}, as installed"]
    assert changed(project.workspace) == ["notes"]


def test_two_releases_on_with_edits_in_between(
    project: Project, installed: Release, commit: Callable[[], None]
) -> None:
    root = project.workspace
    readme, pipeline = TEXTS["README.md"], TEXTS["dvc.yaml"]
    (root / "README.md").write_text(readme + "\nOur notes.\n")
    (root / "dvc.yaml").write_text(pipeline.replace("artifacts:", "# ours\nartifacts:"))
    (root / "custom" / "example.py").unlink()
    commit()
    second = {
        "README.md": "New first line.\n" + readme,
        "dvc.yaml": pipeline.replace("          - pillow\n", "          - pillow\n          - pandas\n", 1),
        "custom/example.py": "other = 1\n",
        "stages/train.py": TEXTS["stages/train.py"] + "# second\n",
        "data/catalog/new.yaml": "a: 1\n",
        "sweeps/lr.yaml": None,
    }
    installed("7.0", second, stages=("prepare",), more="# more\n")
    said = ran(project)
    assert said[0] == f"samebits {__version__} -> 7.0"
    assert "  merged with your edits: README.md" in said
    assert "  changed in samebits, deleted by you: stays deleted: custom/example.py" in said
    assert "  new: data/catalog/new.yaml" in said
    assert "  removed: sweeps/lr.yaml" in said
    assert "  changed: requirements.lock" in said
    assert (root / "README.md").read_text() == "New first line.\n" + readme + "\nOur notes.\n"
    assert "# ours\n" in (root / "dvc.yaml").read_text()
    assert "pandas" in read_yaml(root / "packages.yaml")
    assert read_yaml(root / "packages.yaml")["samebits"]["release"] == "7.0"
    assert read_yaml(root / "packages.yaml")["samebits"]["prepare"] == "7.0"
    assert not (root / "custom" / "example.py").exists()
    commit()
    assert ran(project) == ["the project is at samebits 7.0, as installed"]
    installed(
        "7.1", second | {"README.md": "Newer first line.\n" + readme, "data/catalog/new.yaml": None}, more="# more\n"
    )
    ran(project)
    assert (root / "README.md").read_text() == "Newer first line.\n" + readme + "\nOur notes.\n"
    assert not (root / "data" / "catalog" / "new.yaml").exists()
    assert read_base(root).release == "7.1"


def test_a_conflict_has_gits_marks_and_loses_nothing(
    project: Project, installed: Release, commit: Callable[[], None]
) -> None:
    root = project.workspace
    script = TEXTS["stages/train.py"]
    (root / "stages" / "train.py").write_text(script + "print('mine')\n")
    commit()
    installed("7.0", {"stages/train.py": script + "print('theirs')\n", "Makefile": "all:\n"})
    said: list[str] = []
    with pytest.raises(UserError, match=r"both you and samebits changed: stages/train.py \(1\)"):
        update(project, said.append)
    text = (root / "stages" / "train.py").read_text()
    assert "<<<<<<< yours\nprint('mine')\n" in text
    assert "print('theirs')\n>>>>>>> samebits 7.0\n" in text
    assert (root / "Makefile").read_text() == "all:\n", "the rest is done"
    assert "  CONFLICT: stages/train.py" in said
    commit()
    assert ran(project) == ["the project is at samebits 7.0, as installed"]


def test_a_conflict_in_the_pipeline_is_finished_by_a_second_call(
    project: Project, installed: Release, commit: Callable[[], None]
) -> None:
    root = project.workspace
    pipeline = TEXTS["dvc.yaml"]
    (root / "dvc.yaml").write_text(pipeline.replace("desc: Train", "desc: Ours. Train"))
    commit()
    theirs = pipeline.replace("desc: Train", "desc: Theirs. Train")
    installed("7.0", {"dvc.yaml": theirs}, stages=("train",))
    with pytest.raises(UserError, match=r"dvc\.yaml") as raised:
        ran(project)
    assert "samebits update once more" in raised.value.fix
    assert read_yaml(root / "packages.yaml")["samebits"]["release"] == __version__, "no stage starts before"
    (root / "dvc.yaml").write_text(theirs)
    commit()
    ran(project)
    assert read_yaml(root / "packages.yaml")["samebits"]["release"] == "7.0"
    require_packages(root, "train")


def test_uncommitted_changes_are_refused_and_nothing_is_written(project: Project, installed: Release) -> None:
    (project.workspace / "README.md").write_text("mine\n")
    installed("7.0", {"README.md": "theirs\n", "Makefile": "all:\n"})
    with pytest.raises(UserError, match=r"not committed: README.md"):
        ran(project)
    assert changed(project.workspace) == ["README.md"]


def test_outputs_that_a_refused_stage_lost_are_not_in_the_way(
    project: Project, installed: Release, commit: Callable[[], None]
) -> None:
    root = project.workspace
    metrics = root / "reports" / "train" / "metrics.json"
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text("{}\n")
    commit()
    metrics.unlink()
    installed("7.0", {"README.md": "theirs\n"})
    ran(project)
    assert (root / "README.md").read_text() == "theirs\n"


def test_an_older_release_is_refused(project: Project, installed: Release) -> None:
    installed("0.0.9", {"README.md": "old\n"})
    with pytest.raises(UserError, match=f"the project is at samebits {__version__}, 0.0.9 is installed") as raised:
        ran(project)
    assert f"pip install samebits=={__version__}" in raised.value.fix
    assert changed(project.workspace) == []


def test_values_of_params_yaml_stay_and_new_keys_get_their_default(
    project: Project, installed: Release, commit: Callable[[], None]
) -> None:
    file = project.workspace / "params.yaml"
    file.write_text(file.read_text().replace("epochs: 5", "epochs: 7  # mine").replace("  gradient_clip: null\n", ""))
    commit()
    installed("7.0", {"Makefile": "all:\n"})
    assert "  new keys: params.yaml" in ran(project)
    assert read_yaml(file)["train"]["epochs"] == 7
    assert read_yaml(file)["train"]["gradient_clip"] is None
    assert "epochs: 7  # mine" in file.read_text()


def test_a_key_that_is_gone_is_named(project: Project, installed: Release, commit: Callable[[], None]) -> None:
    file = project.workspace / "params.yaml"
    file.write_text(file.read_text().replace("  epochs: 5", "  epochs: 5\n  gone: 1"))
    commit()
    installed("7.0", {"Makefile": "all:\n"})
    with pytest.raises(UserError, match=r"params\.yaml") as raised:
        ran(project)
    assert "train.gone" in raised.value.fix
    assert "gone: 1" in file.read_text()


@pytest.mark.parametrize("edit", ["lock", "binary", "folder", "file above"])
def test_what_cannot_be_merged_stays(
    project: Project, installed: Release, commit: Callable[[], None], edit: str
) -> None:
    root = project.workspace
    files: dict[str, str | None] = {"Makefile": "all:\n", "README.md": "theirs\n", "sweeps/lr.yaml": "a: 2\n"}
    if edit == "lock":
        (root / "requirements.lock").write_text("mine\n")
    elif edit == "binary":
        (root / "README.md").write_bytes(b"\0\xff")
    elif edit == "folder":
        (root / "README.md").unlink()
        (root / "README.md").mkdir()
        (root / "README.md" / "x").touch()
    else:
        git(root, "rm", "-rq", "sweeps")
        (root / "sweeps").touch()
    commit()
    installed("7.0", files, more="# more\n")
    said = ran(project)
    assert any("stays" in line or "left alone" in line for line in said)
    assert (root / "Makefile").read_text() == "all:\n"
    if edit == "lock":
        assert (root / "requirements.lock").read_text() == "mine\n"
    if edit == "binary":
        assert (root / "README.md").read_bytes() == b"\0\xff"


def test_a_file_of_ones_own_where_the_release_has_a_new_one_is_a_conflict(
    project: Project, installed: Release, commit: Callable[[], None]
) -> None:
    (project.workspace / "NEW.md").write_text("mine\n")
    commit()
    installed("7.0", {"NEW.md": "theirs\n"})
    with pytest.raises(UserError, match=r"NEW\.md"):
        ran(project)
    assert "mine" in (project.workspace / "NEW.md").read_text()


def test_a_stage_starts_only_with_the_release_and_the_code_of_its_project(project: Project, installed: Release) -> None:
    require_packages(project.workspace, "train")
    installed(__version__, stages=("train",))
    with pytest.raises(UserError, match=r"has other code for train than packages\.yaml names") as raised:
        require_packages(project.workspace, "train")
    assert "samebits update" in raised.value.fix
    require_packages(project.workspace, "prepare")
    installed("7.0")
    with pytest.raises(UserError, match=rf"samebits 7.0 is installed \(packages.yaml: {__version__}\)"):
        require_packages(project.workspace, "prepare")
    with pytest.raises(UserError, match=r"samebits 7\.0 is installed"):
        write_packages(project.workspace, lambda _: None)


def test_other_code_of_the_same_release_is_taken_over(project: Project, installed: Release) -> None:
    installed(__version__, stages=("train",))
    assert any(
        line.strip().startswith("samebits.train") and "dvc repro runs train again" in line for line in ran(project)
    )
    require_packages(project.workspace, "train")
    assert changed(project.workspace) == ["packages.yaml"]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"files": {}}', '{"files": {"a": 1}, "name": "a", "release": "1"}'])
def test_a_missing_or_damaged_base_is_named(project: Project, text: str | None) -> None:
    file = project.workspace / BASE
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(UserError) as raised:
        ran(project)
    assert BASE in raised.value.problem
    assert raised.value.fix
