"""Models of one's own on tables, texts and running text: the classes of docs/models.md, trained and exported."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256_file
from samebits.base.signals import StopRequest
from samebits.checkpoints.checkpoint import load_checkpoint
from samebits.data.loading.prepared import open_split, read_info
from samebits.evaluation.report.curves import read_curves
from samebits.export.export import MEASURED, export
from samebits.models import build_model, own
from samebits.params.augment import AugmentParams
from samebits.params.export import ExportParams
from samebits.params.section import Section
from samebits.params.train import TrainParams
from samebits.preprocess import build_preprocess
from samebits.tasks.classification import Settings as Classification
from samebits.tasks.language_model import Settings as LanguageModel
from samebits.tasks.regression import Settings as Regression
from samebits.training.train import train
from tests.helpers.table_project import make_table_context
from tests.helpers.text_project import make_running_text_context, make_text_context
from tests.helpers.workspace import ROOT

TRAIN: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 32,
    "threads": 1,
    "precision": "fp32",
    "optimizer": {"name": "adamw", "lr": 0.01},
}
OTHERS = """

class Column(Rows):
    def forward(self, rows):
        return super().forward(rows)[:, None, None]


class Pair(Rows):
    def forward(self, rows):
        return super().forward(rows), None


class Noted(Rows):
    def get_extra_state(self):
        return {"version": 2}

    def set_extra_state(self, state):
        pass


class Bigram(nn.Module):
    def __init__(self, signature):
        super().__init__()
        self.scores = nn.Embedding(signature.tokens.vocabulary, signature.outputs)

    def forward(self, tokens):
        return self.scores(tokens)


class TiedWriter(Writer):
    def __init__(self, signature, width=32):
        super().__init__(signature, width)
        self.mix = nn.Linear(2 * width, width)
        self.head = nn.Sequential(self.mix, nn.Linear(width, signature.outputs, bias=False))
        self.head[1].weight = self.tokens.weight


class Shared(Rows):
    def __init__(self, signature, width=8):
        super().__init__(signature, width)
        block = nn.Linear(self.numbers, self.numbers)
        self.blocks = nn.Sequential(block, nn.ReLU(), block)

    def forward(self, rows):
        return super().forward(torch.cat([self.blocks(rows[:, : self.numbers]), rows[:, self.numbers :]], dim=1))


class NormedRows(Rows):
    def __init__(self, signature, width=8):
        super().__init__(signature, width)
        self.norm = nn.BatchNorm1d(self.numbers)

    def forward(self, rows):
        normed = self.norm(rows[:, : self.numbers])
        return super().forward(torch.cat([normed, rows[:, self.numbers :]], dim=1))
