"""A train whose work lands through a pull request: what differs from one that moves the target itself.

The run is the same and moves nothing. When every agent is decided, what passed is published as one; an agent whose
verdict changed meanwhile, or a target that moved, starts the run again, with the gate results of before.
"""

from __future__ import annotations

from orchestra.errors import GroundError
from orchestra.fleet import Fleet, FleetSnapshot, read_snapshot
from orchestra.forge.selection import open_forge
from orchestra.forge.train_branch import pushed_ref, read_pushed
from orchestra.git.refs import CommitId
from orchestra.git.remote import look
from orchestra.review.pushed_work import withdrawn_agents
from orchestra.text import format_list
from orchestra.train.entries import Entries
from orchestra.train.events import EventSink
from orchestra.train.explanations import Explanations
from orchestra.train.landing import TargetMoved, VerdictChanged
from orchestra.train.publication import Publisher
from orchestra.train.target_branch import TargetPosition, check_target
from orchestra.train.train_context import TrainContext
from orchestra.train.train_report import PullRequestReport, Waiting
from orchestra.train.train_run import TrainRun

_MOST_TARGET_MOVES = 20  # before the train gives up


def open_publisher(fleet: Fleet, events: EventSink) -> Publisher:
    """Check that the forge can be asked, before anything runs."""
    forge = open_forge(fleet)
    events.announce(f"asking {forge.address.program} whether it is logged in to {forge.address.host}")
    forge.require_login()
    return Publisher(fleet, forge, fleet.remote or "", events.announce)


def take_in_merged(
    publisher: Publisher, snapshot: FleetSnapshot, position: TargetPosition, events: EventSink, *, rehearsed: bool
) -> tuple[FleetSnapshot, TargetPosition, tuple[str, ...]]:
    """Record what was merged on the forge; return refs and target as they are then, and sentences for a person.

    A rehearsal records nothing.
    """
    publisher.require_same_target(position)
    sentences = () if rehearsed else publisher.record_merged(snapshot, position)
    for sentence in sentences:
        events.emit("recovered", (), sentence)
    if not sentences:
        return snapshot, position, ()
    snapshot = read_snapshot(publisher.fleet)
    return snapshot, check_target(snapshot), sentences


def _advise_about_withdrawn(publisher: Publisher, context: TrainContext) -> None:
    """Say what the last push still has, where nothing replaces it: it may still be merged."""
    fleet = publisher.fleet
    pushed = read_pushed(fleet.repository.git, pushed_ref(fleet.name))
    names = withdrawn_agents(read_snapshot(fleet), pushed) if pushed else ()
    if names and look(fleet.repository.git, publisher.remote, publisher.branch) is not None:
        sentence = (
            f"{publisher.branch} on {publisher.remote} still has {format_list(names)}, no longer approved as pushed"
        )
        context.recorder.advise(f"{sentence}: close the {publisher.forge.noun}, or approve and merge again", names)


def decide(
    context: TrainContext,
    entries: Entries,
    position: TargetPosition,
    publisher: Publisher | None,
    explanations: Explanations,
) -> tuple[CommitId, PullRequestReport | None]:
    """Run the train until every agent has a result; return the target after it, and the pull request."""
    recorder = context.recorder
    for _ in range(_MOST_TARGET_MOVES):
        run = TrainRun(context, entries, position, explanations)
        tip = run.run()
        if publisher is None or not run.passed:
            if publisher is not None:
                _advise_about_withdrawn(publisher, context)
            return tip, None
        try:
            return tip, publisher.publish(context, run.passed, position)
        except VerdictChanged as event:  # built and tested again without it
            recorder.add(Waiting(event.agent, event.reason))
        except TargetMoved as event:
            recorder.events.announce(f"{event}; building again")
            position = check_target(read_snapshot(context.fleet))
            publisher.require_same_target(position)
        except GroundError as error:
            hint = f" ({error.hint})" if error.hint else ""
            for each in run.passed:
                recorder.add(Waiting(each.entry.agent.name, f"{error}{hint}"))
            return tip, None
    raise GroundError(
        f"{context.fleet.target} of {context.fleet.remote} keeps moving", hint="orchestra merge tries again"
    )
