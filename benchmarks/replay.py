"""Replay a repository's history as a fleet: land its pull requests again, its own test suite as the gate, and compare.

    python benchmarks/replay.py windows REPO --count 15 --since 2019-01-01 [--test CMD [--setup CMD]]
    python benchmarks/replay.py walk    REPO --first MERGE --count 15 --test CMD [--setup CMD] [--naive] [--all-steps]
    python benchmarks/replay.py sweep   REPO --count 20 [--strategy squash]

``windows`` lists what could be replayed: consecutive true merge commits of pull requests on the first-parent line of
HEAD; with ``--test`` also whether the suite is green before the first and after the last with what is installed today.
``walk`` makes a fresh clone in the scratch folder whose ``main`` is the first parent of the first merge; every second
parent becomes an agent's branch with upstream's own commits, spawned and approved by orchestra. It runs ``orchestra
rehearse`` and ``orchestra merge``, the same branches by ``git merge --no-ff`` and (``--naive``) by the loop of rebase,
test and fast-forward, and compares the final trees with one another and with upstream's. Every path that differs is
explained as far as a program can. ``--all-steps``: direct commits and other merges between are agents as well.
``sweep`` builds the candidates of every window of the history without tests, and holds each against git's own rebase
and merge.

The test command sees what a gate sees (an allow-list of the environment), so it names its interpreter and PYTHONPATH
itself. Exit code 0; 1 where something differs and nothing explains it, or a sweep finds a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from replay_compare import Comparison, Difference, fates
from replay_history import Line, Window, git, window, windows
from replay_sweep import sweep, tally
from replay_walk import Terms, Way, by_git_merge, by_loop, by_orchestra, chosen, is_green, make_fleet

from orchestra.cli.console import print_note, print_result


def main() -> int:
    options = _parse()
    os.nice(options.nice)
    line = Line(options.repository, options.tip)
    return {"windows": _windows, "walk": _walk, "sweep": _sweep}[options.command](options, line)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("windows", "walk", "sweep"))
    parser.add_argument("repository", type=Path, help="a clone, or a git directory; it is only read")
    parser.add_argument("--tip", default="HEAD", help="whose first-parent line is the main line")
    parser.add_argument(
        "--scratch", type=Path, required=True, help="a folder outside any repository, emptied as needed"
    )
    parser.add_argument("--count", type=int, default=15, help="pull requests in a window")
    parser.add_argument("--since", default="", help="windows, sweep: only merges since that day (2019-01-31)")
    parser.add_argument("--first", help="walk: the merge commit of the window's first pull request")
    parser.add_argument("--test", help="the project's own test command")
    parser.add_argument("--setup", action="append", default=[], help="makes a checkout build; may be given again")
    parser.add_argument("--strategy", default="rebase", choices=("rebase", "squash", "merge"))
    parser.add_argument("--train", default="auto", choices=("auto", "serial", "speculative", "batch"))
    parser.add_argument("--guarantee", default="tip-green", choices=("tip-green", "step-green"))
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--retries", type=int, default=0)
    parser.add_argument("--rule", action="append", default=[], help="a conflict rule: CHANGES.rst=union")
    parser.add_argument("--all-steps", action="store_true")
    parser.add_argument("--naive", action="store_true", help="walk: also the loop, measured in the same run")
    parser.add_argument("--nice", type=int, default=10)
    options = parser.parse_args()
    if options.command == "walk" and not (options.first and options.test):
        parser.error("walk needs --first and --test")
    options.scratch = options.scratch.resolve()
    options.repository = options.repository.resolve()
    return options


def _terms(options: argparse.Namespace) -> Terms:
    return Terms(
        test=options.test,
        setup=tuple(options.setup),
        strategy=options.strategy,
        train=options.train,
        guarantee=options.guarantee,
        slots=options.slots,
        retries=options.retries,
        rules=tuple(options.rule),
        all_steps=options.all_steps,
    )


# -- windows and sweep ---------------------------------------------------------------------------------------------


def _windows(options: argparse.Namespace, line: Line) -> int:
    for found in windows(line, options.count, options.since):
        print_result(str(found))
        if options.test:
            for name, commit in (("before", found.start), ("after", found.end)):
                green, seconds = is_green(options.repository, options.scratch / "green", commit, _terms(options))
                print_result(f"    {name} {commit[:10]}: {'green' if green else 'red'}, {seconds:.1f} s")
    return 0


def _sweep(options: argparse.Namespace, line: Line) -> int:
    found = sweep(line, options.scratch, options.count, options.since, options.strategy)
    counted, lines = tally(found)
    for told in lines:
        print_result(told)
    for kind, number in counted.most_common():
        print_result(f"{number:6}  {kind}")
    return int(any(told.startswith("FAULT") for told in lines))


# -- the walk ------------------------------------------------------------------------------------------------------


def _walk(options: argparse.Namespace, line: Line) -> int:
    terms = _terms(options)
    found = window(line, options.first, options.count)
    pieces = chosen(found, terms)
    print_result(f"{options.repository}: {found}")
    green, once = is_green(options.repository, options.scratch / "green", found.start, terms)
    print_result(f"the suite at the start {found.start[:10]}: {'green' if green else 'red'}, {once:.1f} s a run, alone")
    home = make_fleet(options.repository, options.scratch / "fleet", found, terms)
    rehearsed = by_orchestra(home, "rehearse")
    print_note(f"rehearsed in {rehearsed.seconds:.0f} s")
    merged = by_orchestra(home, "merge")
    ways = [merged, by_git_merge(options.repository, options.scratch / "merge", found, pieces)]
    if options.naive:
        ways.append(by_loop(options.repository, options.scratch / "loop", found, pieces, terms))
    comparison = Comparison(home, found, pieces)
    unexplained = _show(found, comparison, rehearsed, ways, once)
    _keep(options.scratch / "walk.json", found, [rehearsed, *ways], once)
    return int(unexplained)


def _show(found: Window, comparison: Comparison, rehearsed: Way, ways: Sequence[Way], once: float) -> bool:
    """Print it all; whether something differs that nothing explains."""
    ours = ways[0]
    for piece, fate in fates(comparison.pieces, ways):
        print_result(f"{piece.name:18} {piece.tip[:10]} {piece.subject[:60]}")
        told = set(fate.values())
        for way, what in fate.items():
            if told != {"landed"}:
                print_result(f"{'':18}   {way}: {what}")
    if set(rehearsed.landed) != set(ours.landed):
        print_result(
            f"DIFFERS: in the rehearsal landed {', '.join(rehearsed.landed)}; in the merge {', '.join(ours.landed)}"
        )
    elif rehearsed.landed != ours.landed:
        print_result(f"the same agents landed as in the rehearsal, in another order: {', '.join(rehearsed.landed)}")
    unexplained = False
    for other in (*ways[1:], None):
        differences = comparison.between(ours, other)
        name = other.name if other else "upstream's own tree"
        print_result(f"against {name}: {f'{len(differences)} paths differ' if differences else 'the same tree'}")
        unexplained |= _show_differences(comparison, differences)
    _show_figures(rehearsed, ways, once)
    return unexplained


def _show_differences(comparison: Comparison, differences: Sequence[Difference]) -> bool:
    for difference in differences:
        print_result(f"  {difference.path} ({difference.lines})")
        for reason in difference.reasons:
            print_result(f"      {reason}")
        if not difference.reasons:
            print_result(f"      UNEXPLAINED; changed by {', '.join(comparison.touching(difference.path)) or 'nobody'}")
    return any(not difference.reasons for difference in differences)


def _show_figures(rehearsed: Way, ways: Sequence[Way], once: float) -> None:
    loops = [way for way in ways if way.gate_seconds]
    unit = statistics.median(loops[0].gate_seconds) if loops else once
    where = "median of the loop's runs" if loops else "one run at the start"
    print_result(f"T = {unit:.1f} s ({where}); machine: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for way in (rehearsed, *ways):
        runs = f", {way.runs} test runs" if way.runs or way.name.startswith("orch") else ""
        print_result(f"{way.name}: {way.seconds:.1f} s = {way.seconds / unit:.1f} T{runs}, {len(way.landed)} landed")


def _keep(path: Path, found: Window, ways: Sequence[Way], once: float) -> None:
    facts = {"window": asdict(found), "once_s": once, "ways": [asdict(way) for way in ways]}
    trees = {way.name: git(way.repository, "rev-parse", f"{way.commit}^{{tree}}") for way in ways if way.commit}
    path.write_text(json.dumps({**facts, "trees": trees}, indent=1, default=str), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
