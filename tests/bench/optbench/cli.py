"""The command line."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from optbench import problems, results, split, stratified
from optbench.peers import PEERS, Peer
from optbench.runner import Plan, run
from optbench.scores import comparable

SUITES = f"{', '.join(problems.SUITES)}; only if named: {', '.join(problems.APART)}"
ABOUT = """Runs optimizers on problems; what is there already is not run again.

  tests/bench/run --optimizers optuna-tpe,pycma --split all
  tests/bench/run --optimizers cairn-bayesianoptimization --tag mine --suite bbob,mixed --seeds 0-4
  tests/bench/run report --compare cairn-bayesianoptimization@mine optuna-tpe
  tests/bench/run --self-test
"""


def main() -> None:
    """Reads the arguments and does what they say."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["report"]:
        return report(report_parser().parse_args(arguments[1:]))
    options = run_parser().parse_args(arguments)
    if options.self_test:
        from optbench import selftest

        return selftest.run()
    if options.check_invariance:
        return check_invariance(options)
    if options.list:
        return list_problems()
    names = options.optimizers or ["random"]
    if unknown := [name for name in names if name not in PEERS]:
        raise SystemExit(f"there is no optimizer {', '.join(unknown)}; there are {', '.join(PEERS)}")
    for name in names:
        run(plan_of(PEERS[name], options), options.jobs)


def run_parser() -> argparse.ArgumentParser:
    """Arguments of a run."""
    parser = argparse.ArgumentParser(
        "tests/bench/run", description=ABOUT, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--optimizers", type=_words, metavar="A,B", help=f"any of {', '.join(PEERS)}")
    parser.add_argument("--suite", type=_words, default=[], metavar="A,B", help=SUITES)
    parser.add_argument("--problems", type=_words, default=[], metavar="GLOBS", help="such as 'bbob/sphere-*,hpo/*'")
    parser.add_argument("--seeds", type=_seeds, metavar="0-4", help="0-19; for slow optimizers 0-4")
    parser.add_argument("--split", choices=["development", "holdout", "all"], default="development")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--tag", metavar="NAME", help="keeps the results of a build of Cairn apart")
    parser.add_argument(
        "--setting", type=_setting, action="append", default=[], metavar="K=V", help="of Cairn's algorithm"
    )
    parser.add_argument("--publish", action="store_true", help="keeps Cairn's results beside those of its peers")
    parser.add_argument("--stratified", action="store_true", help="only what slow optimizers get too")
    parser.add_argument("--self-test", action="store_true", help="checks the benchmark itself")
    parser.add_argument("--check-invariance", action="store_true", help="whether what must not matter does")
    parser.add_argument("--list", action="store_true", help="lists the problems")
    return parser


def report_parser() -> argparse.ArgumentParser:
    """Arguments of a report."""
    parser = argparse.ArgumentParser("tests/bench/run report", description="What the results say.")
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="the paired difference by suite")
    parser.add_argument("--every", action="store_true", help="with --compare: each problem, too")
    parser.add_argument("--labels", type=_words, metavar="A,B", help="whom; default: everybody who has all problems")
    parser.add_argument("--against", metavar="A", help="compare this one with each other one")
    parser.add_argument("--split", choices=["development", "holdout", "all"], default="all")
    parser.add_argument("--suite", type=_words, default=[], metavar="A,B", help=SUITES)
    parser.add_argument("--stratified", action="store_true", help="the problems and evaluations that slow ones get")
    parser.add_argument("--write", action="store_true", help="keeps tables and curves of committed results")
    return parser


def plan_of(peer: Peer, options: argparse.Namespace) -> Plan:
    """What one optimizer is to do."""
    chosen = split.on_side(problems.chosen(options.suite, options.problems), options.split)
    seeds = options.seeds or range(5 if peer.slow else 20)
    if peer.slow or options.stratified:
        chosen = [problem for problem in chosen if problem.name in stratified.NAMES]
    settings = dict(options.setting)
    if not peer.ours:
        if options.tag or settings:
            raise SystemExit("--tag and --setting are for Cairn; its peers run as they come")
        file = results.COMMITTED / f"{peer.name}.jsonl"
        plan = Plan(peer, chosen, seeds, file)
        return replace(plan, budget=stratified.BUDGET) if peer.slow else plan
    label = f"{peer.name}@{options.tag}" if options.tag else peer.name
    prepare_cairn(label, options.split)
    folder = results.COMMITTED if options.publish else results.OWN
    return Plan(peer, chosen, seeds, folder / f"{label}.jsonl", settings=settings)


def prepare_cairn(label: str, side: str) -> None:
    """Starts the service, and counts runs on what is held out."""
    from optbench.peers import cairn_

    if side != "development":
        split.log_holdout(f"{label} {cairn_.version()}")
    cairn_.serve()


def check_invariance(options: argparse.Namespace) -> None:
    """Prints how much mirroring, moving and renaming matter to the optimizers that are named."""
    from optbench import invariance

    for name in options.optimizers or []:
        if PEERS[name].ours:
            from optbench.peers import cairn_

            cairn_.serve()
        print(invariance.check(name, dict(options.setting)))


def report(options: argparse.Namespace) -> None:
    """Prints a report."""
    from optbench.report import compare, readme, tables

    if options.compare:
        first, second = options.compare
        print(compare.compare(first, second, options.split, options.every, options.stratified, options.suite))
        return
    if options.write:
        there = [file.stem for file in sorted(results.COMMITTED.glob("*.jsonl"))]
        fast, slow = ([name for name in there if is_slow(name) == wanted] for wanted in (False, True))
        return readme.write(fast, slow, options.against)
    labels = options.labels or [name for name in results.labels() if options.stratified or not is_slow(name)]
    chosen = comparable(labels, options.split, options.stratified, suites=options.suite, whole=not options.labels)
    print(tables.tables(chosen, options.against))


def is_slow(label: str) -> bool:
    """Whether an optimizer has only the few problems of slow ones."""
    peer = PEERS.get(label.partition("@")[0])
    return peer is not None and peer.slow


def list_problems() -> None:
    """Prints the problems."""
    for problem in problems.everything():
        marks = " ".join(mark for mark in ("noisy" if problem.noise else "", f"by {problem.batch}") if mark)
        print(
            f"{problem.name:34} {split.side(problem):12} {len(problem.space):3} parameters {problem.budget:4}  {marks}"
        )


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=VALUE")
    return name, value
