"""`samebits review BASE`: what is compared, and that nothing stale is shown as a result of the commit."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from samebits.base.errors import UserError
from samebits.base.files import write_json
from samebits.base.paths import Project
from samebits.cli.main import main
from samebits.evaluation.report.curves import Curve, read_curves
from samebits.pipeline.dvc_cache import Objects
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.provenance.review import review as module
from samebits.provenance.review.curves import curves_text
from samebits.provenance.review.markdown import MARK, code
from samebits.provenance.review.review import Review, review
from tests.helpers.git_repository import git
from tests.helpers.locked_pipeline import PARAMS, commit, make_repository, run_pipeline


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = make_repository(tmp_path / "project")
    monkeypatch.setattr(module, "open_objects", lambda root: Objects(tmp_path / "cache"))
    monkeypatch.chdir(folder)
    git(folder, "branch", "base")
    return Project(folder, folder)


def edit(project: Project, name: str, text: str) -> None:
    (project.workspace / name).write_text(text)


def html(found: Review) -> str:
    """As GitHub and GitLab render it, tables included."""
    return MarkdownIt("commonmark").enable("table").render(found.text())


def test_the_same_commit_has_the_same_results(project: Project) -> None:
    found = review(project, "base")
    assert found.metrics["accuracy"].verdict == "same"
    assert (found.same_data, found.same_model, found.params) == (True, True, {})
    assert set(found.stages.values()) == {"as in the base"}
    assert found.text().startswith(MARK)


def test_metrics_with_intervals_baseline_and_difference(project: Project) -> None:
    edit(project, "params.yaml", PARAMS.replace("1e-3", "1e-2"))
    run_pipeline(project.workspace, accuracy=0.95, loss=0.6)
    commit(project.workspace)
    found = review(project, "base")
    assert found.metrics["accuracy"].verdict == "better"
    assert found.metrics["accuracy"].apart is True
    assert found.metrics["log_loss"].verdict == "worse"  # lower is better
    assert found.params == {"train.lr": (0.001, 0.01)}
    assert found.stages == {"prepare": "as in the base", "train": "ran", "evaluate": "ran"}
    shown = html(found)
    assert '<td style="text-align:right">0.9500 (0.9400 to 0.9600)</td>' in shown
    assert "+0.0500" in shown
    assert "better, intervals apart" in shown
    assert "<code>train.lr</code>" in shown
    assert shown.count("<table>") == 2


@pytest.mark.parametrize(("name", "text", "stale"), [
    ("evaluate.py", "other\n", ["evaluate"]),
    ("train.py", "other\n", ["train", "evaluate"]),
    ("data/raw/a.csv", "other\n", ["prepare", "train", "evaluate"]),
    ("params.yaml", PARAMS.replace("epochs: 2", "epochs: 3"), ["train", "evaluate"]),
])  # fmt: skip
@pytest.mark.parametrize("committed", [False, True])
def test_what_is_stale_is_named_and_not_shown(
    name: str, text: str, stale: list[str], committed: bool, project: Project
) -> None:
    edit(project, name, text)
    if committed:
        commit(project.workspace)
    found = review(project, "base")
    assert list(found.here.stale) == stale
    assert found.here.metrics == {}
    assert found.metrics["accuracy"].here is None
    assert found.metrics["accuracy"].difference is None
    row = next(line for line in found.lines() if line.startswith("| `accuracy`"))
    assert row.split(" | ")[2] == "–"
    assert "No results here of" in found.text()
    assert bool(found.here.curves) is ("train" not in stale)
    assert found.here.edited is not committed


def test_a_stale_base_is_not_shown_either(project: Project) -> None:
    edit(project, "train.py", "other\n")
    git(project.workspace, "branch", "-f", "base", commit(project.workspace))
    run_pipeline(project.workspace, accuracy=0.95)
    found = review(project, "base")
    assert list(found.base.stale) == ["train", "evaluate"]
    assert found.base.metrics == {}
    assert found.metrics["accuracy"].verdict == ""
    assert "No results at the base of" in found.text()


def test_a_lock_that_joins_two_runs_is_stale(project: Project) -> None:
    lock = (project.workspace / "dvc.lock").read_text()
    run_pipeline(project.workspace, accuracy=0.95)
    commit(project.workspace)
    edit(project, "dvc.lock", lock)
    found = review(project, "base")
    assert "never ran as dvc.lock says" in found.here.stale["train"]
    assert found.here.metrics == {}


def test_metrics_that_were_edited_are_not_those_of_the_run(project: Project) -> None:
    metrics = project.workspace / "reports/evaluation/metrics.json"
    edit(project, "reports/evaluation/metrics.json", metrics.read_text().replace("0.9,", "1.0,"))
    assert review(project, "base").metrics["accuracy"].here == review(project, "base").metrics["accuracy"].base
    commit(project.workspace)
    found = review(project, "base").here
    assert found.metrics == {}
    assert found.stale == {
        "evaluate": "did not write reports/evaluation/metrics.json as it is here, or that is missing"
    }


def test_numbers_of_other_data_are_not_compared(project: Project) -> None:
    edit(project, "data/raw/a.csv", "more\n")
    run_pipeline(project.workspace, accuracy=0.99, data="other samples")
    commit(project.workspace)
    found = review(project, "base")
    assert found.same_data is False
    assert found.metrics["accuracy"].difference is None
    assert found.metrics["accuracy"].verdict == ""
    assert "The prepared data differ" in found.text()


def test_a_clone_without_data_and_models_will_do(project: Project) -> None:
    """As in a CI job: what git keeps is enough; for raw data that nobody keeps dvc.lock's word is taken, and said."""
    shutil.rmtree(project.workspace / "models")
    shutil.rmtree(project.workspace / "data" / "prepared")
    assert review(project, "base").metrics["accuracy"].verdict == "same"
    edit(project, ".gitignore", "/data\n/models\n/.samebits\n")
    git(project.workspace, "rm", "-rq", "--cached", "data/raw")
    git(project.workspace, "branch", "-f", "base", commit(project.workspace))
    shutil.rmtree(project.workspace / "data")
    found = review(project, "base")
    assert found.here.unchecked == ["data/raw"]
    assert not found.here.stale
    assert "dvc.lock's word is taken for them: `data/raw`" in found.text()


