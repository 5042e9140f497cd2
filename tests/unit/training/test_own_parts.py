"""A loss, metrics, an augmentation and a task of one's own: those of docs/own_code.md in all four stages, and what does
not fit."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import Interrupted, UserError
from samebits.base.files import read_json, sha256_file
from samebits.base.paths import Project
from samebits.model_registry.gate import pick_metric
from samebits.pipeline.summary import metric_values
from tests.helpers.in_process import run_stages
from tests.helpers.interrupt import StopAfter
from tests.helpers.own_datasets import own_project
from tests.helpers.workspace import ROOT, set_params

PAGE = (ROOT / "docs" / "own_code.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
IMAGES = """
class Samples(list):
    classes = ["a", "b", "c"]

    def __init__(self, path):
        random = np.random.default_rng(0)
        images = random.integers(0, 200, (150, 1, 6, 6), dtype=np.uint8)
        for index, image in enumerate(images):
            image[:, :, index % 3] += 50
            self.append((image, index % 3))
"""
NUMBERS = """
class Samples(list):
    def __init__(self, path):
        random = np.random.default_rng(0)
        self.extend((row, float(row.sum())) for row in random.random((150, 4), dtype=np.float32))
"""
VECTORS = NUMBERS.replace("float(row.sum())", "[float(row.sum()), float(row[0])]")
LABELS = NUMBERS.replace("float(row.sum())", '[name for name, value in zip("abcd", row) if value > 0.5]')
MASKS = IMAGES.replace("index % 3))", "np.where(image[0] > 120, 1, np.where(image[0] > 90, 0, 2)).astype(np.uint8)))")
UNET = {"name": "unet", "widths": [4, 8]}

pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture(autouse=True)
def _timed_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.inference.latency._SECONDS", 0.0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """A project whose data are prepared, once for each kind of samples."""
    projects: dict[str, Path] = {}

    def prepare(samples: str, task: str) -> Path:
        if samples not in projects:
            with pytest.MonkeyPatch.context() as patch:
                folder = tmp_path_factory.mktemp("samples")
                run_stages(own_project(folder, patch, samples, task, UNET if samples == MASKS else None), "prepare")
            projects[samples] = folder
        return projects[samples]

    return prepare


@pytest.fixture
def made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Callable[[str, str], Path]
) -> Callable[..., Project]:
    """A prepared project with the classes of the page and more in custom/parts.py."""

    def make(samples: str = IMAGES, code: str = "", kind: str = "classification", **settings: Any) -> Project:
        shutil.copytree(prepared(samples, kind), tmp_path, dirs_exist_ok=True)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "custom" / "parts.py").write_text(
            "import numpy as np\nimport random as of_python\nimport torch\n"
            + "\n\n".join(block for block in BLOCKS if "for x, y in" not in block)
            + "\n\n"
            + textwrap.dedent(code)
        )
        set_params(tmp_path, settings)
        return Project(tmp_path, tmp_path)

    return make


def part(class_name: str, **arguments: Any) -> dict[str, Any]:
    return {"file": "custom/parts.py", "class_name": class_name, "arguments": arguments}


def weights(project: Project) -> str:
    return sha256_file(project.checkpoint / "model.safetensors")


def test_the_files_of_custom_are_those_of_the_page() -> None:
    for name in ("losses", "metrics", "augmentation", "task"):
        assert (
            sum((ROOT / "custom" / f"{name}.py").read_text(encoding="utf-8").endswith(block) for block in BLOCKS) == 1
        )


def test_loss_metric_and_augmentation(made: Callable[..., Project]) -> None:
    project = made(
        task={"own_loss": part("FocalLoss", gamma=1.0), "own_metrics": [part("Cost", price=3.0)]},
        augment={"own": part("Speckle", share=0.1)},
    )
    said = run_stages(project, "train", "evaluate")
    assert set(read_json(project.reports / "train" / "metrics.json")["val"]) == {"accuracy", "cost", "loss"}
    metrics = read_json(project.reports / "evaluation" / "metrics.json")
    assert metrics["better"] == {"cost": "lower"}
    assert metrics["interval"]["cost"]["low"] <= metrics["test"]["cost"] <= metrics["interval"]["cost"]["high"]
    assert "cost" in metrics["baseline"]
    assert any(line.startswith("cost ") for line in said)
    assert "cost" in (project.reports / "evaluation" / "report" / "report.html").read_text()
    assert "cost" in metric_values(metrics)[0]
    assert pick_metric(metrics["test"], "cost", metrics["better"]) == "cost"


@pytest.mark.slow
def test_a_task_in_all_stages(made: Callable[..., Project]) -> None:
    project = made(task={"name": "own", **part("OneAgainstRest"), "own_metrics": [part("Cost")]})
    run_stages(project, "train", "evaluate", "export")
    assert set(read_json(project.reports / "train" / "metrics.json")["val"]) == {"accuracy", "cost", "loss"}
    score = read_json(project.exported / "export.json")["test"]["accuracy"]
    assert read_json(project.reports / "evaluation" / "metrics.json")["test"]["accuracy"] == score
    for folder in (project.checkpoint, project.exported):
        assert (folder / "custom" / "parts.py").read_bytes() == Path("custom/parts.py").read_bytes()
    assert "`custom/parts.py`" in (project.exported / "card.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("samples", "kind", "loss"),
    [
        (NUMBERS, "regression", "L1Loss"),
        (VECTORS, "regression", "L1Loss"),
        (LABELS, "multilabel", "MultiLabelSoftMarginLoss"),
        (MASKS, "segmentation", "PerPixel"),
    ],
    ids=["number", "vector", "labels", "masks"],
)
def test_each_kind_of_target(samples: str, kind: str, loss: str, made: Callable[..., Project]) -> None:
    code = """
    from torch.nn import L1Loss, MultiLabelSoftMarginLoss

    class PerPixel(nn.CrossEntropyLoss):
        def __init__(self):
            super().__init__(ignore_index=255)

    class Apart:
        name, better = "apart", "lower"

        def __call__(self, predictions, targets):
            assert len(predictions) == len(targets) and predictions.dtype in (np.float64, np.uint8)
            return np.abs(predictions - targets).mean()

    class Flipped:
        def __call__(self, sample, *rest):
            return (sample, *rest[:-1]) if len(rest) > 1 else sample
    """
    parts = {"own_loss": part(loss), "own_metrics": [part("Apart")]}
    project = made(samples, code, kind, task=parts, augment={"own": part("Flipped")}, train={"epochs": 1})
    run_stages(project, "train", "evaluate")
    assert read_json(project.reports / "train" / "metrics.json")["val"]["apart"] > 0
    metrics = read_json(project.reports / "evaluation" / "metrics.json")
    assert metrics["test"]["apart"] > 0
    assert metrics["interval"]["apart"]["low"] < metrics["interval"]["apart"]["high"]


TASKS = """
class Own:
    def __init__(self, signature):
        self.target = signature.target

    def count(self, targets):
        return len(targets)

    def metric_sums(self, outputs, targets):
        return {"loss": self.loss(outputs, targets) * self.count(targets)}

