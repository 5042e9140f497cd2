"""The CI files of a project: what their shell lines do, with stand-ins for `gh`, `curl` and `samebits`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from samebits.provenance.review.markdown import MARK
from samebits.template.render import render

REVIEW = f"{MARK}\n### Results\n\n| `a` | 'b' \"c\" $HOME `x` |\n"
GH = """#!/bin/sh
echo "$*" >> calls
case "$*" in *--paginate*) cat existing ;; esac
"""
CURL = """#!/bin/sh
echo "$*" >> calls
case "$*" in *per_page*) cat existing ;; esac
"""


@pytest.fixture(scope="module")
def ci() -> tuple[dict[str, Any], dict[str, Any]]:
    texts = render("pets")
    github, gitlab = (yaml.safe_load(texts[name]) for name in (".github/workflows/ci.yml", ".gitlab-ci.yml"))
    return github, gitlab


def scripts(ci: tuple[dict[str, Any], dict[str, Any]]) -> list[str]:
    """Each text that a shell gets."""
    github, gitlab = ci
    steps = [step["run"] for job in github["jobs"].values() for step in job["steps"] if "run" in step]
    jobs = [job for job in gitlab.values() if "script" in job]
    return steps + ["\n".join(job.get(part, [])) for job in jobs for part in ("script", "after_script")]


def run(script: str, folder: Path, **variables: str) -> str:
    """What was called, a line each. As both platforms do it, the first command that fails ends it."""
    for name, text in {"gh": GH, "curl": CURL}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **variables}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script], cwd=folder, env=environ, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    calls = folder / "calls"
    return calls.read_text() if calls.exists() else ""


def test_every_shell_line_parses(ci: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for script in scripts(ci):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert done.stderr == "", script


def test_no_text_of_a_pull_request_is_part_of_a_script(ci: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """An expression in a script would be run as code; in the environment it is a value."""
    assert not [script for script in scripts(ci) if "${{" in script]


def test_the_job_that_may_write_runs_nothing_of_the_pull_request(ci: tuple[dict[str, Any], dict[str, Any]]) -> None:
    github, gitlab = ci
    assert github["permissions"] == {"contents": "read"}
    comment = github["jobs"]["comment"]
    assert comment["permissions"] == {"pull-requests": "write"}
    assert not [step for step in comment["steps"] if "uses" in step]
    assert "head.repo.full_name == github.repository" in comment["if"]
    assert "permissions" not in github["jobs"]["project"]
    assert gitlab["comment"]["variables"] == {"GIT_STRATEGY": "none"}
    for script in ("\n".join(gitlab["comment"]["script"]), comment["steps"][0]["run"]):
        assert not re.search(r"samebits (?!review -->)|pip |dvc |git ", script)


def test_actions_are_the_platforms_own_with_a_version(ci: tuple[dict[str, Any], dict[str, Any]]) -> None:
    used = [step["uses"] for job in ci[0]["jobs"].values() for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/(checkout|setup-python|cache)@v\d+", each) for each in used)


def test_the_history_is_fetched_and_the_base_named(ci: tuple[dict[str, Any], dict[str, Any]]) -> None:
    github, gitlab = ci
    checkout, *_ = github["jobs"]["project"]["steps"]
    assert checkout["with"]["fetch-depth"] == 0
    step = next(each for each in github["jobs"]["project"]["steps"] if each.get("id") == "review")
    assert "!cancelled()" in step["if"]  # stale results are what a review is to say, so a failed test hides nothing
    assert step["env"]["BASE"] == "${{ github.event.pull_request.base.sha }}"
    assert gitlab["project"]["variables"]["GIT_DEPTH"] == "0"
    assert (
        '.venv/bin/samebits review "$CI_MERGE_REQUEST_DIFF_BASE_SHA" > review.md' in gitlab["project"]["after_script"]
    )


def test_the_review_becomes_summary_and_output(ci: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path) -> None:
    step = next(each for each in ci[0]["jobs"]["project"]["steps"] if each.get("id") == "review")
    (tmp_path / "text").write_text(REVIEW)
    (tmp_path / "samebits").write_text('#!/bin/sh\necho "samebits $*" >> calls\ncat text\n')
    (tmp_path / "samebits").chmod(0o755)
    files = {name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    assert run(step["run"], tmp_path, BASE="abc", **files) == "samebits review abc\n"
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text() == REVIEW
    first, *lines, last = (tmp_path / "GITHUB_OUTPUT").read_text().splitlines()
    assert first == f"text<<{last}"
    assert len(last) == 32
    assert "\n".join(lines) + "\n" == REVIEW


@pytest.mark.parametrize(("existing", "call"), [("", "POST repos/o/r/issues/7/comments"),
                                                ("11\n12\n", "PATCH repos/o/r/issues/comments/11")])  # fmt: skip
def test_one_comment_on_github(
    existing: str, call: str, ci: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "existing").write_text(existing)
    (step,) = ci[0]["jobs"]["comment"]["steps"]
    asked, *told = run(step["run"], tmp_path, GITHUB_REPOSITORY="o/r", NUMBER="7", REVIEW=REVIEW).split("\napi ")
    assert "repos/o/r/issues/7/comments" in asked
    assert f'startswith("{MARK}")' in asked
    assert told == [f"--silent --method {call} --raw-field body={REVIEW}\n"]


@pytest.mark.parametrize(("existing", "call"), [
    ([{"id": 3, "body": "hello"}], "POST --data-urlencode body@review.md https://lab/projects/5/merge_requests/7/notes"),
    ([{"id": 3, "body": "hello"}, {"id": 4, "body": REVIEW}],
     "PUT --data-urlencode body@review.md https://lab/projects/5/merge_requests/7/notes/4"),
])  # fmt: skip
def test_one_comment_on_gitlab(
    existing: list[dict[str, Any]], call: str, ci: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    script = "\n".join(ci[1]["comment"]["script"])
    lab = {"CI_API_V4_URL": "https://lab", "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "7", "REVIEW_TOKEN": "t"}
    assert run(script, tmp_path, **lab) == "", "no review, no comment"
    (tmp_path / "review.md").write_text(REVIEW)
    (tmp_path / "existing").write_text(json.dumps(existing))
    asked, told = run(script, tmp_path, **lab).splitlines()
    assert asked.endswith("PRIVATE-TOKEN: t https://lab/projects/5/merge_requests/7/notes?sort=asc&per_page=100")
    assert told.endswith(f"--output /dev/null --request {call}")
