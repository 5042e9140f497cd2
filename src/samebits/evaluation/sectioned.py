"""An evaluation whose page is made of sections: the numbers, pictures and tables, training curves, one table more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from samebits.evaluation.baseline import Baseline, lines
from samebits.evaluation.inputs import Evaluation, EvaluationInputs, details, metrics_document
from samebits.evaluation.report.numbers import number_cards, number_lines
from samebits.evaluation.report.page import data_url, render
from samebits.evaluation.report.sections import Section
from samebits.metrics.metric import Scores
from samebits.params.evaluate import EvaluateParams


def sectioned(
    evaluated: EvaluationInputs,
    settings: EvaluateParams,
    metrics: Scores,
    baseline: Baseline,
    sections: Sequence[Sequence[Section]],
    last: Section,
    *,
    about: str,
    files: Mapping[str, bytes],
    pictures: dict[str, bytes],
    remarks: Iterable[str] = (),
) -> Evaluation:
    """What is written of an evaluation.

    Args:
        sections: in order; those of one row stand side by side.
        last: after the training curves.
        about: the first sentence.
        files: of `report/`, beside the page.
        pictures: of `figures/`; `curves.png` is on the page.
        remarks: more lines for the terminal.
    """
    page = render(
        "sections.html.j2",
        title=evaluated.title,
        about=about,
        level=f"{settings.confidence:.0%}",
        resamples=settings.bootstrap,
        numbers=number_cards(metrics, baseline),
        baseline=baseline.answer,
        sections=sections,
        last=last,
        curves=data_url(pictures.get("curves.png")),
        details=details(evaluated, settings),
    )
    return Evaluation(
        metrics=metrics_document(metrics, baseline, settings, len(evaluated.split)),
        files={"report.html": page.encode(), **files},
        figures=pictures,
        table=[
            *number_lines(metrics, baseline, settings.confidence),
            *remarks,
            *lines(baseline, metrics.values, evaluated.own_metrics),
        ],
    )
