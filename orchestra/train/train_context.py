"""What every part of one train works with: the fleet, its tools, the pins of candidates, and regenerated files."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from orchestra.blueprint.model import AgentName
from orchestra.candidates.builder import CandidateBuilder, open_builder
from orchestra.candidates.text_conflict import RuleOf
from orchestra.engine.job import JobId, Outcome, shell_job
from orchestra.engine.local import run
from orchestra.errors import MovedError
from orchestra.files import LONGEST_RECORD, read_regular, write_atomically
from orchestra.fleet import Fleet, FleetSnapshot
from orchestra.git.objects import Commit, Objects, TreeId, our_ident
from orchestra.git.refs import CommitId, Kind, RefUpdate, agent_ref, read_refs, update
from orchestra.train.events import EventSink
from orchestra.train.results import ResultRecorder
from orchestra.train.slots import REGENERATE_SLOT, Slots
from orchestra.train.tester import Tester


class CandidateRefs:
    """The candidate refs of one fleet. The caller holds the train's lock, so nothing else moves them.

    They protect what a train has built from ``git gc``. A candidate's commit has those before it as ancestors, so the
    ref of the last one protects them all. The ref of an agent that did not land is deleted when the train ends, or when
    the next one starts.
    """

    def __init__(self, snapshot: FleetSnapshot) -> None:
        self._fleet = snapshot.fleet
        self._commits = {name: refs.candidate for name, refs in snapshot.agents.items() if refs.candidate is not None}

    def pin(self, commits: Mapping[AgentName, CommitId]) -> None:
        """Protect commits from ``gc`` until the next candidates of these agents are pinned."""
        self._move(commits, "candidates")
        self._commits.update(commits)

    def delete_all(self) -> None:
        """Delete every pin of this fleet, those of a killed train included."""
        self._move(dict.fromkeys(self._commits), "decided")
        self._commits.clear()

    def _move(self, commits: Mapping[AgentName, CommitId | None], reason: str) -> None:
        git = self._fleet.repository.git
        moves = [
            RefUpdate(agent_ref(self._fleet.name, agent, Kind.CANDIDATE), commit, self._commits.get(agent))
            for agent, commit in commits.items()
        ]
        try:
            update(git, moves, reason=reason)
        except MovedError:  # a landing moved or deleted one of them
            current = read_refs(git, [move.ref for move in moves])
            update(git, [replace(move, old=current.get(move.ref)) for move in moves], reason=reason)

    def forget(self, agent: AgentName) -> None:
        """Note that an agent's pin was deleted with its landing."""
        self._commits.pop(agent, None)


class Regenerator:
    """The ``Remake`` of a train (candidates.text_conflict)."""

    def __init__(self, fleet: Fleet, slots: Slots) -> None:
        self._fleet, self._slots = fleet, slots

    def remake(self, tree: TreeId, path: str, command: str) -> bytes | None:
        """Return the file's new content, or None."""
        key = hashlib.sha256("\0".join((tree, path, command)).encode("utf-8", "surrogateescape")).hexdigest()
        cached = self._fleet.repository.state_folder / "gates" / "remade" / key
        if (known := read_regular(cached, most=LONGEST_RECORD)) is not None:
            return known
        try:
            content = self._regenerate(tree, path, command)
        finally:
            self._slots.drop_scratch(REGENERATE_SLOT)
        if content is not None:
            write_atomically(cached, content)
        return content

    def _regenerate(self, tree: TreeId, path: str, command: str) -> bytes | None:
        with Objects(self._fleet.repository.git) as objects:
            message = b"a candidate whose files are regenerated\n"
            commit = objects.write_commit(Commit(tree, (), our_ident(), our_ident(), message))
        setup = self._slots.prepare(REGENERATE_SLOT, commit)
        for step in setup.commands:
            if self._run(step, tree) is not Outcome.PASSED:
                return None
        self._slots.setup_done(REGENERATE_SLOT, setup)
        if self._run(command, tree) is not Outcome.PASSED:
            return None
        slot = self._slots.path(REGENERATE_SLOT)
        content = read_regular(slot / path, below=slot, most=LONGEST_RECORD + 1)
        return content if content is not None and len(content) <= LONGEST_RECORD else None

    def _run(self, command: str, tree: TreeId) -> Outcome:
        log = self._fleet.folder / "gates" / f"{tree[:12]}.regenerate.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        job = JobId(f"regenerate-{tree[:12]}-{secrets.token_hex(4)}")
        limit = self._fleet.blueprint.worktrees.setup.timeout_s
        env = self._slots.environment(REGENERATE_SLOT)
        return run(shell_job(job, command, self._slots.path(REGENERATE_SLOT), env, log, timeout_s=limit)).outcome


class Integrators:
    """Integrators for the values that the target takes, one for each value and style. They end with the train.

    Each keeps git processes open until then.
    """

    def __init__(self, fleet: Fleet, stack: ExitStack, rule_of: RuleOf, regenerator: Regenerator) -> None:
        self._fleet, self._stack, self._rule_of, self._regenerator = fleet, stack, rule_of, regenerator
        self._by_target: dict[tuple[CommitId, str], CandidateBuilder] = {}

    def on(self, target: CommitId, style: str = "merge") -> CandidateBuilder:
        """Return the integrator that builds on ``target``; ``style``: how conflicts are written into files."""
        if (target, style) not in self._by_target:
            git = self._fleet.repository.git
            manager = open_builder(git, target, self._rule_of, self._regenerator.remake, style=style)
            self._by_target[target, style] = self._stack.enter_context(manager)
        return self._by_target[target, style]

    def forget(self) -> None:
        """Start new ones from here on: objects that the old ones remember were removed by a ``git gc --prune=now``."""
        self._by_target.clear()


@dataclass(frozen=True)
class TrainContext:
    """What every part of one train works with. ``snapshot``: refs and worktrees as they were when it started.

    ``objects``: reads only, so that an audit through it sees nothing that the builder of candidates remembers;
    ``rehearsed``: nothing moves but in memory; ``push``: the remote first. ``publishes``: nothing moves either, and
    what passed is pushed for a pull request when all is decided.
    """

    snapshot: FleetSnapshot
    objects: Objects
    tester: Tester
    recorder: ResultRecorder
    candidate_refs: CandidateRefs
    integrators: Integrators
    rehearsed: bool
    push: bool
    publishes: bool = False

    @property
    def fleet(self) -> Fleet:
        return self.snapshot.fleet

    @property
    def events(self) -> EventSink:
        return self.recorder.events
