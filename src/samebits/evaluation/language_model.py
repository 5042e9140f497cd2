"""Judging a language model: loss, perplexity, bits per byte, where it is surprised, and what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from samebits.base.decimals import ANSWER_DECIMALS, rounded
from samebits.base.errors import UserError
from samebits.base.files import csv_bytes
from samebits.checkpoints.serving import GeneratingModel
from samebits.data.loading.prepared import open_split
from samebits.evaluation.baseline import Baseline, lines, of_tokens
from samebits.evaluation.inputs import Evaluation, EvaluationInputs, Origin, details, metrics_document, read_provenance
from samebits.evaluation.report import figures
from samebits.evaluation.report.numbers import number_cards, number_lines
from samebits.evaluation.report.page import data_url, render
from samebits.inference.sampling import Sampling, decode_after, generate
from samebits.metrics.language_model import METRICS, TokenLosses
from samebits.metrics.metric import measure
from samebits.params.evaluate import EvaluateParams
from samebits.signature.special_tokens import SEPARATORS
from samebits.signature.tokens import TOKENIZER

if TYPE_CHECKING:
    from tokenizers import Tokenizer


_LARGEST = 1 << 26
"""Scores computed at once, at most: 512 MiB in float64."""
_COUNTED = 4096
"""Rows whose tokens are counted at a time."""
_SAMPLES = 4
_SAMPLE_TOKENS = 160
_PROMPT_TOKENS = 24
_MOST_SURPRISED = 8.0
"""Nats at which a token has the full colour: a probability of 1 in 3,000."""


def evaluate(evaluated: EvaluationInputs, settings: EvaluateParams) -> Evaluation:
    """Judge a language model on the test split.

    Raises:
        UserError: if a score is not finite, or the tokeniser is missing.
    """
    from tokenizers import Tokenizer

    surprise = token_losses(evaluated, settings.batch_size)
    path = evaluated.prepared / TOKENIZER
    if not path.is_file():
        raise UserError(f"{path} does not exist", "make it again: dvc repro prepare")
    tokenizer = Tokenizer.from_file(str(path))
    baseline = _baseline(evaluated)
    metrics = measure(METRICS, surprise, bootstrap=settings.bootstrap, confidence=settings.confidence)
    document = metrics_document(metrics, baseline, settings, len(surprise)) | {"tokens": surprise.losses.size}
    if surprise.bytes_per_token is None:
        document["undefined"] = {"bits_per_byte": "the tokeniser does not give texts back as they were"}
    origins = read_provenance(evaluated)
    by_position = surprise.losses.mean(axis=0)
    pictures = {
        "position.png": figures.position_figure(by_position),
        **figures.curve_pictures(evaluated.curves),
    }
    page = render(
        "language_model.html.j2",
        title=evaluated.title,
        rows=len(surprise.losses),
        tokens=surprise.losses.size,
        numbers=number_cards(metrics, baseline),
        baseline=baseline.answer,
        level=f"{settings.confidence:.0%}",
        resamples=settings.bootstrap,
        position=data_url(pictures["position.png"]),
        curves=data_url(pictures.get("curves.png")),
        samples=_samples(evaluated, tokenizer),
        passages=_passages(evaluated, surprise, tokenizer, origins, settings.mistakes),
        details=details(evaluated, settings),
    )
    rows = zip(surprise.losses.mean(axis=1), surprise.hits.mean(axis=1), origins, strict=True)
    return Evaluation(
        metrics=document,
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
        figures=pictures,
        table=[
            *number_lines(metrics, baseline, settings.confidence),
            *lines(baseline, document["test"]),
        ],
    )


def token_losses(evaluated: EvaluationInputs, batch_size: int) -> TokenLosses:
    """Losses and hits of every token, eager on the CPU, up to `batch_size` rows at a time.

    Raises:
        UserError: if a score is not finite.
    """
    tokens = evaluated.info.signature.tokens
    size = max(1, min(batch_size, _LARGEST // (tokens.length * tokens.vocabulary)))
    losses, hits = [], []
    with torch.inference_mode():
        for start in range(0, len(evaluated.split), size):
            evaluated.check()
            rows = np.arange(start, min(start + size, len(evaluated.split)), dtype=np.int64)
            inputs, targets = evaluated.split.samples(rows)
            scores = evaluated.serving.outputs(torch.from_numpy(inputs.astype(np.int32))).flatten(0, 1)
            wanted = torch.from_numpy(targets).flatten()
            loss = functional.cross_entropy(scores, wanted, reduction="none")
            losses.append(loss.double().numpy().round(ANSWER_DECIMALS).reshape(targets.shape))
            hits.append((scores.argmax(dim=1) == wanted).numpy().reshape(targets.shape))
    found = np.concatenate(losses)
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise UserError(
            f"the model's loss is not finite in test row {row}",
            "train again with a lower train.optimizer.lr or train.gradient_clip: 1.0",
        )
    return TokenLosses(found, np.concatenate(hits), tokens.bytes_per_token)


def _baseline(evaluated: EvaluationInputs) -> Baseline:
    """Counted in the whole training split."""
    tokens = evaluated.info.signature.tokens
    counts = [
        sum(
            (
                np.bincount(rows[:, 1:].ravel(), minlength=tokens.vocabulary)
                for start in range(0, len(split), _COUNTED)
                for rows in [split.rows(np.arange(start, min(start + _COUNTED, len(split)), dtype=np.int64))]
            ),
            start=np.zeros(tokens.vocabulary, dtype=np.int64),
        )
        for split in (open_split(evaluated.prepared, "train", in_memory=False), evaluated.split)
    ]
    return of_tokens(counts[0], counts[1], tokens.bytes_per_token)


def _passages(
    evaluated: EvaluationInputs, surprise: TokenLosses, tokenizer: Tokenizer, origins: Sequence[Origin], limit: int
) -> list[dict[str, Any]]:
    """The rows with the highest losses, token by token, each with the share of the full colour it gets."""
    order = np.argsort(-surprise.losses.mean(axis=1), kind="stable")[:limit]
    shown = []
    for row, tokens in zip(order.tolist(), evaluated.split.rows(order), strict=True):
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


def _samples(evaluated: EvaluationInputs, tokenizer: Tokenizer) -> list[dict[str, str]]:
    """What the model writes after the beginnings of some test rows: a function of the weights alone."""
    serving = evaluated.serving
    if not isinstance(serving, GeneratingModel):
        return []

    def run(*inputs: npt.NDArray[Any]) -> list[npt.NDArray[np.floating]]:
        with torch.inference_mode():
            return [each.numpy() for each in serving(*map(torch.from_numpy, inputs))]

    context = evaluated.info.signature.tokens.length
    places = np.linspace(0, len(evaluated.split) - 1, min(_SAMPLES, len(evaluated.split))).astype(np.int64)
    ends = {tokenizer.token_to_id(name) for name in SEPARATORS}
    written = []
    for seed, row in enumerate(evaluated.split.rows(places)):
        evaluated.check()
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
