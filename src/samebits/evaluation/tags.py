"""Judging tags of words: entities with precision, recall and F1, accuracy of the tags, the worst texts word by word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.decimals import ANSWER_DECIMALS, rounded
from samebits.base.files import csv_bytes
from samebits.checkpoints.outputs import bounded_batch
from samebits.data.loading.prepared import Split, open_split
from samebits.data.loading.sequential import by_length
from samebits.data.loading.tensors import as_tensor
from samebits.evaluation.baseline import Baseline
from samebits.evaluation.inputs import Evaluation, EvaluationInputs, Origin, read_provenance, special_tokens, tokenizer
from samebits.evaluation.report.figures import confusion_figure, curve_pictures
from samebits.evaluation.report.page import data_url
from samebits.evaluation.report.sections import Cell, Section, Word, bar
from samebits.evaluation.sectioned import sectioned
from samebits.metrics.bootstrap import Floats, Ints
from samebits.metrics.confusion import Confusion
from samebits.metrics.entities import IGNORED, Scheme, words_only
from samebits.metrics.metric import measure, require_finite
from samebits.metrics.scores import class_f1, confusion
from samebits.metrics.tags import METRICS, Overlaps, TagPredictions, share
from samebits.params.evaluate import EvaluateParams
from samebits.signature.tags import TagsTarget
from samebits.signature.tokens import TokenInputs

_CHUNK = 4096

Tags = npt.NDArray[np.integer]


def evaluate(evaluated: EvaluationInputs, settings: EvaluateParams) -> Evaluation:
    """Judge tags on the test split.

    Raises:
        UserError: if an output is not finite.
    """
    target, targets = evaluated.info.signature.target, evaluated.split.targets
    assert isinstance(target, TagsTarget) and targets is not None
    scheme = Scheme.of(target.classes)
    said, losses = _answers(evaluated, settings, targets)
    found = _overlaps(scheme, said, targets, len(target.classes), losses)
    metrics = measure(
        [*METRICS, *evaluated.more_metrics], found, bootstrap=settings.bootstrap, confidence=settings.confidence
    )
    baseline = _baseline(evaluated, target, scheme)
    of_tags = confusion(np.where(said == IGNORED, 0, said), np.where(targets == IGNORED, len(target.classes), targets),
                        len(target.classes))  # fmt: skip
    drawn = confusion_figure(Confusion.of_matrix(of_tags), target.classes)
    pictures = {"confusion.png": drawn, **curve_pictures(evaluated.curves)}
    origins = read_provenance(evaluated)
    tags = _rows(target.classes, found.tags)
    types = _rows(scheme.types, found.entities) if found.entities is not None else []
    wrong = found.words - found.tags.right.sum(axis=1)
    order = np.lexsort((np.arange(len(found)), -losses.round(9), -wrong))
    worst = order[: min(settings.mistakes, int((wrong > 0).sum()))].astype(np.int64)
    columns = ("precision", "recall", "f1")
    return sectioned(
        evaluated,
        settings,
        metrics,
        baseline,
        [
            [
                *([_table("Entities", "type", types)] if types else []),
                _table("Tags", "tag", tags),
            ],
            [Section("Confusion", "Words of each true tag.", data_url(pictures["confusion.png"]), "confusion matrix")],
        ],
        Section(
            "Worst cases",
            f"The {len(worst)} texts with the most wrong words, which are red, with the predicted and the true tag "
            "below; right entities are blue."
            if len(worst)
            else "There are none: every word has its tag.",
            columns=("test sample", "from", "wrong", "words"),
            rows=[
                (
                    f"{row}",
                    origins[row].source,
                    f"{wrong[row]} of {found.words[row]}",
                    Cell(words=_shown(evaluated, target, row, said[row], targets[row])),
                )
                for row in worst.tolist()
            ],
            facts=True,
        ),
        about=f"{len(found):,} test texts, {int(found.words.sum()):,} words"
        + (f", {int(found.entities.there.sum()):,} entities." if found.entities is not None else "."),
        files={
            "predictions.csv": _predictions_csv(found, origins),
            "per_tag.csv": csv_bytes(("tag", "words", "predicted", *columns), _written(tags)),
            **(
                {"per_type.csv": csv_bytes(("type", "entities", "predicted", *columns), _written(types))}
                if types
                else {}
            ),
            "confusion.csv": csv_bytes(
                ("true", *target.classes),
                ((name, *row) for name, row in zip(target.classes, of_tags.tolist(), strict=True)),
            ),
        },
        pictures=pictures,
    )


def _answers(evaluated: EvaluationInputs, settings: EvaluateParams, targets: Tags) -> tuple[Tags, Floats]:
    """The predicted tag of each word, [N, L], `IGNORED` elsewhere; and each text's cross entropy, [N].

    Raises:
        UserError: if an output is not finite.
    """
    said = np.full(targets.shape, IGNORED, dtype=np.int16)
    losses = np.zeros(len(targets))
    order = by_length(evaluated.split)
    size = bounded_batch(settings.batch_size, evaluated.split)
    for start in range(0, len(order), size):
        evaluated.check()
        rows = order[start : start + size]
        inputs, wanted = evaluated.split.samples(rows)
        with torch.inference_mode():
            logits = evaluated.outputs(as_tensor(inputs)).astype(np.float64).round(ANSWER_DECIMALS)
        counts = wanted != IGNORED
        require_finite(np.where(counts[:, :, None], logits, 0.0), rows)
        said[rows[:, None], np.arange(wanted.shape[1])] = np.where(counts, logits.argmax(axis=2), IGNORED)
        highest = logits.max(axis=2)
        log_sum = highest + np.log(np.exp(logits - highest[:, :, None]).sum(axis=2))
        of_truth = np.take_along_axis(logits, np.maximum(wanted, 0)[:, :, None].astype(np.int64), axis=2)[:, :, 0]
        losses[rows] = np.where(counts, log_sum - of_truth, 0.0).sum(axis=1)
    return said, losses


def _overlaps(scheme: Scheme, said: Tags, targets: Tags, tags: int, losses: Floats | None) -> TagPredictions:
    true, claimed = words_only(targets, said)
    entities = Overlaps(*scheme.counts(claimed, true)) if scheme.types else None
    right = np.where(claimed == true, true, IGNORED)
    return TagPredictions(
        Overlaps(*(_of_tags(each, tags) for each in (right, true, claimed))), entities, losses, (said, targets)
    )


def _of_tags(tags: Tags, count: int) -> Ints:
    """How often each tag stands in each row: [N, W] -> [N, count]."""
    rows, places = np.nonzero(tags != IGNORED)
    cells = rows * count + tags[rows, places]
    return np.bincount(cells, minlength=len(tags) * count).reshape(len(tags), count)


def _baseline(evaluated: EvaluationInputs, target: TagsTarget, scheme: Scheme) -> Baseline:
    """Each word has its most frequent tag of the training split; a word that is not in it, the most frequent of all."""
    training = open_split(evaluated.prepared, "train", in_memory=False)
    of_word: dict[bytes, Counter[int]] = defaultdict(Counter)
    for _, _, word, tag in _words(training, evaluated.prepared):
        of_word[word][tag] += 1
    # Of equally frequent tags the first in the order of the labels.
    best = {word: min(counts, key=lambda tag: (-counts[tag], tag)) for word, counts in of_word.items()}
    most = int(np.argmax(evaluated.info.class_counts["train"]))
    targets = evaluated.split.targets
    assert targets is not None
    said = np.full(targets.shape, IGNORED, dtype=np.int16)
    unseen = 0
    for row, place, word, _ in _words(evaluated.split, evaluated.prepared):
        unseen += word not in best
        said[row, place] = best.get(word, most)
    values = measure(
        [*METRICS, *evaluated.more_metrics], _overlaps(scheme, said, targets, len(target.classes), None)
    ).values
    return Baseline(
        f"each word's most frequent tag in the training split, and {target.classes[most]} for the {unseen:,} words "
        "that are not in it",
        {name: number for name, value in values.items() if (number := rounded(value)) is not None},
    )


def _words(split: Split, prepared: Path) -> Iterator[tuple[int, int, bytes, int]]:
    """Row, place, content and tag of each word of a split; the content of an array's step is that of the step."""
    assert split.targets is not None
    inputs_kind = split.info.signature.inputs
    special = special_tokens(prepared) if isinstance(inputs_kind, TokenInputs) else frozenset()
    for start in range(0, len(split), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(split)), dtype=np.int64)
        inputs = split.rows(rows)
        for row, values, tags in zip(rows.tolist(), inputs, split.targets[rows], strict=True):
            places = np.flatnonzero(tags != IGNORED)
            if not isinstance(inputs_kind, TokenInputs):
                yield from ((row, at, values[..., at].tobytes(), int(tags[at])) for at in places.tolist())
                continue
            for begin, end in _borders(inputs_kind, values, places, special):
                yield row, begin, values[begin:end].tobytes(), int(tags[begin])


