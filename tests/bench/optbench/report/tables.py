"""Tables of all optimizers, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from optbench.problems import APART, SUITES
from optbench.report.compare import difference, interval, win_rate
from optbench.scores import SHARES, Scores, mean_of_means, suite_of


def tables(chosen: Sequence[Scores], against: str | None) -> str:
    """All tables for these optimizers, the best first."""
    chosen = sorted(chosen, key=lambda each: mean_of_means(each.at(1.0)) or 0.0)
    parts = [_about(chosen), _overall(chosen), _suites(chosen)]
    if against in [each.label for each in chosen]:
        parts.append(_against(chosen, against))
    return "\n\n".join(parts)


def _about(chosen: Sequence[Scores]) -> str:
    cells, scale = set(chosen[0].runs), chosen[0].scale
    names = {name for name, _ in cells}
    suites = {suite_of(name) for name in names}
    left_out = [name for name in scale.left_out if suite_of(name) in suites]
    text = f"{len(names)} problems, {len(cells)} runs of each optimizer."
    if left_out:
        text += f" Left out, since random search finds the best value in half of its runs: {', '.join(left_out)}."
    return text


def _overall(chosen: Sequence[Scores]) -> str:
    ranks = _ranks(chosen)
    lines = [
        "| optimizer | at a quarter | at half | at the end | mean rank | seconds a question |",
        "|---|---|---|---|---|---|",
    ]
    for each, rank in zip(chosen, ranks, strict=True):
        reached = " | ".join(f"{mean_of_means(each.at(share)):.3f}" for share in SHARES)
        lines.append(f"| {each.label} | {reached} | {rank:.2f} | {each.late():.2g} |")
    return "\n".join(lines)


def _suites(chosen: Sequence[Scores]) -> str:
    there = [suite for suite in (*SUITES, *APART) if mean_of_means(chosen[0].at(1.0), suite) is not None]
    lines = [f"| at the end | {' | '.join(there)} | all |", "|---" * (len(there) + 2) + "|"]
    for each in chosen:
        final = each.at(1.0)
        means = [mean_of_means(final, suite) for suite in (*there, None)]
        lines.append(f"| {each.label} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    return "\n".join(lines)


def _against(chosen: Sequence[Scores], against: str | None) -> str:
    ours = next(each for each in chosen if each.label == against)
    lines = [
        f"| {against} against | difference | 95 % interval | wins | wins at half |",
        "|---|---|---|---|---|",
    ]
    cells = set(ours.runs)
    for each in chosen:
        if each is ours:
            continue
        a, b = ours.at(1.0), each.at(1.0)
        low, high = interval(a, b, cells)
        half = win_rate(ours.at(0.5), each.at(0.5), cells)
        mean = difference(a, b, cells).mean
        lines.append(
            f"| {each.label} | {mean:+.3f} | {low:+.3f} to {high:+.3f} | {win_rate(a, b, cells):.0%} | {half:.0%} |"
        )
    return "\n".join(lines)


def _ranks(chosen: Sequence[Scores]) -> list[float]:
    """The mean over runs of the rank among all, ties in the middle."""
    finals = [each.at(1.0) for each in chosen]
    ranks = np.array([rankdata([final[cell] for final in finals]) for cell in finals[0]])
    return [statistics.fmean(column) for column in ranks.T]
