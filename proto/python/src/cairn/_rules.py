"""Rules that say when a running trial should stop, looked at on every report."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: By the number that the wire has for a comparison.
_COMPARISONS: Mapping[int, Callable[[float, float], bool]] = {1: operator.eq, 2: operator.lt, 3: operator.gt}


@dataclass(frozen=True)
class Rule:
    """Met once a metric (the main objective: its best so far) compares so at or after some reports."""

    metric: str
    value: float
    compare: Callable[[float, float], bool]
    start_step: int

    @classmethod
    def read(cls, rule: Any) -> Rule:
        """A rule as the wire has it."""
        return cls(rule.metric, rule.value, _COMPARISONS[rule.comparison], rule.start_step)


class RuleWatch:
    """Looks at the reports of one trial. It should stop once all rules have been met."""

    def __init__(self, rules: Sequence[Rule], objective: str, direction: str) -> None:
        self._rules, self._objective = rules, objective
        self._better = max if direction == "maximize" else min
        self._best: float | None = None
        self._reports = 0
        self._met: set[int] = set()

    def look(self, values: Mapping[str, float]) -> bool:
        """Takes in a report; whether the trial should stop."""
        self._reports += 1
        seen = dict(values)
        main = seen[self._objective]
        self._best = main if self._best is None else self._better(self._best, main)
        seen[self._objective] = self._best
        for i, rule in enumerate(self._rules):
            if rule.metric in seen and self._reports >= rule.start_step and rule.compare(seen[rule.metric], rule.value):
                self._met.add(i)
        return bool(self._rules) and len(self._met) == len(self._rules)
