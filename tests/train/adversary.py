"""Every run of the planner there is: whatever each test and each merge says, in every order in which tests may end.

A world need not be made up in advance. Whoever answers decides at the moment of asking, both ways, and stays with it;
so all outcomes are covered, those included in which one branch mends or breaks what others did, in threes as in pairs.
What the planner does next depends on the facts alone, so a set of facts that was seen before is not followed again
(``Walk.seen``, with agents renamed to their places: a train that has landed two of five is a train of three).

The naive loop is held against it move by move (``_judge``): it takes the head and lands or evicts it on what the target
is then. A train that lands only beginnings of the order whose every step was green, and blames only the head, on the
target as it is, decides every agent as the loop does, by induction over the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from random import Random

from orchestra.blueprint.model import AgentName, Guarantee, Train
from orchestra.train.planner import plan
from orchestra.train.planner_model import (
    Action,
    Block,
    Build,
    BuildOutcome,
    Cancel,
    Evict,
    EvictionCause,
    Facts,
    Hold,
    HoldReason,
    Land,
    MergeGroup,
    Run,
    TestRecord,
)

NAMES = tuple(AgentName(name) for name in "abcdefgh")
After = Mapping[AgentName, frozenset[AgentName]]
GONE = AgentName("out")  # stands for whoever does not land


class _AllFits(Mapping[MergeGroup, BuildOutcome]):
    """Every state was built, and fits."""

    def __getitem__(self, group: MergeGroup) -> BuildOutcome:
        return BuildOutcome.CLEAN

    def __iter__(self) -> Iterator[MergeGroup]:
        return iter(())

    def __len__(self) -> int:
        return 0


_ALL_FIT = _AllFits()


@dataclass
class Walk:
    """One policy, guarantee and number of slots. ``seen`` is shared by every order and every size."""

    policy: Train
    guarantee: Guarantee
    slots: int
    conflicts: bool = False  # merges may conflict, or change nothing
    red_target: bool = False  # the target may be red before anything lands
    needed: int = 1  # how often a gate has to be red
    seen: set[int] = field(default_factory=set)  # hashes: of ten million sets of facts two agree once in 10^5 walks
    plans: int = 0
    ends: int = 0

    @property
    def steps_count(self) -> bool:
        return self.guarantee is Guarantee.STEP_GREEN or self.policy is Train.SPECULATIVE

    def explore(self, count: int, after: After) -> None:
        """All runs of a train of ``count`` agents with that order. Raises AssertionError at the first wrong move."""
        first = Facts(NAMES[:count], after, slots=self.slots, policy=self.policy, guarantee=self.guarantee)
        todo = [first if self.conflicts else replace(first, built=_ALL_FIT)]
        while todo:
            facts = _renamed(todo.pop(), counting=self.policy is Train.AUTO)
            key = _key(facts)
            if key not in self.seen:
                self.seen.add(key)
                todo += self._after_moves(facts)

    def stroll(self, count: int, after: After, choices: Random) -> None:
        """One run from beginning to end, each answer drawn: a sample of what ``explore`` does whole."""
        facts = Facts(NAMES[:count], after, slots=self.slots, policy=self.policy, guarantee=self.guarantee)
        while following := self._after_moves(facts):
            facts = choices.choice(following)

    def _after_moves(self, facts: Facts) -> list[Facts]:
        """Where the planner's moves lead: one set of facts for each answer that may be given to them."""
        found = [facts]
        self.plans += 1
        actions = plan(facts)
        if not actions:
            return list(self._answers(facts))
        for action in actions:
            found = [after for now in found for after in self._carried_out(now, action)]
        return found

    def _answers(self, facts: Facts) -> Iterator[Facts]:
        """It waits: any of the tests that run may end now, green or red, but as it ended before."""
        running = [group for group, test in facts.tests.items() if test.running]
        assert len(running) <= facts.slots, "more tests than slots"
        if not running:
            assert not facts.order, f"nothing runs, and {facts.order} are undecided"
            self.ends += 1
        for group in running:
            test = facts.tests[group]
            for green in (False,) if test.reds else (True, False):
                if not group and not green and not self.red_target:
                    continue
                done = replace(test, running=False, green=green, reds=test.reds + (not green), needed=self.needed)
                yield replace(facts, tests={**facts.tests, group: done})

    def _carried_out(self, facts: Facts, action: Action) -> list[Facts]:
        self._judge(facts, action)
        match action:
            case Build(group):
                return [replace(facts, built={**facts.built, group: kind}) for kind in BuildOutcome]
            case Run(group):
                return [_marked(facts, group, running=True)]
            case Cancel(group):
                return [_marked(facts, group, running=False)]
            case Land(group):
                return [_landed(facts, group)]
            case Evict(agent, why):
                return [_gone(facts, agent, judged=why is EvictionCause.GATE)]
            case Block(agent) | Hold(agent):
                return [_gone(facts, agent, judged=False)]

    def _judge(self, facts: Facts, action: Action) -> None:
        """Whether a move is right, by what the answers were."""
        match action:
            case Build(group):
                assert group not in facts.built
                assert all(facts.built[group[:n]] is BuildOutcome.CLEAN for n in range(1, len(group)))
            case Run(group):
                test = facts.test(group)
                assert not group or facts.built[group] is BuildOutcome.CLEAN
                assert not test.running and not test.green and not test.red, "what is known is asked again"
            case Cancel(group):
                assert facts.tests[group].running
            case Land(group):
                self._judge_landing(facts, group)
            case Evict(agent, why):
                assert agent == facts.order[0], "only the head is blamed"
                assert why is EvictionCause.GATE or facts.built[(agent,)].value == why.value
                if why is EvictionCause.GATE:
                    assert facts.test((agent,)).reds >= self.needed, "blamed before its last try"
                    assert facts.test(()).green, "blamed on a target that is not known to be green"
            case Block(agent, by):
                assert by in facts.before(agent) and by in facts.out
            case Hold(agent, by):
                assert by is HoldReason.RED_TARGET and facts.test(()).red, "held on a target that is not red"

    def _judge_landing(self, facts: Facts, group: MergeGroup) -> None:
        assert group and facts.test(group).green, "the target turned red"
        assert facts.built[group] is BuildOutcome.CLEAN
        left = set(facts.order)
        for place, agent in enumerate(group):
            assert not facts.before(agent) & left - set(group[:place]), "out of order"
        if self.steps_count and not facts.test(()).red:
            assert group == facts.order[: len(group)], "not the next in order"
            assert all(facts.test(group[:n]).green for n in range(1, len(group) + 1)), "a step was not tested"