class OfNumbers(Own):
    def loss(self, outputs, targets):
        return functional.l1_loss(self.postprocess(outputs), targets)

    def postprocess(self, outputs):
        return outputs.flatten() * self.target.std + self.target.mean

class OfLabels(Own):
    def loss(self, outputs, targets):
        return functional.multilabel_soft_margin_loss(outputs, targets.float())

    def postprocess(self, outputs):
        return outputs.sigmoid()

class OfMasks(Own):
    def count(self, targets):
        return int((targets != 255).sum())

    def loss(self, outputs, targets):
        return functional.cross_entropy(outputs, targets.long(), ignore_index=255)

    def postprocess(self, outputs):
        return outputs.softmax(dim=1)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("samples", "kind", "name"),
    [
        (NUMBERS, "regression", "OfNumbers"),
        (LABELS, "multilabel", "OfLabels"),
        (MASKS, "segmentation", "OfMasks"),
    ],
)
def test_a_task_of_each_kind_is_judged_as_the_exported_model_answers(
    samples: str, kind: str, name: str, made: Callable[..., Project]
) -> None:
    project = made(samples, TASKS, kind, train={"epochs": 1})
    set_params(project.workspace, {}, {"task": {"name": "own", **part(name)}})
    run_stages(project, "train", "evaluate", "export")
    test = read_json(project.reports / "evaluation" / "metrics.json")["test"]
    for metric, value in read_json(project.exported / "export.json")["test"].items():
        assert test[metric] == pytest.approx(value, abs=1e-4)


