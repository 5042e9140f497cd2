"""Judging a language model: loss, perplexity, bits per byte, where it is surprised, and what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from samebits.base.decimals import rounded
from samebits.base.errors import UserError
from samebits.checkpoints.serving import GeneratingModel, build_serving
from samebits.data.loading.prepared import open_split
from samebits.evaluation.baseline import Baseline, lines, of_tokens
from samebits.evaluation.report import figures
from samebits.evaluation.report.charts import Line, line_chart
from samebits.evaluation.report.classification import curve_charts
from samebits.evaluation.report.page import render
from samebits.evaluation.subject import Evaluation, Origin, Subject, csv_bytes, facts, read_origins
from samebits.inference.sampling import Sampling, decode_after, generate
from samebits.metrics.classification import BOOTSTRAP_SEED
from samebits.params.evaluate import EvaluateParams
from samebits.signature.signature import TOKENIZER
from samebits.signature.special_tokens import SEPARATORS
from samebits.tasks.language_model import token_metrics

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = npt.NDArray[np.float64]

_NAMES = {"loss": "Loss", "perplexity": "Perplexity", "bits_per_byte": "Bits per byte", "accuracy": "Next token right"}
_ORDER = ("bits_per_byte", "perplexity", "loss", "accuracy")
_LARGEST = 1 << 26
"""Scores computed at once, at most: 256 MiB."""
_COUNTED = 4096
"""Rows whose tokens are counted at a time."""
_SAMPLES = 4
_SAMPLE_TOKENS = 160
_PROMPT_TOKENS = 24
_MOST_SURPRISED = 8.0
"""Nats at which a token has the full colour: a probability of 1 in 3,000."""


@dataclass(frozen=True)
class Surprise:
    """What the model makes of every token of a split.

    Attributes:
        losses: minus the log of the probability of the token that came, [rows, L].
        hits: whether it was the most probable one, [rows, L].
    """

    losses: Floats
    hits: npt.NDArray[np.bool_]


def evaluate(subject: Subject, settings: EvaluateParams) -> Evaluation:
    """Judge a language model on the test split.

    Raises:
        UserError: if a score is not finite, or the tokeniser is missing.
    """
    from tokenizers import Tokenizer

    surprise = measure(subject, settings.batch_size)
    path = subject.prepared / TOKENIZER
    if not path.is_file():
        raise UserError(f"{path} does not exist", "make it again: dvc repro prepare")
    tokenizer = Tokenizer.from_file(str(path))
    baseline = _baseline(subject)
    metrics = metrics_document(surprise, baseline, subject.info.signature.tokens.bytes_per_token, settings)
    origins = read_origins(subject)
    by_position = surprise.losses.mean(axis=0)
    page = render(
        "language_model.html.j2",
        title=subject.title,
        rows=len(surprise.losses),
        tokens=surprise.losses.size,
        numbers=[_number(name, metrics) for name in _ORDER if name in metrics["test"]],
        baseline=baseline.answer,
        level=f"{settings.confidence:.0%}",
        resamples=settings.bootstrap,
        position=_position_chart(by_position),
        curves=curve_charts(subject.curves),
        samples=_samples(subject, tokenizer),
        passages=_passages(subject, surprise, tokenizer, origins, settings.mistakes),
        facts=facts(subject, settings),
    )
    rows = zip(surprise.losses.mean(axis=1), surprise.hits.mean(axis=1), origins, strict=True)
    return Evaluation(
        metrics=metrics,
        files={
            "report.html": page.encode(),
            "predictions.csv": csv_bytes(
                ("index", *Origin._fields, "loss", "accuracy"),
                ((k, *origin, f"{loss:.6f}", f"{hits:.6f}") for k, (loss, hits, origin) in enumerate(rows)),
            ),
            "per_position.csv": csv_bytes(
                ("position", "loss"), ((at + 1, rounded(float(loss))) for at, loss in enumerate(by_position))
            ),
        },
        figures={
            "position.png": figures.position_figure(by_position),
            "curves.png": figures.curves_figure(subject.curves),
        },
        table=[
            *(_line(name, metrics, settings.confidence) for name in _ORDER if name in metrics["test"]),
            *lines(baseline, "loss", metrics["test"]["loss"]),
        ],
    )


def measure(subject: Subject, batch_size: int) -> Surprise:
    """Losses and hits of every token, in eager fp32 on the CPU, up to `batch_size` rows at a time.

    Raises:
        UserError: if a score is not finite.
    """
    tokens = subject.info.signature.tokens
    size = max(1, min(batch_size, _LARGEST // (tokens.length * tokens.vocabulary)))
    losses, hits = [], []
    with torch.inference_mode():
        for start in range(0, len(subject.split), size):
            subject.check()
            rows = np.arange(start, min(start + size, len(subject.split)), dtype=np.int64)
            inputs, targets = subject.split.samples(rows)
            scores = subject.serving.outputs(torch.from_numpy(inputs.astype(np.int32))).flatten(0, 1)
            wanted = torch.from_numpy(targets).flatten()
            loss = functional.cross_entropy(scores, wanted, reduction="none")
            losses.append(loss.double().numpy().reshape(targets.shape))
            hits.append((scores.argmax(dim=1) == wanted).numpy().reshape(targets.shape))
    found = np.concatenate(losses)
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise UserError(
            f"the model's loss is not finite in test row {row}",
            "train again with a lower train.optimizer.lr or train.gradient_clip: 1.0",
        )
    return Surprise(found, np.concatenate(hits))


def _baseline(subject: Subject) -> Baseline:
    """Counted in the whole training split."""
    tokens = subject.info.signature.tokens
    counts = [
        sum(
            (
                np.bincount(rows[:, 1:].ravel(), minlength=tokens.vocabulary)
                for start in range(0, len(split), _COUNTED)
                for rows in [split.rows(np.arange(start, min(start + _COUNTED, len(split)), dtype=np.int64))]
            ),
            start=np.zeros(tokens.vocabulary, dtype=np.int64),
        )
        for split in (open_split(subject.prepared, "train", in_memory=False), subject.split)
    ]
    return of_tokens(counts[0], counts[1], tokens.bytes_per_token)


def metrics_document(
    surprise: Surprise, baseline: Baseline, bytes_per_token: float | None, settings: EvaluateParams
) -> dict[str, Any]:
    """`metrics.json`. Rows are resampled with replacement, as neighbouring tokens are no independent samples."""
    loss, accuracy = surprise.losses.mean(axis=1), surprise.hits.mean(axis=1)
    count = len(loss)
    random = np.random.Generator(np.random.Philox(BOOTSTRAP_SEED))
    drawn = [random.integers(count, size=count) for _ in range(settings.bootstrap)]
    tail = (1.0 - settings.confidence) / 2
    limits = {
        name: np.quantile([values[rows].mean() for rows in drawn], (tail, 1.0 - tail))
        for name, values in (("loss", loss), ("accuracy", accuracy))
    }
    low, high = (token_metrics(float(limit), bytes_per_token) for limit in limits["loss"])
    test = {"loss": float(loss.mean()), "accuracy": float(accuracy.mean())}
    test |= token_metrics(test["loss"], bytes_per_token)
    interval = {name: {"low": rounded(float(a)), "high": rounded(float(b))} for name, (a, b) in limits.items()}
    interval |= {name: {"low": rounded(low[name]), "high": rounded(high[name])} for name in low}
    document: dict[str, Any] = {
        "baseline": baseline.values,
        "test": {name: rounded(value) for name, value in test.items()},
        "interval": interval,
        "confidence": settings.confidence,
        "samples": count,
        "tokens": surprise.losses.size,
    }
    if bytes_per_token is None:
        document["undefined"] = {"bits_per_byte": "the tokeniser does not give texts back as they were"}
    return document


def _passages(
    subject: Subject, surprise: Surprise, tokenizer: Tokenizer, origins: Sequence[Origin], limit: int
) -> list[dict[str, Any]]:
    """The rows with the highest losses, token by token, each with the share of the full colour it gets."""
    order = np.argsort(-surprise.losses.mean(axis=1), kind="stable")[:limit]
    shown = []
    for row, tokens in zip(order.tolist(), subject.split.rows(order), strict=True):
        losses = surprise.losses[row]
        row_tokens = tokens.tolist()
        pieces = [
            (
                decode_after(tokenizer, row_tokens[:at], [token], special=True),
                min(loss / _MOST_SURPRISED, 1.0),
                loss,
            )
            for at, (token, loss) in enumerate(zip(row_tokens[1:], losses.tolist(), strict=True), start=1)
        ]
        shown.append(
            {
                "place": origins[row].source,
                "loss": f"{losses.mean():.2f}",
                "pieces": [(text, f"{share:.2f}", f"{np.exp(-loss):.1%}") for text, share, loss in pieces],
            }
        )
    return shown


def _samples(subject: Subject, tokenizer: Tokenizer) -> list[dict[str, str]]:
    """What the model writes after the beginnings of some test rows: a function of the weights alone."""
    serving = build_serving(subject.checkpoint.model, subject.checkpoint.task, subject.info.signature)
    if not isinstance(serving, GeneratingModel):
        return []

    def run(*inputs: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        with torch.inference_mode():
            return [each.numpy() for each in serving(*map(torch.from_numpy, inputs))]

    context = subject.info.signature.tokens.length
    places = np.linspace(0, len(subject.split) - 1, min(_SAMPLES, len(subject.split))).astype(np.int64)
    ends = {tokenizer.token_to_id(name) for name in SEPARATORS}
    written = []
    for seed, row in enumerate(subject.split.rows(places)):
        subject.check()
        prompt = row[: min(_PROMPT_TOKENS, context)].tolist()
        made: list[int] = []
        for token in islice(
            generate(run, serving.kv_cache_shape, context, prompt, Sampling(seed=seed)), _SAMPLE_TOKENS
        ):
            if token in ends:
                break
            made.append(token)
        written.append({"prompt": tokenizer.decode(prompt), "text": decode_after(tokenizer, prompt, made)})
    return written


def _position_chart(losses: Floats) -> str:
    points = [(float(at + 1), float(loss)) for at, loss in enumerate(losses)]
    return line_chart([Line("loss", "first", points)], x_label="tokens read before and with this one", y_label="loss")


def _number(name: str, metrics: dict[str, Any]) -> dict[str, str]:
    interval = metrics["interval"][name]
    return {
        "label": _NAMES[name],
        "value": _format(name, metrics["test"][name]),
        "interval": f"{_format(name, interval['low'])} to {_format(name, interval['high'])}",
        "baseline": _format(name, metrics["baseline"][name]) if name in metrics["baseline"] else "",
    }


def _line(name: str, metrics: dict[str, Any], confidence: float) -> str:
    number = _number(name, metrics)
    line = f"{number['label']:<18} {number['value']:>9}   {confidence:.0%}: {number['interval']}"
    return f"{line}   baseline {number['baseline']}"


def _format(name: str, value: float) -> str:
    if name == "accuracy":
        return f"{value:.2%}".replace("%", " %")
    return f"{value:,.2f}" if name == "perplexity" else f"{value:.4f}"
