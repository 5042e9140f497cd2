"""Tags of words from files to entities in a text: prepare, train, evaluate, export, predict."""

from __future__ import annotations

import csv
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from ruamel.yaml import YAML
from torch.nn import functional

import samebits
from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.base.paths import Project
from samebits.cli.main import main
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import open_split, read_info
from samebits.export import onnx, parity
from samebits.inference.tags import words_of
from samebits.metrics.entities import IGNORED, Scheme
from samebits.params.schema import read_params
from samebits.signature.signature import Signature
from samebits.signature.tags import TagsTarget
from samebits.signature.tokens import TokenInputs
from samebits.tasks import build_task
from samebits.tasks.token_classification import Settings, TokenClassification
from tests.helpers.asked import predict_texts
from tests.helpers.in_process import run_stages
from tests.helpers.own_datasets import own_project
from tests.helpers.shared import shared
from tests.helpers.tagged_files import json_lines, sentence, tagged_project, write_tagged
from tests.helpers.workspace import ROOT, set_params

TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
SCHEME = Scheme.of(TAGS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    def make(workspace: Path) -> None:
        write_tagged(workspace / "data/raw/names.conll")
        run_stages(tagged_project(workspace))

    workspace = shared(tmp_path_factory, "tags", make)
    return Project(workspace, workspace)


def test_metrics_with_intervals_beside_a_baseline(trained: Project) -> None:
    found = read_json(trained.reports / "evaluation" / "metrics.json")
    assert set(found["test"]) == {
        "entity_f1",
        "entity_macro_f1",
        "entity_precision",
        "entity_recall",
        "tag_accuracy",
        "tag_log_loss",
        "tag_macro_f1",
    }
    # What stands around a name says what it is: a model that looks at words alone cannot know.
    assert found["test"]["entity_f1"] > 0.95
    assert found["baseline"]["entity_f1"] < 0.8
    assert (
        found["interval"]["tag_log_loss"]["low"]
        <= found["test"]["tag_log_loss"]
        <= found["interval"]["tag_log_loss"]["high"]
    )
    validated = read_json(trained.reports / "train" / "metrics.json")["val"]
    assert set(validated) == {"loss", "tag_accuracy", "entity_f1"}


def test_the_baseline_is_each_words_most_frequent_tag(trained: Project) -> None:
    counts: dict[bytes, dict[int, int]] = {}
    splits = {name: open_split(trained.prepared, name, in_memory=True) for name in ("train", "test")}

    def words(name: str) -> list[tuple[bytes, int]]:
        split = splits[name]
        assert split.targets is not None
        found = []
        for row, tags in zip(split.rows(np.arange(len(split))), split.targets, strict=True):
            places = [*np.flatnonzero(tags != IGNORED), int((row != 0).sum()) - 1]
            found += [(row[a:b].tobytes(), int(tags[a])) for a, b in pairwise(places)]
        return found

    for word, tag in words("train"):
        counts.setdefault(word, {}).setdefault(tag, 0)
        counts[word][tag] += 1
    best = {word: max(sorted(each), key=each.__getitem__) for word, each in counts.items()}
    right = [best.get(word, 0) == tag for word, tag in words("test")]
    found = read_json(trained.reports / "evaluation" / "metrics.json")
    assert found["baseline"]["tag_accuracy"] == pytest.approx(np.mean(right), abs=1e-6)


def test_page_and_tables(trained: Project) -> None:
    folder = trained.reports / "evaluation" / "report"
    page = (folder / "report.html").read_text(encoding="utf-8")
    for title in ("Entities", "Tags", "Confusion", "Training"):
        assert f"<h2>{title}</h2>" in page
    with (folder / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    split = open_split(trained.prepared, "test", in_memory=True)
    assert split.targets is not None
    assert [int(row["words"]) for row in rows] == (split.targets != IGNORED).sum(axis=1).tolist()
    with (folder / "per_type.csv").open(encoding="utf-8") as file:
        assert [row["type"] for row in csv.DictReader(file)] == ["LOC", "PER"]


def test_wrong_words_are_coloured(trained: Project, tmp_path: Path) -> None:
    """By a model that was trained for one step."""
    write_tagged(tmp_path / "data/raw/names.conll", 120)
    project = tagged_project(tmp_path, train={"epochs": 1})
    run_stages(project, "prepare", "train", "evaluate")
    page = (project.reports / "evaluation" / "report" / "report.html").read_text(encoding="utf-8")
    assert re.search(r'<span class="wrong">(Ada|Bern|Den|Paris|Rio|Sydney)<small>\S+, true: [BI]-(LOC|PER)', page)


def test_manifest_names_the_tags(trained: Project) -> None:
    targets = pq.read_table(trained.prepared / "manifest.parquet").column("target").to_pylist()
    assert all(re.fullmatch(r"(O|[BI]-\w+) \d+(; [BI]-\w+ \d+)* \(\w{12}\)", each) for each in targets)


def test_every_word_of_a_text_gets_a_tag(trained: Project) -> None:
    text = "Paris lives in Rio.\nin Sydney Hall, Paris met Ada"
    (found,) = predict_texts(trained.exported / "model.onnx", texts=[text])
    assert [(each.text, each.label) for each in found.spans] == [
        ("Paris", "PER"),
        ("Rio", "LOC"),
        ("Sydney Hall", "LOC"),
        ("Paris", "PER"),
        ("Ada", "PER"),
    ]
    assert all(text[each.begin : each.end] == each.text for each in found.spans)
    printed = "\n".join(found.lines()).splitlines()
    assert printed[0] == "Paris lives in Rio. in Sydney Hall, Par…: 5 entities"
    assert re.fullmatch(r" +15-18  LOC  Rio  \d+\.\d%", printed[2])


def test_a_text_that_is_longer_than_a_row(trained: Project) -> None:
    text = " ".join(["in Rio , Paris met Ada ."] * 20)
    (found,) = predict_texts(trained.exported / "model.onnx", texts=[text])
    assert len(found.spans) > 45
    assert found.spans[-1].begin > len(text) - 20
    assert found.notes == ()


def test_predict_reads_files(trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("Rio lives in Bern .\n\n")
    assert main(["predict", str(tmp_path / "a.txt"), "--model", str(trained.exported / "model.onnx")]) == 0
    assert f"{tmp_path / 'a.txt'}: 2 entities" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada's e-mail: 3.5 (U.S.)", ["Ada's", "e-mail", ":", "3.5", "(", "U.S", ".", ")"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("café\u00a0–\tnaïve", ["café", "–", "naïve"]),
        ("e\u0301 -a-", ["e\u0301", "-", "a", "-"]),
        ("...", [".", ".", "."]),
        ("東京 😀", ["東京", "😀"]),
        ("  ", []),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert [text[a:b] for a, b in words_of(text)] == words


def test_exported_answers_are_compared_at_words_alone(trained: Project) -> None:
    split = open_split(trained.prepared, "test", in_memory=True)
    predict = onnx.load(trained.exported / "model.onnx")
    reference = parity.answers(predict, split)
    assert reference.shape == (len(split), 24, 5)
    assert split.targets is not None
    assert ((reference != 0).any(axis=2) == (split.targets != IGNORED)).all()

    def swapped(samples: np.ndarray) -> np.ndarray:
        found = predict(samples).copy()
        found[:, 1] = found[:, 1, ::-1]
        return found

    with pytest.raises(UserError, match="is not the checkpoint's equal"):
        parity.measure_parity("x", swapped, reference, split, batch_sizes=[7], tolerance=1.0, check=lambda: None)


def test_score_of_the_export_is_that_of_the_evaluation(trained: Project) -> None:
    found = read_json(trained.reports / "evaluation" / "metrics.json")["test"]
    exported = read_json(trained.exported / "export.json")["test"]
    assert exported == pytest.approx({name: found[name] for name in ("entity_f1", "tag_accuracy")}, abs=1e-6)


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 5, (6, 9), generator=random)
    for row in range(6):
        targets[row, 2 + row :] = IGNORED
    targets[5] = IGNORED  # no word at all
    return torch.randn(6, 9, 5, generator=random), targets.to(torch.int16)


def test_the_loss_is_a_mean_over_words_and_parts_add_up() -> None:
    outputs, targets = batch()
    task = TokenClassification(SCHEME)
    valid = targets != IGNORED
    wanted = functional.cross_entropy(outputs[valid], targets[valid].long())
    assert task.loss(outputs, targets) == pytest.approx(wanted.item())
    parts = [slice(0, 1), slice(1, 4), slice(4, 6)]
    total = sum(task.loss(outputs[part], targets[part]) * task.count(targets[part]) for part in parts)
    assert total / task.count(targets) == pytest.approx(wanted.item())
    assert task.loss(outputs[5:], targets[5:]) == 0.0


def test_metric_sums_of_parts_are_those_of_the_whole() -> None:
    outputs, targets = batch(1)
    task = TokenClassification(SCHEME)
    whole = task.metric_sums(outputs, targets)
    parts = [task.metric_sums(outputs[part], targets[part]) for part in (slice(0, 2), slice(2, 6))]
    for name, value in whole.items():
        assert sum(part[name].item() for part in parts) == pytest.approx(value.item())


def test_class_weights() -> None:
    outputs, targets = batch()
    inputs = TokenInputs(length=9, vocabulary=50, pad=0, tokenizer_sha256="0" * 64)
    signature = Signature(inputs=inputs, target=TagsTarget(classes=TAGS, length=9))
    task = build_task(Settings(name="token_classification", class_weights={"B-PER": 3.0}), signature)
    plain = TokenClassification(SCHEME)
    valid = targets != IGNORED
    losses = functional.cross_entropy(outputs[valid], targets[valid].long(), reduction="none")
    weights = torch.where(targets[valid] == 3, 3.0, 1.0)
    assert task.loss(outputs, targets) == pytest.approx((losses * weights).mean().item())
    assert task.metric_sums(outputs, targets)["loss"] == pytest.approx(plain.metric_sums(outputs, targets)["loss"])


@pytest.mark.slow  # it trains again
def test_a_loss_and_a_metric_of_ones_own(trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss gets the words that count, the metric all positions."""
    shutil.copytree(trained.workspace, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "custom").mkdir(exist_ok=True)
    (tmp_path / "custom" / "parts.py").write_text(
        "import numpy as np\nfrom torch import nn\nfrom torch.nn import CrossEntropyLoss\n\n"
        "class Right:\n    name = 'right_words'\n    better = 'higher'\n"
        "    def __call__(self, predictions, targets):\n        counts = targets >= 0\n"
        "        return float((predictions == targets)[counts].mean())\n"
    )
    parts = {name: {"file": "custom/parts.py", "class_name": each} for name, each in
             (("own_loss", "CrossEntropyLoss"), ("own_metrics", "Right"))}  # fmt: skip
    set_params(tmp_path, {"task": {"own_loss": parts["own_loss"], "own_metrics": [parts["own_metrics"]]}})
    run_stages(Project(tmp_path, tmp_path), "train", "evaluate")
    found = read_json(tmp_path / "reports" / "evaluation" / "metrics.json")
    assert found["test"]["right_words"] == pytest.approx(found["test"]["tag_accuracy"])
    assert found["baseline"]["right_words"] == pytest.approx(found["baseline"]["tag_accuracy"])
    before, after = (
        read_json(folder / "reports" / "train" / "metrics.json")["val"] for folder in (trained.workspace, tmp_path)
    )
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-4), "it is the task's own loss"
    assert after["right_words"] == pytest.approx(after["tag_accuracy"])


@pytest.mark.slow  # it trains again
def test_a_task_of_ones_own(trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(trained.workspace, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "custom").mkdir(exist_ok=True)
    (tmp_path / "custom" / "task.py").write_text(
        "from torch.nn import functional\n\n"
        "class Mine:\n    def __init__(self, signature):\n        pass\n"
        "    def count(self, targets):\n        return int((targets >= 0).sum())\n"
        "    def loss(self, outputs, targets):\n        keep = targets >= 0\n"
        "        return functional.cross_entropy(outputs[keep], targets[keep].long())\n"
        "    def metric_sums(self, outputs, targets):\n"
        "        return {'loss': self.loss(outputs, targets) * self.count(targets)}\n"
        "    def postprocess(self, outputs):\n        return outputs.softmax(2)\n"
    )
    own = {"name": "own", "file": "custom/task.py", "class_name": "Mine", "arguments": {}}
    set_params(tmp_path, {}, replace={"task": own})
    run_stages(Project(tmp_path, tmp_path), "train", "evaluate")
    before, after = (
        read_json(folder / "reports" / "evaluation" / "metrics.json")["test"]
        for folder in (trained.workspace, tmp_path)
    )
    assert after["entity_f1"] == pytest.approx(before["entity_f1"], abs=0.02), "it is the built-in task once more"


def test_a_tagger_is_no_function_of_a_text(trained: Project) -> None:
    for path in (trained.checkpoint, trained.exported / "model.onnx"):
        with pytest.raises(UserError, match="a tag for each word") as refused:
            samebits.load(path)
        assert "samebits predict" in refused.value.fix


def test_a_model_of_whole_texts_is_refused(trained: Project, tmp_path: Path) -> None:
    write_tagged(tmp_path / "data/raw/names.conll", 60)
    project = tagged_project(tmp_path, model={"name": "embedding_bag", "width": 8})
    run_stages(project, "prepare")
    with pytest.raises(UserError, match=r"set model\.name to one that answers for every token"):
        run_stages(project, "train")


@pytest.mark.parametrize(("change", "problem"), [({"words": True}, "model.words"), ({"reads": 8}, "model.reads")])
def test_settings_for_whole_texts_are_refused(change: dict[str, object], problem: str, trained: Project) -> None:
    from samebits.models import bert, build_model

    settings = bert.Settings(name="bert", layers=1, width=16, heads=2, hidden=16, positions=24)
    with pytest.raises(UserError, match=problem):
        build_model(settings.model_copy(update=change), read_info(trained.prepared).signature)


def test_batches_are_cut_with_their_tags(trained: Project) -> None:
    split = open_split(trained.prepared, "train", in_memory=True)
    short = np.argsort(split.lengths(), kind="stable")[:3].astype(np.int64)
    inputs, targets = split.samples(short)
    assert inputs.shape == targets.shape
    assert inputs.shape[1] == split.lengths()[short].max() < 24
    assert Batches(split, batch_size=8, seed=0).batch(0).targets.dtype == torch.int16


def test_the_card_says_how_words_get_tags(trained: Project) -> None:
    card = (trained.exported / "card.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    code = block.replace('"model.onnx"', repr(str(trained.exported / "model.onnx")))
    code = code.replace('"tokenizer.json"', repr(str(trained.exported / "tokenizer.json")))
    said: list[object] = []
    exec(code, {"print": said.append})
    assert said[0][-2:][0][0] == "Bern"  # type: ignore[index]
    assert "| entity F1 |" in card
    assert read_params(trained.params_file).dump()["task"]["name"] == "token_classification"
    assert json.loads((trained.exported / "export.json").read_text())["test_samples"] > 20


def test_the_example_of_the_docs_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs/data-texts.md").read_text(encoding="utf-8").split("## Words with tags")[1].split("\n## ")[0]
    shown = re.findall(r"```\n(.*?)```", page, re.DOTALL)
    (settings,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    given = YAML(typ="safe").load(settings)
    write_tagged(tmp_path / given["data"]["source"], 60)
    path = tmp_path / given["data"]["source"]
    path.write_text(shown[0] + "\n" + path.read_text())
    (tmp_path / "data/raw/lines.jsonl").write_text(shown[1] + json_lines([sentence(k) for k in range(60)]))
    for source in (given["data"]["source"], "data/raw/lines.jsonl"):
        project = tagged_project(tmp_path, data=given["data"] | {"source": source}, task=given["task"])
        lines = run_stages(project, "prepare")
        assert any(line.endswith("types of entities: LOC, PER") for line in lines)


def test_a_class_for_each_step_of_a_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a Dataset and a model of one's own."""
    code = """
    class Samples:
        classes = ["low", "high", "gone"]
        def __init__(self, path):
            pass
        def __len__(self):
            return 80
        def __getitem__(self, index):
            if index >= 80:
                raise IndexError
            x = np.random.default_rng(index).normal(size=(2, 12)).astype(np.float32)
            y = (x[0] > 0).astype(np.int64)
            y[3] = -100
            return x, y[:11] if index == 7 else y
    """
    model = {"name": "own", "file": "custom/steps.py", "class_name": "Steps"}
    project = own_project(
        tmp_path, monkeypatch, code, "token_classification", model, target_kind="tags", max_rejected_fraction=0.1
    )
    (tmp_path / "custom/steps.py").write_text(
        "from torch import nn\n\nclass Steps(nn.Module):\n    def __init__(self, signature):\n"
        "        super().__init__()\n        self.head = nn.Linear(2, signature.outputs)\n\n"
        "    def forward(self, x):\n        return self.head(x.transpose(1, 2))\n"
    )
    set_params(tmp_path, {"train": {"epochs": 30}})
    run_stages(project)
    info = read_info(project.prepared)
    assert info.classes == ("low", "high")
    assert info.signature.output_shape == (12, 2)
    found = read_json(project.reports / "evaluation" / "metrics.json")["test"]
    assert set(found) == {"tag_accuracy", "tag_macro_f1", "tag_log_loss"}
    assert found["tag_accuracy"] > 0.6
    aside = (project.prepared / "set_aside.csv").read_text()
    assert "its target has 11 tags, its input [2, 12]: give one for each step" in aside
