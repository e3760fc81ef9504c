"""Plots of an experiment. They are drawings, so a saved notebook shows them without a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _svg
from ._svg import BOTTOM, COLORS, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale
from ._text import number, parse_number
from ._pod import typed

if TYPE_CHECKING:
    from ._experiment import Experiment

_BOTTOM, _RIGHT = HEIGHT - BOTTOM, WIDTH - RIGHT


class Plot:
    """A drawing; a notebook shows it and keeps it."""

    def __init__(self, title: str, svg: str) -> None:
        self.title = title
        #: The drawing itself.
        self.svg = svg

    def save(self, path: str | Path) -> Path:
        """Writes it to a file, as a page if the name ends in `.html`, else as SVG."""
        path = Path(path)
        page = f"<!doctype html><meta charset=utf-8><title>{self.title}</title>\n{self.svg}\n"
        path.write_text(page if path.suffix in (".html", ".htm") else self.svg + "\n", encoding="utf-8")
        return path

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Plot({self.title!r}); show it in a notebook, or save('plot.svg')"


class Plots:
    """The plots of one experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def history(self, *, log: bool | None = None) -> Plot:
        """The value of each trial, and the best so far. `log`: the axis of values; chosen if left out."""
        exp = self._experiment
        items = exp._trials()
        return history(exp.name, items, exp.objective, exp.direction, log)

    def curves(self, top: int = 10, *, metric: str | None = None, log: bool | None = None) -> Plot:
        """What the best trials have reported step by step."""
        exp = self._experiment
        metric = metric or exp.objective
        sort = "-value" if exp.direction == "maximize" else "value"
        items = [item for item in exp._trials(sort=sort, limit=top)]
        rows = {item["name"]: exp._observations(item["name"], metric) for item in items}
        return curves(exp.name, rows, metric, log)

    def parallel(self) -> Plot:
        """Each trial as a line over all parameters, coloured by its value."""
        exp = self._experiment
        return parallel(exp.name, exp._trials(), exp.spec, exp.direction)


def history(name: str, items: Sequence[Mapping[str, Any]], metric: str, direction: str, log: bool | None) -> Plot:
    """Values by number of the trial, with the best so far."""
    title = f"{name}: history"
    measured = [(item["idx"], item["value"], item["name"]) for item in items if item["value"] is not None]
    if not measured:
        return _empty(title, "no trial has a value yet")
    values = [value for _, value, _ in measured]
    x = Scale(0, max(item["idx"] for item in items), LEFT + 8, _RIGHT - 8, whole=True)
    y = _vertical(values, log)
    better = max if direction == "maximize" else min
    parts = _svg.axes(x, y, "trial", metric)
    steps: list[tuple[float, float]] = []
    best = values[0]
    for idx, value, trial in measured:
        steps.append((x(idx), y(best)))
        best = better(best, value)
        steps.append((x(idx), y(best)))
        parts.append(_svg.dot(x(idx), y(value), COLORS[0], f"{trial}: {number(value)}"))
    steps.append((x(max(item["idx"] for item in items)), y(best)))
    failed = [item for item in items if item["state"] in ("Failed", "MetricsUnavailable")]
    parts += [_svg.cross(x(item["idx"]), _BOTTOM - 6, COLORS[1], f"{item['name']}: {item['message']}") for item in failed]
    parts.append(_svg.line(steps, COLORS[2], 2))
    parts += _svg.legend([("best so far", COLORS[2])])
    return Plot(title, _svg.document(title, parts, f"{len(measured)} trials, best {metric} {number(best)}"))


def curves(name: str, rows: Mapping[str, Sequence[Mapping[str, Any]]], metric: str, log: bool | None) -> Plot:
    """A metric by step, a line a trial; of several attempts the newest."""
    title = f"{name}: {metric} by step"
    lines = {trial: points for trial, points in ((t, _curve(r)) for t, r in rows.items()) if points}
    if not lines:
        return _empty(title, f"no trial has reported {metric} yet")
    places = [point for points in lines.values() for point in points]
    steps = [step for step, _ in places]
    x, y = Scale(min(steps), max(steps), LEFT + 8, _RIGHT - 8, whole=True), _vertical([value for _, value in places], log)
    parts = _svg.axes(x, y, "step", metric)
    for i, (trial, points) in enumerate(lines.items()):
        color, at = COLORS[i % len(COLORS)], [(x(step), y(value)) for step, value in points]
        parts.append(_svg.line(at, color, title=trial))
        parts += [_svg.dot(*point, color, trial, 2.0) for point in at if len(at) < 60]
    parts += _svg.legend([(trial, COLORS[i % len(COLORS)]) for i, trial in enumerate(lines)][:10])
    return Plot(title, _svg.document(title, parts, f"learning curves of {len(lines)} trials"))


