"""Line charts as SVG for the report: drawn with the page's own colours, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 22, 14, 42


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        style: CSS class: `first`, `second` or `ideal`.
        points: (x, y), in order of x.
        dots: a mark for each point: its text, and the radius it is drawn with; none if empty.
    """

    label: str
    style: str
    points: Sequence[tuple[float, float]]
    dots: Sequence[tuple[str, float]] = ()


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> str:
    """SVG markup, escaped, without fixed size: it fills the width it is given."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_ticks = _ticks(*(x_range or (min(xs, default=0.0), max(xs, default=1.0))))
    y_ticks = _ticks(*(y_range or (min(ys, default=0.0), max(ys, default=1.0))))
    x_low, x_high = x_range or (x_ticks[0], x_ticks[-1])
    y_low, y_high = y_range or (y_ticks[0], y_ticks[-1])
    x_ticks = [tick for tick in x_ticks if tick <= x_high]

    def place(x: float, y: float) -> tuple[str, str]:
        across = (x - x_low) / (x_high - x_low) * (WIDTH - _LEFT - _RIGHT)
        down = (y_high - y) / (y_high - y_low) * (HEIGHT - _TOP - _BOTTOM)
        return f"{_LEFT + across:.1f}", f"{_TOP + down:.1f}"

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_label)}">']
    for tick in y_ticks:
        _, y = place(x_low, tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y}" dy=".32em" text-anchor="end">{_number(tick)}</text>')
    for tick in x_ticks:
        x, _ = place(tick, y_low)
        parts.append(f'<text x="{x}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_number(tick)}</text>')
    middle = (WIDTH + _LEFT - _RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle:g}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    for line in lines:
        parts.extend(_drawn(line, [place(x, y) for x, y in line.points]))
    parts.append("</svg>")
    return "".join(parts)


def _drawn(line: Line, places: list[tuple[str, str]]) -> Iterator[str]:
    path = " ".join(f"{x},{y}" for x, y in places)
    yield f'<polyline class="line {line.style}" points="{path}"><title>{escape(line.label)}</title></polyline>'
    for (x, y), (text, radius) in zip(places, line.dots, strict=False):
        title = f"<title>{escape(text)}</title>"
        yield f'<circle class="dot {line.style}" cx="{x}" cy="{y}" r="{radius:.1f}">{title}</circle>'


def _ticks(low: float, high: float) -> list[float]:
    """Four to nine round numbers (1, 2 or 5 times a power of ten apart) that cover low to high."""
    if not high > low:
        # A single value, such as that of one epoch: around it, and not across zero.
        room = abs(low) / 10
        low, high = (low - room, low + room) if room else (0.0, 1.0)
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{round(value, 10):g}"
