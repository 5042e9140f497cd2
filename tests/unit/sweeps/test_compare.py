"""Two settings compared: what is found, what is concluded from it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.sweeps.compare import compare
from tests.helpers.git_repository import git
from tests.helpers.seed_results import SeedResults

SAMPLES = 400
Right = npt.NDArray[np.bool_]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SeedResults:
    found = SeedResults(tmp_path / "project")
    monkeypatch.setattr("samebits.sweeps.seed_runs.open_objects", lambda _: found.objects)
    return found


@pytest.fixture
def told(results: SeedResults) -> Callable[..., str]:
    """What `samebits compare` prints."""
    return lambda *names: compare(Project(results.folder, results.folder), *names).text()


def right(share: float, seed: int = 0) -> Right:
    """Which samples a model gets right: the hard ones are the same for all."""
    easy = np.random.default_rng(0).random(SAMPLES)
    return easy + 0.1 * np.random.default_rng([seed, round(share * 1000)]).standard_normal(SAMPLES) < share


def study(results: SeedResults, name: str, share: float, seeds: int = 5, **more: Any) -> None:
    for seed in range(seeds):
        results.experiment(f"{name}-{seed:03d}", seed, right(share, seed), **more)


def test_a_better_setting_is_found_over_seeds_and_samples(results: SeedResults, told: Callable[..., str]) -> None:
    study(results, "base", 0.8)
    study(results, "wide", 0.9, width=64)
    text = told("base", "wide")
    means = [np.mean([right(share, seed).mean() for seed in range(5)]) for share in (0.8, 0.9)]
    (row,) = [line.split() for line in text.splitlines() if line.startswith("  accuracy")]
    assert [float(row[1]), float(row[2])] == [pytest.approx(mean, abs=1e-5) for mean in means]
    assert row[-4:] == ["5", "of", "5", "seeds"]
    assert "they differ in train.width – → 64" in text
    assert "accuracy: B is better by 0." in text
    assert "one seed each" not in text
    assert "what other data, or another split, would give" in text
    swapped = told("wide", "base")
    assert "accuracy: A is better by 0." in swapped
    assert "top_3_accuracy" not in text, "it cannot decide"


def test_no_difference_says_how_large_one_may_be_and_what_would_help(
    results: SeedResults, told: Callable[..., str]
) -> None:
    study(results, "base", 0.8, seeds=3)
    study(results, "other", 0.799, seeds=3, lr=0.2)
    text = told("base", "other")
    assert "accuracy: no difference can be told: B may be better by up to 0." in text
    assert "or worse by up to 0." in text
    assert "6 seeds of each would narrow the interval" in text or "More seeds would hardly narrow that" in text


def test_branches_take_the_seeds_that_ran_of_them(results: SeedResults, told: Callable[..., str]) -> None:
    study(results, "base", 0.8, seeds=3)
    results.experiment("hand", 7, right(0.8, 7))
    git(results.folder, "checkout", "-q", "-b", "tuned")
    results.commit(1, right(0.9, 1), lr=0.3)
    git(results.folder, "checkout", "-q", "-b", "main", results.start)
    results.commit(0, right(0.8, 0))
    git(results.folder, "tag", "v1")
    for name in ("main", "v1", "base-002", "hand"):
        text = told(name, "tuned")
        assert f"A  {name}: seed 0, 1, 2, 7" in text
        assert "paired by seed: 1\n" in text
        assert "one seed each compares these two models" in text
        assert "accuracy: this model of B is better by 0." in text


def test_what_is_in_the_cache_alone_is_not_needed_in_the_workspace(
    results: SeedResults, told: Callable[..., str]
) -> None:
    study(results, "base", 0.8, seeds=2)
    study(results, "wide", 0.9, seeds=2, width=64)
    before = git(results.folder, "status", "--short")
    assert "with two seeds" in told("base", "wide")
    assert git(results.folder, "status", "--short") == before


def test_few_samples_that_differ_decide_nothing(results: SeedResults, told: Callable[..., str]) -> None:
    results.experiment("a", 0, np.arange(SAMPLES) >= 7)
    results.experiment("b", 0, np.arange(SAMPLES) >= 0, lr=0.2)
    assert f"no difference can be told: only 7 of {SAMPLES} test samples come out differently" in told("a", "b")
    results.experiment("c", 0, np.arange(SAMPLES) >= 7, lr=0.3)
    assert "accuracy: the two are the same for every test sample" in told("a", "c")


def test_a_metric_without_values_per_sample_is_judged_over_seeds(
    results: SeedResults, told: Callable[..., str]
) -> None:
    for seed in range(4):
        of_seed = 0.01 * seed**2
        results.experiment(f"base-{seed:03d}", seed, right(0.8, seed), scores={"mean_iou": 0.5 + of_seed})
        results.experiment(f"wide-{seed:03d}", seed, right(0.8, seed), scores={"mean_iou": 0.6 + of_seed}, lr=2.0)
    text = told("base", "wide", "mean_iou")
    assert "mean_iou: B is better by 0.1 (0.1 to 0.1)" in text
    assert "mean_iou has no value per sample in predictions.csv" in text
    one = told("base-000", "wide-000", "test/mean_iou")
    assert "mean_iou: B is better by 0.1" in one, "all seeds of a setting count"


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ({"lr": 0.1}, "base and other are one setting"),
        ({"lr": 0.2, "actual": "1"}, "were judged by other test data"),
        ({"lr": 0.2, "seed": 9}, "no seed in common: base has 0; other has 9"),
    ],
)
def test_what_cannot_be_paired_is_refused(
    second: dict[str, Any], problem: str, results: SeedResults, told: Callable[..., str]
) -> None:
    results.experiment("base-000", 0, right(0.8))
    results.experiment("other-000", second.pop("seed", 0), right(0.8), **second)
    with pytest.raises(UserError, match=problem):
        told("base", "other")


def test_other_samples_other_metrics_and_unknown_ones_are_refused(
    results: SeedResults, told: Callable[..., str]
) -> None:
    results.experiment("base", 0, right(0.8))
    results.experiment("fewer", 0, right(0.8)[:-1], lr=0.2)
    with pytest.raises(UserError, match="base and fewer were judged by other test data"):
        told("base", "fewer")
    results.experiment("other", 0, right(0.8), lr=0.2)
    with pytest.raises(UserError, match="--metric speed: not in both") as caught:
        told("base", "other", "speed")
    assert "accuracy, log_loss" in caught.value.fix


def test_data_prepared_otherwise_are_paired_by_the_same_test_samples(
    results: SeedResults, told: Callable[..., str]
) -> None:
    study(results, "base", 0.8, seeds=3)
    study(results, "wide", 0.9, seeds=3, data="other", width=64)
    assert "accuracy: B is better" in told("base", "wide")


def test_names_that_are_no_result_are_refused(results: SeedResults, told: Callable[..., str]) -> None:
    study(results, "base", 0.8, seeds=2)
    results.experiment("lr-000", 0, right(0.8), lr=0.2)
    results.experiment("lr-001", 0, right(0.8), lr=0.3)
    results.experiment("lr-002", 1, right(0.8), lr=0.4)
    with pytest.raises(UserError, match="'nothing' is no study of seeds") as caught:
        told("base", "nothing")
    assert "studies and sweeps: base, lr" in caught.value.fix
    with pytest.raises(UserError, match=r"lr is no study of seeds: .* differ in train\.lr"):
        told("base", "lr")
    with pytest.raises(UserError, match=r"work has no dvc\.lock"):
        told("base", "work")


def test_a_study_that_has_not_ended_or_lost_a_seed(results: SeedResults, told: Callable[..., str]) -> None:
    study(results, "base", 0.8, seeds=2)
    study(results, "wide", 0.9, seeds=2, width=64)
    folder = results.folder / ".samebits/sweeps/wide"
    folder.mkdir(parents=True)
    with pytest.raises(UserError, match="the study wide has not ended"):
        told("base", "wide")
    (folder / "seeds.csv").write_text("seed,state\n0,complete\n1,complete\n2,open\n")
    with pytest.raises(UserError, match="no result of seed 2"):
        told("base", "wide")
    (folder / "seeds.csv").write_text("seed,state\n0,complete\n1,complete\n2,failed\n")
    text = told("base", "wide")
    assert "B  wide: seed 0, 1 (wide-000, wide-001); seed 2 failed" in text
    assert "may flatter their setting" in text


def test_a_lock_of_several_runs_is_refused(results: SeedResults, told: Callable[..., str]) -> None:
    results.experiment("base", 0, right(0.8))
    results.experiment("merged", 0, right(0.9), lr=0.2, weights="7.dir")
    with pytest.raises(UserError, match=r"merged is of several runs.* evaluate: it read another models/checkpoint"):
        told("base", "merged")
    results.experiment("other", 0, right(0.9), lr=0.2, record="5" * 32)
    with pytest.raises(UserError, match=r"other is of several runs.* train: its record .* is gone"):
        told("base", "other")


def test_predictions_that_are_not_here_and_metrics_of_another_run(
    results: SeedResults, told: Callable[..., str]
) -> None:
    results.experiment("base", 0, right(0.8))
    results.experiment("other", 0, right(0.9), lr=0.2)
    git(
        results.folder,
        "checkout",
        "-q",
        "-b",
        "edited",
        "refs/exps/" + results.start[:2] + "/" + results.start[2:] + "/other",
    )
    (results.folder / "reports/evaluation/metrics.json").write_text('{"test": {"accuracy": 1.0}}')
    git(results.folder, "commit", "-qam", "nicer")
    with pytest.raises(UserError, match=r"metrics\.json of edited is not what its dvc\.lock names"):
        told("base", "edited")
    for path in results.objects.folder.rglob("*"):
        if path.is_file() and path.suffix != ".dir":
            path.unlink()
    with pytest.raises(UserError, match=r"predictions\.csv of base is not in DVC's cache") as caught:
        told("base", "other")
    assert "dvc exp pull REMOTE base" in caught.value.fix
    assert "dvc pull" in caught.value.fix
