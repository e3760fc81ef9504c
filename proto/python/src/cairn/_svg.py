"""Drawing: axes, lines and marks as SVG, with nothing but texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

WIDTH, HEIGHT = 640, 360
#: Room for axes and titles: left, top, right, bottom.
LEFT, TOP, RIGHT, BOTTOM = 64, 34, 16, 44
#: Colours that people with colour blindness tell apart (Okabe and Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")

Point = tuple[float, float]


class Scale:
    """From values to places, linear or logarithmic. `whole`: only whole numbers are marked."""

    def __init__(
        self, low: float, high: float, start: float, end: float, log: bool = False, whole: bool = False
    ) -> None:
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        self.low, self.high, self.log, self._whole = low, high, log, whole
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self._start + (value - low) / (high - low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        """A few round values within."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            if len(powers) >= 2:
                return [10.0**power for power in powers[:: max(1, len(powers) // 6)]]
        size = 10 ** math.floor(math.log10(self.high - self.low))
        step = next(size * part for part in (0.1, 0.2, 0.5, 1, 2) if (self.high - self.low) / (size * part) <= 6)
        step = max(step, 1) if self._whole else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def is_log(values: Iterable[float]) -> bool:
    """Whether values are better seen on a logarithmic axis: all above 0, over three powers of ten."""
    values = list(values)
    return bool(values) and min(values) > 0 and max(values) / min(values) >= 1e3


def text(x: float, y: float, words: str, anchor: str = "middle", size: int = 11, color: str = "#333", rotate: int = 0) -> str:
    """Words at a place."""
    turn = f' transform="rotate({rotate} {x:.1f} {y:.1f})"' if rotate else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}"{turn}>{escape(words)}</text>'
    )


def line(
    points: Sequence[Point], color: str, width: float = 1.5, opacity: float = 1.0, title: str = "", dashed: bool = False
) -> str:
    """A line through places."""
    at = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = f'fill="none" stroke="{color}" stroke-width="{width}" stroke-opacity="{opacity:.2f}"'
    style += ' stroke-dasharray="2 4"' if dashed else ""
    return f'<polyline points="{at}" {style}>{_title(title)}</polyline>'


def dot(x: float, y: float, color: str, title: str = "", radius: float = 3.0) -> str:
    """A round mark."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}" fill-opacity="0.75">{_title(title)}</circle>'


def cross(x: float, y: float, color: str, title: str = "") -> str:
    """A mark for what has failed."""
    d = f"M{x - 3:.1f},{y - 3:.1f}l6,6m0,-6l-6,6"
    return f'<path d="{d}" stroke="{color}" stroke-width="1.5" fill="none">{_title(title)}</path>'


def axes(x: Scale, y: Scale, x_title: str, y_title: str) -> list[str]:
    """The two axes with their ticks and titles."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in y.ticks():
        parts.append(line([(LEFT, y(tick)), (right, y(tick))], "#ddd", 1))
        parts.append(text(LEFT - 6, y(tick) + 4, f"{tick:.6g}", "end"))
    for tick in x.ticks():
        parts.append(text(x(tick), bottom + 16, f"{tick:.6g}"))
    parts.append(line([(LEFT, TOP), (LEFT, bottom), (right, bottom)], "#666", 1))
    parts.append(text((LEFT + right) / 2, HEIGHT - 8, x_title))
    parts.append(text(14, (TOP + bottom) / 2, y_title, rotate=-90))
    return parts


def legend(names: Sequence[tuple[str, str]]) -> list[str]:
    """Names and their colours, at the upper right."""
    parts = []
    for i, (name, color) in enumerate(names):
        y = TOP + 10 + 14 * i
        parts.append(line([(WIDTH - RIGHT - 14, y), (WIDTH - RIGHT, y)], color, 3))
        parts.append(text(WIDTH - RIGHT - 18, y + 4, name, "end", 10))
    return parts


def document(title: str, parts: Iterable[str], description: str = "") -> str:
    """A whole drawing."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(description or title)}" font-family="sans-serif">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{text(WIDTH / 2, 20, title, size=14, color="#000")}'
        f"{''.join(parts)}</svg>"
    )


def blend(share: float) -> str:
    """A colour from yellow (0) over green to dark blue (1)."""
    stops = ((253, 231, 37), (53, 183, 121), (49, 104, 142), (68, 1, 84))
    at = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    i = min(int(at), len(stops) - 2)
    red, green, blue = (round(a + (b - a) * (at - i)) for a, b in zip(stops[i], stops[i + 1]))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""
