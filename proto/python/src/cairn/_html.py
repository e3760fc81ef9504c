"""Cards: how experiments and trials look in a notebook, saved ones too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_CARD = "display:inline-block;border:1px solid #8886;border-radius:6px;padding:.6em 1em;font:13px/1.5 sans-serif"
_STATES = {"Succeeded": "#1a7f37", "Failed": "#cf222e", "Running": "#0969da"}


def card(title: str, rows: Iterable[tuple[str, Any]], state: str = "", below: str = "") -> str:
    """A card with a title, names and values, and whatever HTML stands below."""
    badge = ""
    if state:
        color = _STATES.get(state, "#6e7781")
        badge = (
            f' <span style="background:{color};color:#fff;border-radius:8px;padding:0 .6em">{escape(state)}</span>'
        )
    cells = "".join(
        f'<tr><td style="text-align:left;opacity:.7;padding:0 1em 0 0">{escape(str(name))}</td>'
        f'<td style="text-align:left;padding:0">{escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return f'<div style="{_CARD}"><b>{escape(title)}</b>{badge}<table style="margin:.3em 0">{cells}</table>{below}</div>'


def bar(done: int, total: int, text: str) -> str:
    """A progress bar with a line of text."""
    share = min(100.0, 100.0 * done / total) if total else 0.0
    return (
        f'<div style="font:13px/1.5 sans-serif"><div style="background:#8883;border-radius:4px;width:100%;max-width:40em">'
        f'<div style="background:#0969da;height:8px;border-radius:4px;width:{share:.1f}%"></div></div>'
        f"{escape(text)}</div>"
    )


def sparkline(values: Sequence[float], width: int = 180, height: int = 28) -> str:
    """Values as a thin line."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    points = " ".join(
        f"{i * width / (len(values) - 1):.1f},{height - 2 - (value - low) / ((high - low) or 1) * (height - 4):.1f}"
        for i, value in enumerate(values)
    )
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="best so far">'
        f'<polyline points="{points}" fill="none" stroke="#0969da" stroke-width="1.5"/></svg>'
    )