def _marked(facts: Facts, group: MergeGroup, *, running: bool) -> Facts:
    return replace(facts, tests={**facts.tests, group: replace(facts.test(group), running=running)})


def _landed(facts: Facts, group: MergeGroup) -> Facts:
    size = len(group)
    return replace(
        facts,
        order=tuple(agent for agent in facts.order if agent not in group),
        built=_kept(facts.built, lambda s: s[:size] == group and len(s) > size, lambda s: s[size:]),
        tests={s[size:]: test for s, test in facts.tests.items() if s[:size] == group},
        decided=facts.decided + size,
    )


def _kept(
    built: Mapping[MergeGroup, BuildOutcome],
    wanted: Callable[[MergeGroup], bool],
    name: Callable[[MergeGroup], MergeGroup],
) -> Mapping[MergeGroup, BuildOutcome]:
    if built is _ALL_FIT:
        return built
    return {name(group): kind for group, kind in built.items() if wanted(group)}


def _gone(facts: Facts, agent: AgentName, *, judged: bool) -> Facts:
    order = tuple(other for other in facts.order if other != agent)
    decided, rejected = facts.decided + judged, facts.rejected + judged
    return replace(facts, order=order, out=facts.out | {agent}, decided=decided, rejected=rejected)


def _renamed(facts: Facts, *, counting: bool) -> Facts:
    """The same facts with agents named by their places, and without what no longer has a bearing."""
    name = dict(zip(facts.order, NAMES, strict=False))
    after = {}
    for agent in facts.order:
        before = facts.before(agent)
        after[name[agent]] = frozenset(name[a] for a in before if a in name) | ({GONE} if before & facts.out else set())
    known = ((s, t) for s, t in facts.tests.items() if t != TestRecord(needed=t.needed) and all(a in name for a in s))
    tests = {tuple(name[a] for a in s): t for s, t in known}
    built = _kept(facts.built, lambda s: all(a in name for a in s), lambda s: tuple(name[a] for a in s))
    judged = (facts.decided, facts.rejected) if counting else (0, 0)
    # A run of somebody who is decided is still there, and is cancelled by the next move.
    over = [s for s, t in facts.tests.items() if t.running and not all(a in name for a in s)]
    tests |= {(GONE, *(name.get(a, GONE) for a in s)): facts.tests[s] for s in over}
    out, left = frozenset({GONE}), tuple(name.values())
    return Facts(left, after, out, built, tests, facts.slots, facts.policy, facts.guarantee, *judged)


def _key(facts: Facts) -> int:
    after = tuple(sorted((agent, before) for agent, before in facts.after.items() if before))
    known = frozenset(facts.tests.items()), frozenset(facts.built.items())
    return hash((len(facts.order), after, *known, facts.decided, facts.rejected))


def orders(count: int) -> list[After]:
    """Every order relation on so many agents that agrees with their sequence, closed, each once."""
    agents = NAMES[:count]
    edges = list(combinations(agents, 2))
    found: dict[object, After] = {}
    for chosen in product((False, True), repeat=len(edges)):
        after = dict.fromkeys(agents, frozenset[AgentName]())
        for (before, agent), there in zip(edges, chosen, strict=True):
            if there:
                after[agent] |= {before, *after[before]}
        found[tuple(after.values())] = after
    return list(found.values())