def _borders(
    inputs: TokenInputs,
    tokens: npt.NDArray[np.integer],
    places: npt.NDArray[np.int64],
    special: frozenset[int],
) -> list[tuple[int, int]]:
    """First token of each word, and the one after its last: before the next word, or before what ends all texts."""
    if not len(places):
        return []
    end = int(inputs.lengths(tokens[None])[0])
    while end > int(places[-1]) + 1 and int(tokens[end - 1]) in special:
        end -= 1
    return list(zip(places.tolist(), [*places[1:].tolist(), end], strict=True))


def _shown(evaluated: EvaluationInputs, target: TagsTarget, row: int, said: Tags, true: Tags) -> list[Word]:
    """The words of a text with what was said of them."""
    inputs, places = evaluated.info.signature.inputs, np.flatnonzero(true != IGNORED)
    if isinstance(inputs, TokenInputs):
        tokens = evaluated.split.rows(np.array([row], dtype=np.int64))[0]
        decode = tokenizer(evaluated.prepared).decode
        special = special_tokens(evaluated.prepared)
        texts = [decode(tokens[begin:end].tolist()).strip() for begin, end in _borders(inputs, tokens, places, special)]
    else:
        texts = [f"{place}" for place in places.tolist()]
    words = []
    for text, place in zip(texts, places.tolist(), strict=True):
        wanted, found = target.classes[true[place]], target.classes[said[place]]
        if wanted != found:
            words.append(Word(text, "wrong", f"{found}, true: {wanted}"))
        else:
            entity = bool(Scheme.of(target.classes).types) and wanted != "O"
            words.append(Word(text, "right", wanted) if entity else Word(text))
    return words


