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


def test_all_stages_run_on_a_few_samples() -> None:
    """Prepare, train, evaluate and export, own code included; nothing is kept."""
    from samebits.base.paths import current_project
    from samebits.params.schema import read_params
    from samebits.starting.smoke import smoke

    source = read_params(ROOT / "params.yaml").sections["data"].source
    if not (ROOT / source).exists():
        pytest.skip(f"{source} is not here: dvc pull")
    smoke(current_project(ROOT), print)