def test_data_that_git_kept_and_that_are_gone_are_stale(project: Project) -> None:
    git(project.workspace, "rm", "-rq", "data/raw")
    commit(project.workspace)
    found = review(project, "base").here
    assert "data/raw" in found.stale["prepare"]
    assert found.metrics == {}


def test_data_that_dvc_keeps_are_judged_by_their_file(project: Project) -> None:
    edit(project, "data/raw.dvc", json.dumps({"outs": [{"md5": "0.dir", "path": "raw"}]}))
    git(project.workspace, "rm", "-rq", "data/raw")
    assert "data/raw" in review(project, "base").here.stale["prepare"]


def test_before_the_first_run_there_is_nothing_to_show(project: Project) -> None:
    git(project.workspace, "rm", "-rq", "dvc.lock", "reports")
    commit(project.workspace)
    found = review(project, "base")
    assert found.here.stale == dict.fromkeys(("prepare", "train", "evaluate"), "has not run")
    assert found.metrics["accuracy"].base is not None
    assert found.same_data is None


def test_curves_are_drawn(project: Project, tmp_path: Path) -> None:
    run_pipeline(project.workspace, accuracy=0.95, loss=0.25)
    commit(project.workspace)
    found = review(project, "base", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    text = found.text()
    chart = text[text.index("```mermaid") :].splitlines()
    assert chart[2] == "xychart-beta"
    assert chart[4] == '    x-axis "step" 2 --> 4'
    lines = [[float(value) for value in re.findall(r"[\d.]+", each)] for each in chart if "line [" in each]
    assert [(line[0], line[-1], len(line)) for line in lines] == [(1.5, 0.5, 40), (1.5, 0.25, 40)]
    assert '<code class="language-mermaid">' in html(found)
    with pytest.raises(UserError, match="cannot be written"):
        review(project, "base", tmp_path)


def test_small_numbers_have_no_exponent() -> None:
    lines = list(curves_text([], [Curve("val/mae", (1, 2), (2e-9, 1e-12))]))
    assert lines[5] == '    y-axis "val/mae" -0.00000000009895 --> 0.00000000209995'
    assert "[0.000000002, " in lines[6]
    assert "e-" not in lines[6]


def test_a_name_can_be_no_markup(project: Project) -> None:
    """Parameters of a pull request are its author's; the comment is posted by a bot."""
    evil = "a | b`</td><script>alert(1)</script> @everyone\n# big"
    edit(project, "params.yaml", PARAMS.replace("1e-3", json.dumps(evil)))
    shown = html(review(project, "base"))
    assert "<script>" not in shown
    assert "<h1>" not in shown
    assert shown.count("<code>a | b") == 1
    assert code("") == ""


def test_a_column_can_be_no_markup(project: Project) -> None:
    curves = project.workspace / "reports/train/curves.csv"
    run_pipeline(project.workspace, accuracy=0.9)
    curves.write_text('step,"val/x""\n```\n# big"\n1,1\n2,2\n')
    found = review(project, "base")
    (curve,) = read_curves(curves)
    shown = MarkdownIt("commonmark").render("\n".join(curves_text([], [curve])))
    assert "<h1>" not in shown
    assert 'title "val/x_______ big"' in "\n".join(curves_text([], [curve]))
    assert found.here.curves != [curve], "the file is not what the stage wrote"


def test_metrics_that_are_no_numbers_are_2(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"test": {"accuracy": "<b>high</b>"}, "interval": {}}
    write_json(project.workspace / "reports/evaluation/metrics.json", metrics)
    lock = project.workspace / "dvc.lock"
    digest = re.search(r"path: reports/evaluation/metrics.json\s+md5: (\w+)", lock.read_text())
    assert digest
    record = project.workspace / "reports/provenance/evaluate.json"
    for file in (lock, record):
        now = existing_md5(project.workspace / "reports/evaluation/metrics.json")
        file.write_text(file.read_text().replace(digest[1], now))
    git(project.workspace, "rm", "-q", "--cached", "reports/provenance/evaluate.json")
    before = re.search(r"path: reports/provenance/evaluate.json\s+md5: (\w+)", lock.read_text())
    assert before
    lock.write_text(lock.read_text().replace(before[1], existing_md5(record)))
    assert main(["review", "base"]) == 2
    assert "is no evaluation of ours" in capsys.readouterr().err


@pytest.mark.parametrize("base", ["nothing", "--upload-pack=x", "", "base:dvc.yaml"])
def test_an_unknown_base_is_2(base: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "--", base]) == 2
    assert "git knows no revision" in capsys.readouterr().err


def test_the_command_prints_markdown_or_json(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "base"]) == 0
    assert capsys.readouterr().out.startswith(MARK)
    assert main(["review", "base", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["accuracy"]["base"]["value"] == 0.9
    assert found["here"]["stale"] == {}
    assert not list((project.state / "review").iterdir())
