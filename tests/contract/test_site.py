"""The site: it builds, shows every page, and says nothing that the code does not do."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samebits.cli.main import parser
from samebits.params.yaml_file import read_yaml
from tests.helpers.workspace import ROOT
from tools import document_api, document_commands, document_source, notebooks
from tools.site import lay_out

DOCS = ROOT / "docs"
TUTORIAL = sorted((DOCS / "tutorial").glob("*.md"))
HOWTO = sorted((DOCS / "howto").glob("*.md"))
STEPS = [page for page in sorted((DOCS / "steps").glob("*.md")) if "## Try it" in page.read_text(encoding="utf-8")]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_generated_pages_are_up_to_date() -> None:
    for tool in (document_commands, document_api):
        assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "bring it up to date: make generate"


def test_pages_show_the_source_as_it_is() -> None:
    stale = [path.relative_to(ROOT).as_posix() for path, _ in document_source.stale()]
    assert not stale, "bring them up to date: make generate"


def test_notebooks_are_those_of_their_sources() -> None:
    stale = [path.name for path, _ in notebooks.stale()]
    assert not stale, "bring them up to date: make generate"


def test_a_source_that_moved_is_named() -> None:
    page = '<!-- source: custom/example.py Net from "gone" to "gone" -->\n<!-- end -->'
    with pytest.raises(ValueError, match=r"custom/example\.py Net: 0 lines have 'gone'"):
        document_source.filled(page, DOCS / "steps" / "model.md")


def _in_navigation(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from _in_navigation(value) if isinstance(value, list) else [value]


def test_the_navigation_holds_each_page_once() -> None:
    found = list(_in_navigation(read_yaml(ROOT / "mkdocs.yml")["nav"]))
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    assert sorted(found) == sorted([*pages, "index.md"])


def test_what_pages_link_to_is_in_the_site(tmp_path: Path) -> None:
    lay_out(ROOT, tmp_path / "pages")
    loop = (tmp_path / "pages" / "steps" / "loop.md").read_text(encoding="utf-8")
    assert "](../source/src/samebits/training/loop.py.md)" in loop
    shown = (tmp_path / "pages" / "source/src/samebits/training/loop.py.md").read_text(encoding="utf-8")
    assert (ROOT / "src/samebits/training/loop.py").read_text(encoding="utf-8") in shown
    home = (tmp_path / "pages" / "index.md").read_text(encoding="utf-8")
    assert "](images/report.png)" in home
    assert "](source/recipes/README.md)" in home


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    import zensical  # noqa: F401

    lay_out(ROOT, tmp_path / "build" / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "build" / "site" / "steps" / "loop.html").is_file()


def test_the_tests_that_the_page_of_faults_names_exist() -> None:
    text = (DOCS / "explanation" / "faults.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", text)
    assert named
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{test}"


def _commands(page: Path) -> str:
    """What a page of the tutorial, or a notebook's source, runs in a shell."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return "".join(_blocks(page, "bash"))
    return "\n".join(re.findall(r"^# !(.*)$", text, re.MULTILINE)).replace("{SMALL}", "")


@pytest.mark.parametrize("page", [*TUTORIAL, *HOWTO, *notebooks.sources()], ids=lambda page: page.stem)
def test_the_commands_that_are_shown_parse(page: Path) -> None:
    from dvc.cli.parser import get_main_parser

    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in re.split(r"\n|&&", _commands(page)):
        words = shlex.split(command, comments=True) if re.match(r" *(samebits|dvc|make) ", command) else []
        if words[:1] == ["samebits"]:
            parser().parse_args(words[1:])
        elif words[:1] == ["dvc"]:
            get_main_parser().parse_args(words[1:])
        elif words[:1] == ["make"]:
            assert words[1] in targets


@pytest.mark.parametrize("page", STEPS, ids=lambda page: page.stem)
def test_the_code_to_try_runs(page: Path, trained: Path) -> None:
    tried = page.read_text(encoding="utf-8").partition("## Try it")[2]
    for code in re.findall(r"```python\n(.*?)```", tried, re.DOTALL):
        (trained / "example.py").write_text(code, encoding="utf-8")
        runpy.run_path("example.py", run_name="example")