def test_a_resumed_training_and_more_workers_give_the_same_bits(made: Callable[..., Project]) -> None:
    project = made(task={"own_loss": part("FocalLoss")}, augment={"own": part("Speckle", share=0.3)})
    run_stages(project, "train")
    whole = weights(project)
    set_params(project.workspace, {"augment": {"own": {"arguments": {"share": 0.2}}}})
    run_stages(project, "train")
    assert weights(project) != whole
    set_params(project.workspace, {"augment": {"own": {"arguments": {"share": 0.3}}}, "runtime": {"workers": 2}})
    with pytest.raises(Interrupted):
        run_stages(project, "train", stop=StopAfter(8))  # in the midst of the second epoch
    said = run_stages(project, "train")
    assert any(line.startswith("resuming at step") for line in said)
    assert weights(project) == whole


def test_parts_of_a_batch_and_processes_give_what_the_batch_gives(made: Callable[..., Project]) -> None:
    project = made(task={"own_loss": part("FocalLoss")}, train={"epochs": 1})
    run_stages(project, "train")
    whole = read_json(project.reports / "train" / "metrics.json")["val"]["loss"]
    set_params(project.workspace, {"train": {"micro_batch_size": 4}})
    run_stages(project, "train")
    assert read_json(project.reports / "train" / "metrics.json")["val"]["loss"] == pytest.approx(whole, rel=1e-3)


