"""Curves of normalised regret over the share of the budget, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from optbench.problems import SUITES
from optbench.scores import CLIP, Scores, mean_of_means

#: Shares of the budget at which curves have points.
POINTS = [i / 25 for i in range(1, 26)]
#: Colours that people with common colour blindness can tell apart (Okabe and Ito 2008), the darkest first.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#7f3f00")
WIDTH, HEIGHT, LEFT, TOP = 260, 170, 40, 26
#: Regret at the top of a panel.
HIGHEST = CLIP


def curves(chosen: Sequence[Scores], first: str | None = None) -> str:
    """A panel for everything, and one for each suite. `first` has the first colour and the widest line."""
    ordered = sorted(chosen, key=lambda each: each.label != first)
    values = {share: [each.at(share) for each in ordered] for share in POINTS}
    panels: list[str] = []
    for suite in (None, *SUITES):
        lines = [[mean_of_means(values[share][i], suite) for share in POINTS] for i in range(len(ordered))]
        if all(value is not None for line in lines for value in line):
            panels.append(_panel(suite or "all problems", lines, len(panels)))
    rows = -(-len(panels) // 3)
    width, height = 3 * (WIDTH + LEFT + 14) + 10, rows * (HEIGHT + TOP + 30) + 24 * (-(-len(ordered) // 4)) + 10
    legend = [_legend(each.label, i, rows * (HEIGHT + TOP + 30) + 16) for i, each in enumerate(ordered)]
    font = 'font-family="sans-serif" font-size="11"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {font}>\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join([*panels, *legend]) + "\n</svg>\n"
    )


def _panel(title: str, lines: Sequence[Sequence[float | None]], at: int) -> str:
    x, y = at % 3 * (WIDTH + LEFT + 14) + LEFT, at // 3 * (HEIGHT + TOP + 30) + TOP
    parts = [f'<g transform="translate({x},{y})">', f'<text x="0" y="-8" font-weight="bold">{escape(title)}</text>']
    for tick in (0.0, 0.5, 1.0, 1.5, 2.0):
        height = _y(tick)
        parts.append(f'<path d="M0,{height:.1f}H{WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="-5" y="{height + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for share, name in ((0.25, "1/4"), (0.5, "1/2"), (1.0, "budget")):
        parts.append(f'<text x="{share * WIDTH:.0f}" y="{HEIGHT + 14}" text-anchor="middle">{name}</text>')
    for i in reversed(range(len(lines))):
        points = " ".join(
            f"{share * WIDTH:.1f},{_y(min(value or 0.0, HIGHEST)):.1f}"
            for share, value in zip(POINTS, lines[i], strict=True)
        )
        style = f'stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="{2.2 if i == 0 else 1.3}"'
        parts.append(f'<polyline points="{points}" fill="none" {style}/>')
    return "\n".join([*parts, "</g>"])


def _legend(label: str, i: int, top: float) -> str:
    x, y = 10 + i % 4 * 235, top + i // 4 * 20
    colour = COLOURS[i % len(COLOURS)]
    return (
        f'<path d="M{x},{y}h22" stroke="{colour}" stroke-width="2.5"/>'
        f'<text x="{x + 28}" y="{y + 4}">{escape(label)}</text>'
    )


def _y(value: float) -> float:
    return HEIGHT * (1 - value / HIGHEST)
