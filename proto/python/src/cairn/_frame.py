"""Trials and observations as pandas DataFrames with right types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._errors import MissingDependencyError
from ._text import parse_number
from ._pod import typed

if TYPE_CHECKING:
    import pandas


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingDependencyError("a DataFrame needs pandas: `pip install 'cairn[notebook]'`") from error
    return pandas


def trials(items: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> pandas.DataFrame:
    """One row a trial: its number, name, state and value; a column for each parameter and metric; its times."""
    pd = _pandas()
    columns: dict[str, Any] = {
        "idx": pd.array([item["idx"] for item in items], dtype="Int64"),
        "name": pd.array([item["name"] for item in items], dtype="string"),
        "state": pd.Categorical([item["state"] for item in items]),
        "value": pd.Series([item["value"] for item in items], dtype="float64"),
    }
    for parameter in spec.get("parameters", []):
        texts = [item["parameters"].get(parameter["name"]) for item in items]
        columns[f"params.{parameter['name']}"] = _parameter(pd, parameter, texts)
    for metric, reduced in _metrics(spec).items():
        texts = [next((m[reduced] for m in item["metrics"] if m["name"] == metric), "") for item in items]
        columns[f"metrics.{metric}"] = pd.Series([parse_number(text) for text in texts], dtype="float64")
    for name in ("created", "started", "ended"):
        columns[name] = pd.to_datetime(pd.Series([item[name] for item in items], dtype="object"), utc=True)
    columns["seconds"] = pd.Series([item["seconds"] for item in items], dtype="float64")
    columns["attempt"] = pd.array([item["attempt"] for item in items], dtype="Int64")
    columns["origin"] = pd.Categorical([item["origin"] for item in items])
    columns["message"] = pd.array([item["message"] for item in items], dtype="string")
    frame: pandas.DataFrame = pd.DataFrame(columns)
    objective = spec.get("objective", {})
    frame.attrs.update(objective=objective.get("objectiveMetricName"), direction=objective.get("type"))
    return frame


def observations(items: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """One row a measured value: metric, attempt, step, time, the number and the text as written."""
    pd = _pandas()
    frame: pandas.DataFrame = pd.DataFrame(
        {
            "metric": pd.Categorical([item["metric"] for item in items]),
            "attempt": pd.array([item["attempt"] for item in items], dtype="Int64"),
            "step": pd.array([item["step"] for item in items], dtype="Int64"),
            "time": pd.to_datetime(pd.Series([item["time"] for item in items], dtype="object"), utc=True),
            "value": pd.Series([parse_number(item["text"]) for item in items], dtype="float64"),
            "text": pd.array([item["text"] for item in items], dtype="string"),
        }
    )
    return frame


def _parameter(pd: Any, parameter: Mapping[str, Any], texts: list[str | None]) -> Any:
    kind, listed = parameter["parameterType"], parameter["feasibleSpace"].get("list", [])
    values = [None if text is None else typed(kind, text) for text in texts]
    if kind == "int" or kind == "discrete" and all(isinstance(typed(kind, text), int) for text in listed):
        return pd.array(values, dtype="Int64")
    if kind in ("double", "discrete"):
        return pd.Series(values, dtype="float64")
    return pd.Categorical(values, categories=list(dict.fromkeys(listed)), ordered=bool(parameter.get("ordered")))


def _metrics(spec: Mapping[str, Any]) -> dict[str, str]:
    """Which of a metric's values counts, by metric: `min`, `max` or `latest`."""
    objective = spec.get("objective", {})
    names = [objective.get("objectiveMetricName", ""), *objective.get("additionalMetricNames", [])]
    chosen = {strategy["name"]: strategy["value"] for strategy in objective.get("metricStrategies", [])}
    return {name: chosen.get(name, "latest") for name in names if name}
