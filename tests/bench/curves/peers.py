"""Optuna's pruners over the tables, one trial at a time: the same budgets, seeds and figures as Cairn's benchmark."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import optuna

from curves.tables import Table, read

SEEDS = 20
WHOLE_TRIALS = 60
SHARES = (27, 9, 3, 1)

Make = Callable[[int], optuna.pruners.BasePruner]


def _hyperband(steps: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.HyperbandPruner(min_resource=steps // 27, max_resource=steps, reduction_factor=3)


def _halving(steps: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=steps // 27, reduction_factor=3)


PRUNERS: dict[str, Make] = {
    "random": lambda _: optuna.pruners.NopPruner(),
    "median": lambda _: optuna.pruners.MedianPruner(),
    "successive-halving": _halving,
    "hyperband": _hyperband,
}


def run(seeds: int = SEEDS) -> None:
    """Prints a table a task."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"Optuna {optuna.__version__}, random order, 1 at once, {seeds} seeds; columns as Cairn's")
    for table in read():
        heads = "".join(f"{f'1/{part}':>8}" for part in SHARES)
        print(f"\n{table.name:<34}{heads}{'reached':>10}{'trials':>8}")
        goal = None
        for name, make in PRUNERS.items():
            searches = [_search(table, make, seed) for seed in range(seeds)]
            curve = np.mean([curve for curve, _ in searches], axis=0)
            goal = curve[-1] if goal is None else goal
            print(_line(name, curve, goal, float(np.mean([trials for _, trials in searches]))), flush=True)


def _search(table: Table, make: Make, seed: int) -> tuple[np.ndarray, int]:
    """Regret after each epoch of the budget, and how many trials were begun."""
    steps = table.curves.shape[1]
    budget = WHOLE_TRIALS * steps
    # In a random order, nothing twice: as Cairn's random search.
    order = np.random.default_rng(seed).permutation(len(table.curves))
    seen: list[float] = []

    def objective(trial: optuna.Trial) -> float:
        curve = table.curves[order[trial.number]]
        for step, value in enumerate(curve, 1):
            seen.append(value)
            trial.report(value, step)
            if len(seen) >= budget:
                trial.study.stop()
                break
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(value)

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed), pruner=make(steps))
    study.optimize(objective, n_trials=len(order))
    seen += [max(seen)] * (budget - len(seen))  # all is tried, the rest is spent in vain
    best, median = table.curves.min(), np.sort(table.curves[:, -1])[len(table.curves) // 2]
    return (np.minimum.accumulate(seen[:budget]) - best) / (median - best), len(study.trials)


def _line(name: str, curve: np.ndarray, goal: float, trials: float) -> str:
    epochs = len(curve)
    regrets = "".join(f"{curve[epochs // part - 1]:>8.3f}" for part in SHARES)
    at = np.flatnonzero(curve <= goal + 1e-12)
    reached = f"{(at[0] + 1) / epochs:.3f}" if len(at) else "never"
    return f"{name:<34}{regrets}{reached:>10}{trials:>8.0f}"
