"""What README.md tells a person to type exists and works."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
from pathlib import Path

import pytest

from samebits.cli.main import parser
from samebits.data.loading.prepared import read_info
from samebits.params.schema import parse_params
from samebits.params.yaml_file import read_yaml
from tests.helpers.absent import is_left_out
from tests.helpers.workspace import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
AGENTS = [ROOT / "AGENTS.md", ROOT / "src" / "samebits" / "template" / "files" / "AGENTS.md"]
PAGES = sorted([ROOT / "README.md", *AGENTS, *(ROOT / "docs").rglob("*.md")])


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b", "\n".join(re.findall(r"`[^`]+`|^make .*$", README, re.M))))
    assert {"repro", "ui", "test"} <= named
    assert named <= targets


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "api.md"], ids=_name)  # docstrings name some
def test_samebits_commands_parse(page: Path) -> None:
    for command in re.findall(r"`samebits ([^`&]+?)(?: &&[^`]*)?`", page.read_text(encoding="utf-8")):
        words = shlex.split(command.replace("IMAGE...", "a.png").replace("RECIPE", "mnist"))
        parser().parse_args(words)
        if words[0] == "use":
            recipe = ROOT / "recipes" / f"{words[1]}.yaml"
            assert recipe.is_file() or is_left_out(recipe), command


@pytest.mark.parametrize("page", AGENTS, ids=lambda page: page.parent.name)
def test_what_an_assistant_is_told_is_short_and_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    for block in re.findall(r"```\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            command = shlex.split(line, comments=True)
            if command[:1] == ["samebits"]:
                parser().parse_args(command[1:])
    targets = set(re.findall(r"^([a-z-]+):", (page.parent / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", text))
    assert named <= targets


def test_the_python_examples_run(trained: Path) -> None:
    left = {}
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        (trained / "example.py").write_text(code)
        left |= runpy.run_path("example.py", run_name="example")
    assert left["images"].shape == (128, 1, 28, 28)
    assert left["answer"].label in read_info(trained / "data" / "prepared").classes


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_what_a_page_says_to_write_into_params_yaml_is_valid(page: Path, tmp_path: Path) -> None:
    """Each snippet alone, over params.yaml; a section that names another task or model takes its place."""
    file = tmp_path / "snippet.yaml"
    for snippet in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        file.write_text(snippet, encoding="utf-8")
        given, params = read_yaml(file), read_yaml(ROOT / "params.yaml")
        if not set(given) <= set(params):
            continue  # not of params.yaml, as a sweep or a card
        for section, values in given.items():
            params[section] = values if "name" in values else params[section] | values
        parse_params(params, f"{_name(page)}: {snippet}")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        path = page.parent / target
        assert path.exists() or is_left_out(path), f"{_name(page)} links to {target}"


def test_make_help_lists_the_commands() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    for target in ("repro", "ui", "test"):
        assert f"make {target}" in listed