Row = tuple[str, int, int, float, float, float]
"""Tag or type, how many there are, how many are said to be, precision, recall and F1; NaN where undefined."""


def _rows(names: Sequence[str], counts: Overlaps) -> list[Row]:
    right, there, said = (each.sum(axis=0).astype(np.float64) for each in (counts.right, counts.there, counts.said))
    scores = (share("precision", right, there, said), share("recall", right, there, said), class_f1(right, there, said))
    numbers = (each.astype(np.int64).tolist() for each in (there, said))
    return list(zip(names, *numbers, *(each.tolist() for each in scores), strict=True))


def _written(rows: Sequence[Row]) -> Iterator[tuple[object, ...]]:
    return ((*row[:3], *map(rounded, row[3:])) for row in rows)


def _table(title: str, kind: str, rows: Sequence[Row]) -> Section:
    def shown(value: float) -> str:
        return "–" if np.isnan(value) else f"{100 * value:.2f}"

    return Section(
        title,
        columns=(kind, "true", "predicted", "precision", "recall", "F1", ""),
        rows=[
            (name, f"{there:,}", f"{said:,}", *map(shown, scores), bar(100 * float(np.nan_to_num(scores[2]))))
            for name, there, said, *scores in rows
        ],
    )


def _predictions_csv(found: TagPredictions, origins: Sequence[Origin]) -> bytes:
    words = np.maximum(found.words, 1)
    right = found.tags.right.sum(axis=1) / words
    assert found.losses is not None
    entities = found.entities or Overlaps(*[np.zeros((len(found), 0), dtype=np.int64)] * 3)
    counts = (each.sum(axis=1).tolist() for each in (entities.right, entities.there, entities.said))
    rows = zip(origins, found.words.tolist(), right.tolist(), (found.losses / words).tolist(), *counts, strict=True)
    return csv_bytes(
        ("index", *Origin._fields, "words", "accuracy", "loss", "entities_right", "entities", "entities_predicted"),
        (
            (index, *origin, words, f"{share:.6f}", f"{loss:.6f}", *entities)
            for index, (origin, words, share, loss, *entities) in enumerate(rows)
        ),
    )