CODE = """
from torch.nn import CrossEntropyLoss, NLLLoss, L1Loss

def weighted(outputs, targets, share=0.9):
    return functional.cross_entropy(outputs, targets, weight=torch.tensor([share, 0.1, 0.5]))

def in_place(outputs, targets):
    return functional.cross_entropy(outputs.mul_(2.0), targets)

def detached(outputs, targets):
    return functional.cross_entropy(outputs.detach(), targets)

def of_shapes(outputs, targets):
    return (outputs - targets).mean()

def noisy(outputs, targets):
    return outputs.mean() * of_python.random()

class Contrast:
    def __call__(self, outputs, targets):
        rows = functional.normalize(outputs)
        alike = (targets[:, None] == targets[None]).float()
        return (rows @ rows.T - alike).square().mean()

class Fails:
    name, better = "fails", "lower"
    def __call__(self, predictions, targets):
        return predictions.sum(axis=3)

class Ranks(Fails):
    def __call__(self, predictions, targets):
        return predictions[:, 0].argsort()

class Random(Fails):
    def __call__(self, predictions, targets):
        return np.random.random()

class Undefined(Fails):
    name = "undefined"
    def __call__(self, predictions, targets):
        return float("nan")

class NoPostprocess:
    count = loss = metric_sums = len
    def __init__(self, signature):
        pass

class Sums(OneAgainstRest):
    def loss(self, outputs, targets):
        return super().loss(outputs, targets) * len(targets)

class Means(OneAgainstRest):
    def metric_sums(self, outputs, targets):
        return {"loss": self.loss(outputs, targets)}

class NoLoss(OneAgainstRest):
    def metric_sums(self, outputs, targets):
        return {}

class Scores(OneAgainstRest):
    def postprocess(self, outputs):
        return outputs.sigmoid()

class Best(OneAgainstRest):
    def postprocess(self, outputs):
        return outputs.argmax(dim=1)

class Relative(OneAgainstRest):
    def postprocess(self, outputs):
        return (outputs - outputs.mean(dim=0)).softmax(dim=1)

class Shifts:
    def __call__(self, sample, random):
        return np.roll(sample, of_python.randint(0, 3), axis=2)
"""
OWN = {"name": "own"}
MEAN = "no mean over samples, so cutting a batch would change it"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a sum": ({"task": {"own_loss": part("CrossEntropyLoss", reduction="sum")}}, MEAN),
    "one loss a sample": (
        {"task": {"own_loss": part("CrossEntropyLoss", reduction="none")}},
        r"CrossEntropyLoss of custom/parts.py gives a loss of shape \[64\]",
    ),
    "weights of classes": ({"task": {"own_loss": part("weighted")}}, MEAN),
    "the whole batch": ({"task": {"own_loss": part("Contrast")}}, MEAN),
    "no gradient": ({"task": {"own_loss": part("detached")}}, "has no gradient"),
    "another shape": (
        {"task": {"own_loss": part("of_shapes")}},
        r"of_shapes of custom/parts.py: the loss fails on outputs float32 \[64, 3\] and targets int64 \[64\]: "
        r"RuntimeError: .*custom/parts.py, line \d+: return \(outputs - targets\)",
    ),
    "for other data": ({"task": {"own_loss": part("L1Loss")}}, "the loss fails on outputs float32"),
    "random": ({"task": {"own_loss": part("noisy")}}, "when computed again"),
    "cut": (
        {"task": {"own_loss": part("Contrast") | {"batchwise": True}}, "train": {"micro_batch_size": 8}},
        "the loss of a batch is none of its parts",
    ),
    "a metric that fails": (
        {"task": {"own_metrics": [part("Fails")]}},
        r"Fails of custom/parts.py fails on predictions float32 \[\d+, 3\] and targets int64 \[\d+\]: AxisError",
    ),
    "a metric of ranks": ({"task": {"own_metrics": [part("Ranks")]}}, "depends on the other samples"),
    "a random metric": ({"task": {"own_metrics": [part("Random")]}}, "another number for the same predictions"),
    "no method": ({"task": OWN | part("NoPostprocess")}, "NoPostprocess of custom/parts.py has no postprocess"),
    "sums": ({"task": OWN | part("Sums")}, MEAN),
    "means": ({"task": OWN | part("Means")}, "loss of metric_sums is .* when its parts are added"),
    "without a loss": ({"task": OWN | part("NoLoss")}, "metric_sums gives .*, but no loss"),
    "no probabilities": ({"task": OWN | part("Scores")}, "the probabilities of a sample add up to"),
    "classes": (
        {"task": OWN | part("Best")}, r"postprocess gives int64 \[64\] for float32 \[64, 3\]",
    ),
    "relative": ({"task": OWN | part("Relative")}, "depend on the other samples of a batch"),
    "a shared generator": ({"augment": {"own": part("Shifts")}}, "draws from Python's random"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_told_before_the_first_step(case: str, made: Callable[..., Project]) -> None:
    settings, problem = REFUSED[case]
    project = made(code=CODE, **settings)
    with pytest.raises(UserError, match=problem) as caught:
        run_stages(project, "train")
    assert caught.value.fix
    assert not project.checkpoint.exists()


def test_a_loss_of_the_whole_batch_is_taken_where_it_says_so(made: Callable[..., Project]) -> None:
    project = made(code=CODE, task={"own_loss": part("Contrast") | {"batchwise": True}}, train={"epochs": 1})
    run_stages(project, "train")
    assert read_json(project.reports / "train" / "metrics.json")["val"]["loss"] > 0


def test_a_metric_that_is_undefined_is_no_divergence(made: Callable[..., Project]) -> None:
    project = made(code=CODE, task={"own_metrics": [part("Undefined")]}, train={"epochs": 1})
    said = run_stages(project, "train")
    assert read_json(project.reports / "train" / "metrics.json")["val"]["undefined"] is None
    assert not any("diverged" in line for line in said)


def test_a_loss_may_change_the_outputs_in_place(made: Callable[..., Project]) -> None:
    run_stages(made(code=CODE, task={"own_loss": part("in_place")}, train={"epochs": 1}), "train")


def test_a_checkpoint_without_own_code_keeps_none(made: Callable[..., Project]) -> None:
    project = made(train={"epochs": 1})
    (project.checkpoint / "custom").mkdir(parents=True)
    run_stages(project, "train")
    assert not (project.checkpoint / "custom").exists()