def parallel(name: str, items: Sequence[Mapping[str, Any]], spec: Mapping[str, Any], direction: str) -> Plot:
    """Parallel coordinates: parameters in the order of the spec, then the objective."""
    title = f"{name}: parallel coordinates"
    measured = [item for item in items if item["value"] is not None]
    if not measured:
        return _empty(title, "no trial has a value yet")
    parameters = spec.get("parameters", [])
    values = [item["value"] for item in measured]
    axes = [_Axis.of(parameter, measured) for parameter in parameters]
    axes.append(_Axis(spec["objective"]["objectiveMetricName"], values, _vertical(values, None), []))
    gap = (_RIGHT - LEFT - 40) / max(1, len(axes) - 1)
    places = [LEFT + i * gap for i in range(len(axes))]
    low, high = min(values), max(values)
    parts = []
    worst_first = sorted(range(len(measured)), key=lambda i: values[i], reverse=direction == "minimize")
    for i in worst_first:
        share = (values[i] - low) / ((high - low) or 1)
        color = _svg.blend(share if direction == "maximize" else 1 - share)
        at = [(place, axis.at(i)) for place, axis in zip(places, axes)]
        note = f"{measured[i]['name']}: {number(values[i])}"
        parts += _across([(x, y) for x, y in at if y is not None], gap, color, note)
    for place, axis in zip(places, axes):
        parts.append(_svg.line([(place, TOP), (place, _BOTTOM)], "#666", 1))
        parts.append(_svg.text(place, HEIGHT - 20, axis.name))
        parts += [_svg.text(place + 4, y + 4, words, "start", 10) for y, words in axis.marks()]
    return Plot(title, _svg.document(title, parts, f"{len(measured)} trials over {len(parameters)} parameters"))


def _across(points: Sequence[tuple[float, float]], gap: float, color: str, note: str) -> list[str]:
    """A trial over the axes; dashed where it passes one that it has no value on."""
    pairs = zip(points, points[1:])
    return [_svg.line(p, color, opacity=0.7, title=note, dashed=p[1][0] - p[0][0] > 1.5 * gap) for p in pairs]


class _Axis:
    """One axis of parallel coordinates: numbers, or listed texts by their place in the list."""

    def __init__(self, name: str, values: Sequence[float | None], scale: Scale, texts: Sequence[str]) -> None:
        self.name = name
        self._values, self._scale, self._texts = values, scale, texts

    @classmethod
    def of(cls, parameter: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> _Axis:
        name, kind, space = parameter["name"], parameter["parameterType"], parameter["feasibleSpace"]
        written = [item["parameters"].get(name) for item in items]
        if kind in ("double", "int"):
            low, high = float(space["min"]), float(space["max"])
            log = space.get("distribution") in ("logUniform", "logNormal")
            return cls(name, [_float(text) for text in written], Scale(low, high, _BOTTOM, TOP, log, kind == "int"), [])
        texts = [str(text) for text in space["list"]]
        if kind == "discrete":
            texts.sort(key=lambda text: float(typed(kind, text)))
        at = [None if text is None else float(texts.index(text)) for text in written]
        return cls(name, at, Scale(0, max(1, len(texts) - 1), _BOTTOM - 8, TOP + 8), texts)

    def at(self, i: int) -> float | None:
        value = self._values[i]
        return None if value is None else self._scale(value)

    def marks(self) -> list[tuple[float, str]]:
        if self._texts:
            return [(self._scale(i), text) for i, text in enumerate(self._texts)]
        return [(self._scale(tick), f"{tick:.4g}") for tick in self._scale.ticks()]


def _vertical(values: Sequence[float], log: bool | None) -> Scale:
    low, high = min(values), max(values)
    wanted = _svg.is_log(values) if log is None else log and low > 0
    room = 0.0 if wanted else 0.04 * (high - low)
    return Scale(low - room, high + room, _BOTTOM - 4, TOP + 4, wanted)


def _curve(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    newest = max((row["attempt"] for row in rows), default=0)
    points = [(row["step"], parse_number(row["text"])) for row in rows if row["attempt"] == newest]
    return sorted((step, value) for step, value in points if value - value == 0)


def _float(text: str | None) -> float | None:
    return None if text is None else float(text)


def _empty(title: str, words: str) -> Plot:
    return Plot(title, _svg.document(title, [_svg.text(WIDTH / 2, HEIGHT / 2, words, size=13)]))
