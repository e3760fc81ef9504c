"""Peers over the tables, one trial at a time: the same budgets, seeds and figures as Cairn's benchmark.

Optuna's pruners and Syne Tune's asynchronous successive halving, all over the same random orders of what there is to try.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import optuna
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import randint
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

from curves.tables import Table, read

SEEDS = 20
WHOLE_TRIALS = 60
SHARES = (27, 9, 3, 1)

#: Whether a trial ends, by its number, its step and its value.
Judge = Callable[[int, int, float], bool]
#: A judge of trials of so many steps, for a seed.
Make = Callable[[int, int], Judge]


def _optuna(pruner: Callable[[int], optuna.pruners.BasePruner]) -> Make:
    def make(steps: int, seed: int) -> Judge:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed), pruner=pruner(steps))
        trials: dict[int, optuna.Trial] = {}

        def ends(number: int, step: int, value: float) -> bool:
            if number not in trials:
                trials[number] = study.ask()
            trial = trials[number]
            trial.report(value, step)
            pruned = step < steps and trial.should_prune()
            if pruned or step == steps:
                state = optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.COMPLETE
                study.tell(trial, None if pruned else value, state)
            return pruned

        return ends

    return make


def _syne_tune(steps: int, seed: int) -> Judge:
    space = {"number": randint(0, 1 << 30)}
    settings = {"metric": "value", "time_attr": "step", "max_t": steps, "grace_period": steps // 27}
    scheduler = AsynchronousSuccessiveHalving(space, reduction_factor=3, random_seed=seed, **settings)
    trials: dict[int, Trial] = {}

    def ends(number: int, step: int, value: float) -> bool:
        if number not in trials:
            trials[number] = Trial(number, {"number": number}, datetime.datetime.now(datetime.timezone.utc))
            scheduler.on_trial_add(trials[number])
        result = {"value": value, "step": step}
        if step == steps:
            scheduler.on_trial_complete(trials[number], result)
            return False
        return bool(scheduler.on_trial_result(trials[number], result) == SchedulerDecision.STOP)

    return ends


PEERS: dict[str, Make] = {
    "random": lambda _steps, _seed: lambda _number, _step, _value: False,
    "optuna-median": _optuna(lambda _: optuna.pruners.MedianPruner()),
    "optuna-successive-halving": _optuna(
        lambda steps: optuna.pruners.SuccessiveHalvingPruner(min_resource=steps // 27, reduction_factor=3)
    ),
    "optuna-hyperband": _optuna(
        lambda steps: optuna.pruners.HyperbandPruner(
            min_resource=steps // 27, max_resource=steps, reduction_factor=3
        )
    ),
    "syne-tune-asha": _syne_tune,
}


def run(seeds: int = SEEDS) -> None:
    """Prints a table a task."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(
        f"Optuna {optuna.__version__}, Syne Tune {version('syne-tune')}; random order, 1 at once, {seeds} seeds; "
        "columns as Cairn's"
    )
    for table in read():
        heads = "".join(f"{f'1/{part}':>8}" for part in SHARES)
        print(f"\n{table.name:<34}{heads}{'reached':>10}{'trials':>8}{'first third':>17}")
        goal = None
        for name, make in PEERS.items():
            searches = [_search(table, make, seed) for seed in range(seeds)]
            curves = np.array([curve for curve, _ in searches])
            goal = curves.mean(axis=0)[-1] if goal is None else goal
            print(_line(name, curves, goal, float(np.mean([trials for _, trials in searches]))), flush=True)


def _search(table: Table, make: Make, seed: int) -> tuple[np.ndarray, int]:
    """Regret after each epoch of the budget, and how many trials were begun."""
    steps = table.curves.shape[1]
    budget = WHOLE_TRIALS * steps
    # In a random order, nothing twice: as Cairn's random search.
    order = np.random.default_rng(seed).permutation(len(table.curves))
    ends = make(steps, seed)
    seen: list[float] = []
    trials = 0
    for number, row in enumerate(order):
        if len(seen) >= budget:
            break
        trials += 1
        for step, value in enumerate(table.curves[row], 1):
            seen.append(value)
            if len(seen) >= budget or ends(number, step, float(value)):
                break
    seen += [max(seen)] * (budget - len(seen))  # all is tried, the rest is spent in vain
    best, median = table.curves.min(), np.sort(table.curves[:, -1])[len(table.curves) // 2]
    return (np.minimum.accumulate(seen[:budget]) - best) / (median - best), trials


def _line(name: str, curves: np.ndarray, goal: float, trials: float) -> str:
    seeds, epochs = curves.shape
    curve = curves.mean(axis=0)
    regrets = "".join(f"{curve[epochs // part - 1]:>8.3f}" for part in SHARES)
    at = np.flatnonzero(curve <= goal + 1e-12)
    reached = f"{(at[0] + 1) / epochs:.3f}" if len(at) else "never"
    early = curves[:, : epochs // 3].mean(axis=1)
    error = early.std(ddof=1) / np.sqrt(seeds)
    return f"{name:<34}{regrets}{reached:>10}{trials:>8.0f}{early.mean():>9.4f} ±{error:.4f}"
