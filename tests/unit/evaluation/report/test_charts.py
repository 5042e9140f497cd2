"""Charts: valid XML, text escaped, points where they belong."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from samebits.evaluation.report.charts import HEIGHT, WIDTH, Line, line_chart


def points(svg: str) -> list[tuple[float, float]]:
    line = next(node for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("polyline"))
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.attrib["points"].split())]


def test_larger_values_are_further_right_and_higher() -> None:
    (left, low), (right, high) = points(line_chart([Line("a", "first", [(0, 1), (5, 3)])], x_label="x", y_label="y"))
    assert 0 < left < right < WIDTH
    assert 0 < high < low < HEIGHT


@pytest.mark.parametrize("values", [[], [(3.0, 2.0)], [(0.0, 0.0), (1.0, 0.0)], [(1e6, 1e-9), (2e6, 2e-9)]])
def test_few_flat_and_extreme_points_draw(values: list[tuple[float, float]]) -> None:
    for x, y in points(line_chart([Line("a", "first", values)], x_label="x", y_label="y")):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_labels_are_escaped() -> None:
    svg = line_chart([Line("<b>", "first", [(0, 0), (1, 1)], [("<i>", 2.0)])], x_label="<u>", y_label='"q"')
    ElementTree.fromstring(svg)
    assert "<b>" not in svg
    assert "<i>" not in svg
    assert "<u>" not in svg


@pytest.mark.parametrize(("value", "least", "most"), [(0.25, 0.2, 0.3), (0.0, 0.0, 1.0), (2e5, 1.7e5, 2.3e5)])
def test_a_single_value_has_an_axis_around_it(value: float, least: float, most: float) -> None:
    line = Line("accuracy", "first", [(1.0, value)])
    drawn = ElementTree.fromstring(line_chart([line], x_label="step", y_label="accuracy", x_range=(0.0, 1.0)))
    ticks = [
        float((text.text or "").replace(",", "")) for text in drawn.iter("text") if text.get("text-anchor") == "end"
    ]
    assert least <= min(ticks) <= value < max(ticks) <= most