"""


pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture(autouse=True)
def _timed_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.inference.latency._SECONDS", 0.0)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], Any]:
    """A context over data that a function makes, with the classes of the page in `custom/mine.py`."""

    def make(data: Callable[..., Any], **settings: Any) -> Any:
        root = tmp_path / "project"
        context = data(root, **settings)
        (root / "dvc.yaml").write_text("stages: {}\n")
        (root / "custom").mkdir()
        page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
        classes = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        (root / "custom" / "mine.py").write_text("\n\n".join(classes) + OTHERS, encoding="utf-8")
        monkeypatch.chdir(root)
        context.stop = StopRequest()
        return context

    return make


def model(name: str, **arguments: Any) -> own.Settings:
    return own.Settings(name="own", file="custom/mine.py", class_name=name, arguments=arguments)


def run(context: Any, task: Section, name: str, **changes: Any) -> str:
    """Train a class; the hash of the weights."""
    settings = TrainParams.model_validate(TRAIN | changes)
    train(3, "strict", task, model(name), AugmentParams(), settings, context=context)
    return sha256_file(context.project.checkpoint / "model.safetensors")


def validated(context: Any) -> dict[str, float]:
    found: dict[str, float] = read_json(context.project.reports / "train" / "metrics.json")["val"]
    return found


@pytest.mark.parametrize("target", ["price", "town"])
def test_rows_of_a_table(target: str, made: Any) -> None:
    context = made(make_table_context, target=target, steps=0)
    task = Regression(name="regression") if target == "price" else Classification(name="classification")
    first = run(context, task, "Rows")
    loss = validated(context)["loss"]
    assert run(context, task, "Rows") == first
    run(context, task, "Rows", epochs=12)
    assert validated(context)["loss"] < loss
    assert load_checkpoint(context.project.checkpoint).config.model["class_name"] == "Rows"


def test_the_metrics_of_ones_own_regression_are_those_computed_by_hand(made: Any) -> None:
    context = made(make_table_context, steps=0)
    run(context, Regression(name="regression"), "Rows")
    checkpoint, info = load_checkpoint(context.project.checkpoint), read_info(context.project.prepared)
    split = open_split(context.project.prepared, "validation", in_memory=True)
    rows, prices = split.samples(np.arange(len(split)))
    with torch.inference_mode():
        answers = checkpoint.task.postprocess(
            checkpoint.model(build_preprocess(info.signature)(torch.from_numpy(rows)))
        )
    assert validated(context)["mae"] == pytest.approx(float(np.abs(answers.numpy() - prices).mean()), rel=1e-4)


def test_a_training_that_diverges_at_its_end_is_written_and_warned_of(made: Any) -> None:
    context = made(make_table_context, steps=0)
    optimizer = {"name": "sgd", "lr": 1e30}
    size = read_info(context.project.prepared).counts["train"]
    run(context, Regression(name="regression"), "Rows", epochs=1, batch_size=size, optimizer=optimizer)
    metrics = read_json(context.project.reports / "train" / "metrics.json")
    assert metrics["val"]["loss"] is None
    assert metrics["undefined"]["val/loss"] == "it is not finite"
    assert any("warning: the training diverged: the validation loss" in line for line in context.said)
    assert read_curves(context.project.reports / "train" / "curves.csv")[0].name == "train/loss"


@pytest.mark.slow
def test_texts_of_any_length(made: Any) -> None:
    context = made(make_text_context)
    run(context, Classification(name="classification"), "Bag", epochs=20)
    assert validated(context)["accuracy"] > 0.9
    export(ExportParams(batch_sizes=[1, 5]), context=context)
    assert set(read_json(context.project.exported / "export.json")["formats"]) == {"onnx", "torch_export"}


@pytest.mark.slow
def test_the_next_token_with_a_cache(made: Any) -> None:
    context = made(make_running_text_context)
    run(context, LanguageModel(name="language_model"), "Writer")
    export(ExportParams(batch_sizes=[1, 33], formats=["onnx"]), context=context)
    assert read_json(context.project.state / MEASURED)["measured"]["onnx"]["greedy_tokens"] > 0


@pytest.mark.parametrize("changes", [{"select": "best"}, {"elastic": True, "micro_batch_size": 8}], ids=str)
def test_tied_weights_are_trained_and_saved_once(changes: dict[str, Any], made: Any) -> None:
    context = made(make_running_text_context)
    context.runtime = context.runtime.model_copy(update={"checkpoint_seconds": 1e-3})
    run(context, LanguageModel(name="language_model"), "TiedWriter", epochs=1, ema_decay=0.9, **changes)
    names = load_file(context.project.checkpoint / "model.safetensors").keys()
    assert "tokens.weight" in names
    assert "head.1.weight" not in names


def test_a_layer_of_two_names_is_trained_and_exported(made: Any) -> None:
    context = made(make_table_context, steps=0)
    run(context, Regression(name="regression"), "Shared", epochs=1)
    export(ExportParams(batch_sizes=[1, 3]), context=context)
    assert set(read_json(context.project.exported / "export.json")["formats"]) == {"onnx", "torch_export"}


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ({"micro_batch_size": 1}, "train.micro_batch_size is 1"),
        ({"batch_size": 1}, "train.batch_size is 1"),
        ({"batch_size": 9, "micro_batch_size": 4}, "train.micro_batch_size is 4, which leaves one of 9 samples over"),
    ],
)
def test_batch_norm_of_one_sample_is_refused_before_the_first_step(
    sizes: dict[str, int], named: str, made: Any
) -> None:
    context = made(make_table_context, steps=0)
    with pytest.raises(UserError, match=f"{named}.*the batch normalisation norm has a single value"):
        run(context, Regression(name="regression"), "NormedRows", **sizes)


def test_batch_norm_of_one_sample_of_many_values_is_fine(made: Any) -> None:
    context = made(make_table_context, steps=0)
    run(context, Regression(name="regression"), "Rows", epochs=1, micro_batch_size=1)


def test_the_next_token_without_a_cache_is_trained_and_not_exported(made: Any) -> None:
    context = made(make_running_text_context)
    run(context, LanguageModel(name="language_model"), "Bigram")
    assert validated(context)["perplexity"] > 1
    with pytest.raises(UserError, match="the model own has no cache") as error:
        export(ExportParams(), context=context)
    assert "kv_cache_shape and decode_step" in error.value.fix
    assert not context.project.exported.exists()


TABLES = "rows, float [N, numbers + indicators + categories], here [2, 7], and has to give [2]"
WRONG = {
    "an axis too many": ("Column", r"Column of custom/mine.py gives \[2, 1, 1\] for two samples", TABLES),
    "a state that is no tensor": (
        "Noted",
        "has _extra_state in its state dict, which is no tensor",
        "keep it in a buffer",
    ),
    "no tensor": ("Pair", r"gives tuple for two samples", TABLES),
    "a model of images": ("Net", r"Net of custom/mine.py cannot compute two samples: RuntimeError: .*", TABLES),
    "a model of texts": ("Bag", "the model takes tokens", ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_for_the_data_is_told_before_the_first_step(case: str, made: Any) -> None:
    name, message, fix = WRONG[case]
    context = made(make_table_context, steps=0)
    signature = read_info(context.project.prepared).signature
    width = build_preprocess(signature)(torch.zeros(1, *signature.row_shape)).shape[1]
    with pytest.raises(UserError, match=message) as error:
        run(context, Regression(name="regression"), name)
    assert fix.replace("[2, 7]", f"[2, {width}]") in error.value.fix


def test_trying_a_model_out_moves_no_random_number_and_no_switch(made: Any) -> None:
    context = made(make_text_context)
    (Path("custom") / "mine.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Noisy(nn.Module):\n"
        "    def __init__(self, signature):\n        super().__init__()\n"
        "        self.head = nn.Linear(1, signature.outputs)\n\n"
        "    def forward(self, tokens):\n        assert not torch.are_deterministic_algorithms_enabled()\n"
        "        return self.head(torch.rand(len(tokens), 1))\n"
    )
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(1)
    built = build_model(model("Noisy"), read_info(context.project.prepared).signature)
    after = torch.get_rng_state()
    torch.manual_seed(1)
    torch.nn.Linear(1, 2)
    assert torch.equal(after, torch.get_rng_state())
    assert torch.are_deterministic_algorithms_enabled()
    assert built.training
