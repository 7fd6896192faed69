"""``orchestra merge``: land what is approved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestra.blueprint.model import AgentName
from orchestra.cli.call import Call
from orchestra.cli.console import Tone, is_terminal, print_note, progress
from orchestra.cli.program import task
from orchestra.cli.train_output import print_event, print_train_report, read_unfinished, train_listener
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode, LockHeld
from orchestra.fleet import Fleet

if TYPE_CHECKING:
    from orchestra.train.train_report import MergeReport


@task(
    "[AGENT...]",
    help={
        "yes": "Approve what is finished and whose gates pass, instead of asking.",
        "follow": "Go on landing what is approved, as it is approved, until Ctrl-C.",
        "push": "Push the target to its remote, with a lease. Default: as the blueprint says.",
        "fresh-gates": "Run every gate again; believe no result from before.",
    },
    examples=("merge", "merge --yes api auth", "merge --follow"),
    exits={0: "all that was approved has landed", 1: "some of it has not: a conflict, a gate, an eviction"},
)
def merge(
    call: Call,
    agents: tuple[str, ...],
    yes: bool = False,
    follow: bool = False,
    push: bool = False,
    events: bool = False,
    fresh_gates: bool = False,
) -> ExitCode:
    """Land what is approved, in order.

    Each candidate is rebased, tested, and lands exactly as it was tested.
    In a terminal it first shows each agent without a verdict and asks for one; elsewhere it skips and names them.
    An agent that conflicts or fails a gate is evicted with a reason and a log; agents that depend on it are blocked;
    the others land. After an interruption, the same command continues.

    With --follow it asks nothing and waits for verdicts from another terminal; with --yes, for work that is finished.
    What did not land is tried again when it, another agent or the target changes. Ctrl-C while it waits ends it, with
    0 where all that was approved has landed, else 1.
    """
    from orchestra.review.verdict_giver import require_person
    from orchestra.train.merge import merge as run

    if follow and call.json:
        raise call.wrong_line(
            "--json prints one document, and --follow does not end",
            hint="orchestra merge --follow --events prints each event as a JSON line on standard error",
        )
    fleet = call.load_fleet()
    require_person(fleet, call.line)
    require_trust(fleet)
    names = call.names(fleet, agents)

    def run_train(names: Sequence[AgentName] | None) -> MergeReport:
        with train_listener(events) as listener:
            return run(
                fleet,
                agents=names,
                push=push or None,
                accept_finished=yes,
                unfinished=lambda: read_unfinished(fleet),
                progress=listener,
                fresh_gates=fresh_gates,
            )

    if follow:
        return _follow(call, fleet, names, run_train, finished_too=yes, events=events)
    if not yes and not call.json and is_terminal() and is_terminal(sys.stdin):
        from orchestra.cli.review_loop import review_undecided

        if not review_undecided(fleet, names):
            return ExitCode.SHORT
    return print_train_report(call, fleet, run_train(names))


def _follow(
    call: Call,
    fleet: Fleet,
    names: Sequence[AgentName] | None,
    run_train: Callable[[Sequence[AgentName] | None], MergeReport],
    *,
    finished_too: bool,
    events: bool,
) -> ExitCode:
    """Run a train whenever there is something to land, until Ctrl-C."""
    from orchestra.blueprint.model import Review
    from orchestra.train.entries import Accept
    from orchestra.train.follow import TrainFollower

    is_enough = finished_too or fleet.blueprint.merge.review is Review.NONE
    accept = Accept.FINISHED if is_enough else Accept.APPROVED
    follower = TrainFollower(fleet, accept, names, lambda: read_unfinished(fleet))
    while True:
        with _announcing(events) as announce:
            queue = follower.wait(announce)
        if queue is None:
            return follower.exit_code
        try:
            report = run_train(queue)
        except LockHeld as held:  # another train runs; this one goes on after it
            follower.postpone(held.message)
            continue
        follower.record(report)
        print_train_report(call, fleet, report, with_next=False)
        sys.stdout.flush()


@contextmanager
def _announcing(events: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows what the command waits for, in the form of the train's progress."""
    if events:
        yield lambda text: print_event("waiting", text)
    elif is_terminal(sys.stderr):
        with progress("merge") as step:
            yield lambda text: step(f"{text}; Ctrl-C ends")
    else:
        yield lambda text: print_note(f"{text}; Ctrl-C ends", Tone.QUIET)
