"""What can be wrong before a long training: parameters, the pipeline, own code. It takes seconds."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_params_are_valid_and_hold_every_key() -> None:
    """`dvc exp run -S` refuses a key that params.yaml does not hold."""
    from samebits.params.schema import read_params
    from samebits.params.yaml_file import read_yaml

    def keys(value: object) -> object:
        return {name: keys(inner) for name, inner in value.items()} if isinstance(value, dict) else None

    assert keys(read_yaml(ROOT / "params.yaml")) == keys(read_params(ROOT / "params.yaml").dump())


def test_the_pipeline_fits_the_installed_packages() -> None:
    """Stages exist, and would start: samebits and the packages are those of packages.yaml."""
    from samebits.pipeline.dvc_yaml import read_pipeline
    from samebits.pipeline.packages import differences

    for name, stage in read_pipeline(ROOT).items():
        for dep in stage.deps:
            made = any(dep in other.paths() for other in read_pipeline(ROOT).values())
            assert made or dep.startswith("data/raw/") or (ROOT / dep).exists(), f"{name} needs {dep}"
    assert [str(each) for each in differences(ROOT)] == []


def test_the_model_learns_from_the_data() -> None:
    """Some steps of the training of params.yaml on the prepared data, own code included; nothing is kept."""
    if not (ROOT / "data" / "prepared" / "dataset.json").is_file():
        pytest.skip("no prepared data here: dvc repro prepare, or dvc pull data/prepared")
    from samebits.starting.trial import try_training

    assert try_training(ROOT).timed > 0
