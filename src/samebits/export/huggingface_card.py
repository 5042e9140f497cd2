"""README.md of the Hugging Face layout: the card as the hub shows it, with its YAML header."""

from __future__ import annotations

from typing import Any

from samebits.params.model_name import shown_model
from samebits.signature.markdown import one_line
from samebits.signature.signature import Signature

_PIPELINES = {
    "SequenceClassification": "text-classification",
    "TokenClassification": "token-classification",
    "CausalLM": "text-generation",
}
_ANSWERS = {
    "classification": ".softmax(-1)  # probabilities [N, K], in the order of model.config.id2label",
    "multilabel": ".sigmoid()  # of each label, [N, K], in the order of model.config.id2label",
    "regression": "  # numbers [N, K] in the unit of the data, in the order of model.config.id2label",
    "token_classification": ".softmax(-1)  # of each token, [N, L, K]; of a word, those of its first token count",
}


def readme(architecture: str, signature: Signature, metadata: dict[str, Any], scores: dict[str, float]) -> str:
    """Markdown; a function of its arguments alone.

    Args:
        architecture: the library's class.
        metadata: what exported files carry.
        scores: of the checkpoint on the test split.
    """
    kind = architecture.partition("For")[2]
    dataset, model, target = metadata["dataset"], metadata["model"], signature.target
    title = one_line(dataset["title"])
    calibration = metadata.get("calibration", {})
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {_PIPELINES[kind]}",
        "tags:",
        "- samebits",
        "---",
        "",
        f"# {title} {target.noun} ({shown_model(model)})",
        "",
        f"`{architecture}` of transformers; it gives {target.answer}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {target.scores[name].format(value)} of the test split |" for name, value in scores.items()),
        f"| trained | {model['epoch']} epochs, {model['step']:,} steps, task {metadata['task']} |",
        f"| data | {title}, licence {one_line(dataset['licence'])}, digest `{dataset['digest']}` |",
        f"| checkpoint | sha256 `{model['weights_sha256']}` |",
    ]
    if calibration.get("temperature", 1.0) != 1.0:
        lines.append(
            f"| calibration | the last layer is divided by the temperature {calibration['temperature']:g}, fitted on "
            f"{calibration['samples']:,} validation samples |"
        )
    lines += ["", "## Use", "", "```python", *_usage(kind, metadata["task"], signature.tokens.length), "```", ""]
    lines += _limits(kind, signature)
    return "\n".join(lines)


def _usage(kind: str, task: str, length: int) -> list[str]:
    opened = [
        f"from transformers import AutoModelFor{kind}, AutoTokenizer",
        "",
        'folder = "."  # this one',
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        f"model = AutoModelFor{kind}.from_pretrained(folder).eval()",
    ]
    if kind == "CausalLM":
        return [
            *opened,
            'prompt = tokenizer((tokenizer.bos_token or "") + "a prompt", return_tensors="pt")',
            f"print(tokenizer.decode(model.generate(**prompt, max_length={length})[0]))",
        ]
    texts, how = '["a text", "another one"]', "truncation=True, padding=True"
    if kind == "TokenClassification":
        texts, how = '[["A", "word", "each"]]', "is_split_into_words=True, " + how
    return [
        *opened,
        f'inputs = tokenizer({texts}, {how}, return_tensors="pt")',
        f"answers = model(**inputs).logits{_ANSWERS[task]}",
    ]


def _limits(kind: str, signature: Signature) -> list[str]:
    length = signature.tokens.length
    if kind == "CausalLM":
        return [f"It was trained on rows of {length:,} tokens, and knows nothing of longer ones.", ""]
    return [
        f"Texts are read up to {length:,} tokens; without `truncation=True` longer ones are not cut, and it knows "
        "nothing of those. In the model as it was trained, a padding token that a text spells out is hidden; here it "
        "counts.",
        "",
    ]
