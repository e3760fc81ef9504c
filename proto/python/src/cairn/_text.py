"""Texts: YAML for people, numbers, times, and strings that a notebook shows as they are."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./$(){}=+-]*( [A-Za-z0-9_./=+-]+)*")
_WORDS = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null|none|nan|\.nan|\.inf")


class Text(str):
    """A text that shows itself without quotes at a prompt and in a notebook."""

    def __repr__(self) -> str:
        return str(self)


def to_yaml(value: Any, indent: int = 0) -> str:
    """A document of maps, lists and scalars as YAML."""
    pad = "  " * indent
    lines = []
    if isinstance(value, dict):
        for key, item in value.items():
            lines.append(f"{pad}{_scalar(key)}:{_inside(item, indent)}")
    else:
        for item in value:
            if isinstance(item, (dict, list)) and item:
                nested = to_yaml(item, indent + 1)
                lines.append(f"{pad}- {nested[len(pad) + 2 :].rstrip()}")
            else:
                lines.append(f"{pad}-{_inside(item, indent)}")
    return "\n".join(lines) + "\n"


def _inside(value: Any, indent: int) -> str:
    if isinstance(value, dict):
        return "\n" + to_yaml(value, indent + 1).rstrip("\n") if value else " {}"
    if isinstance(value, list):
        return "\n" + to_yaml(value, indent + 1).rstrip("\n") if value else " []"
    return f" {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and not _WORDS.fullmatch(value)
        return value if plain and not value.endswith("$") else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def number(value: float | None) -> str:
    """A number, short."""
    return "-" if value is None else f"{value:.6g}"


def parse_number(written: str) -> float:
    """The number that a measured text is; NaN if it is none."""
    try:
        return float(written)
    except ValueError:
        return math.nan


def parse_time(written: str | None) -> datetime | None:
    """A time of the API."""
    return None if written is None else datetime.fromisoformat(written.replace("Z", "+00:00"))


def span(seconds: float) -> str:
    """A duration as `02:11` or `1:02:11`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
