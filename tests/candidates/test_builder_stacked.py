"""A branch begun on another's: what each strategy makes of it, beside what plain git makes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.blueprint.model import AgentName, FleetName, Strategy
from orchestra.candidates.builder import Branch, BuiltCandidate, Candidate, NothingToMerge, build_candidate, build_chain
from orchestra.candidates.containment import LandingStep, audit
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from tests.conftest import Checkout, MakeRepository

LINES = "".join(f"line {n}\n" for n in range(1, 21))
ONE = LINES.replace("line 3\n", "three\n")


@pytest.fixture
def stack(make_repository: MakeRepository) -> Checkout:
    """``two`` was begun on ``one``'s first commit; ``one`` then took that change back and did another thing."""
    checkout = make_repository({"f": LINES})
    checkout.git("tag", "start")
    checkout.git("switch", "-q", "-c", "one")
    checkout.commit("one 1", {"f": ONE})
    checkout.git("tag", "below")
    checkout.git("switch", "-q", "-c", "two")
    checkout.commit("two 1", {"f": ONE.replace("line 20\n", "twenty\n")})
    checkout.git("switch", "-q", "one")
    checkout.commit("one 2", {"f": LINES.replace("line 10\n", "ten\n")})
    checkout.git("switch", "-q", "main")
    checkout.commit("main moves", {"other": "1\n"})
    return checkout


def branch(checkout: Checkout, name: str, base: str, strategy: Strategy, kept_out: tuple[str, ...] = ()) -> Branch:
    start, tip = (CommitId(checkout.git("rev-parse", ref)) for ref in (base, name))
    return Branch(AgentName(name), FleetName("demo"), start, tip, name.title(), strategy, kept_out)


def chain(checkout: Checkout, *branches: Branch) -> dict[AgentName, Candidate]:
    """The chain, audited, and the same when each step is built anew on what the one before had landed as."""
    git = Git(checkout.path)
    at = target = CommitId(checkout.git("rev-parse", "main"))
    made = build_chain(git, target, branches)
    for one in branches:
        candidate = made[one.agent]
        assert candidate == build_candidate(git, at, one), "after a landing or a crash it is another"
        if isinstance(candidate, BuiltCandidate):
            assert audit(git, LandingStep(at, candidate.commit, candidate.fork, one.tip, one.kept_out)) == ()
            at = candidate.commit
    return made


def built(candidate: Candidate) -> BuiltCandidate:
    assert isinstance(candidate, BuiltCandidate), candidate
    return candidate


def merged_by_git(checkout: Checkout, *names: str) -> str:
    """The tree that ``git merge`` of one after the other gives."""
    checkout.git("switch", "-q", "--detach", "main")
    for name in names:
        checkout.git("merge", "-q", "--no-ff", "-m", f"merge {name}", name)
    tree = checkout.git("rev-parse", "HEAD^{tree}")
    checkout.git("switch", "-q", "main")
    return tree


@pytest.mark.parametrize("base", ["below", "start"], ids=["recorded", "begun-by-hand"])
def test_merge_lands_a_stack_as_git_merge_does(stack: Checkout, base: str) -> None:
    """What ``one`` took back after ``two`` was begun stays taken back: the fork is where they part, not the start."""
    one, two = branch(stack, "one", "start", Strategy.MERGE), branch(stack, "two", base, Strategy.MERGE)

    made = built(chain(stack, one, two)[two.agent])

    assert made.tree == merged_by_git(stack, "one", "two")
    assert made.fork == stack.git("rev-parse", "below")
    assert stack.git("rev-parse", f"{made.commit}^2") == two.tip
    subjects = stack.git("log", "--format=%s", f"main..{made.commit}").splitlines()
    assert sorted(subjects) == ["Merge one: One", "Merge two: Two", "one 1", "one 2", "two 1"]


def test_merge_does_not_bring_in_what_only_the_base_holds(stack: Checkout) -> None:
    """Without ``one`` on board, merging ``two`` would land commits of ``one`` that nobody looked at as ``two``'s."""
    two = branch(stack, "two", "below", Strategy.MERGE)

    made = built(chain(stack, two)[two.agent])

    assert stack.git("show", f"{made.commit}:f") + "\n" == LINES.replace("line 20\n", "twenty\n")
    assert stack.git("log", "--format=%s", f"main..{made.commit}").splitlines() == ["Merge two: Two", "two 1"]
    assert (
        stack.git("rev-parse", f"{made.commit}^1", f"{made.commit}^2~1").split() == [stack.git("rev-parse", "main")] * 2
    )


def test_merge_does_not_bring_in_what_the_branch_below_dropped(stack: Checkout) -> None:
    stack.git("switch", "-q", "one")
    stack.git("reset", "-q", "--hard", "start")
    stack.commit("one again", {"f": LINES.replace("line 4\n", "four\n")})
    stack.git("switch", "-q", "main")

    made = chain(stack, branch(stack, "one", "start", Strategy.MERGE), branch(stack, "two", "below", Strategy.MERGE))

    assert isinstance(made[AgentName("one")], BuiltCandidate)
    text = stack.git("show", f"{built(made[AgentName('two')]).commit}:f") + "\n"
    assert text == LINES.replace("line 4\n", "four\n").replace("line 20\n", "twenty\n")
    subjects = stack.git("log", "--format=%s", f"main..{built(made[AgentName('two')]).commit}").splitlines()
    assert "one 1" not in subjects


def test_merge_of_a_stack_keeps_instruction_files_out_of_the_history(stack: Checkout) -> None:
    kept_out = ("TASK.md", "notes")
    stack.git("switch", "-q", "-c", "three", "start")
    stack.commit("three 1", {"TASK.md": "do\n", "notes/x": "1\n", "g": "1\n"})
    stack.git("switch", "-q", "-c", "four")
    stack.commit("four 1", {"g": "1\n2\n"})
    stack.git("switch", "-q", "main")
    three = branch(stack, "three", "start", Strategy.MERGE, kept_out)
    four = branch(stack, "four", "three", Strategy.MERGE, kept_out)

    made = built(chain(stack, three, four)[four.agent])

    names = stack.git("log", "-m", "--name-only", "--format=", f"main..{made.commit}").split()
    assert "g" in names
    assert not {"TASK.md", "notes/x"} & set(names)
    assert stack.git("log", "--format=%s", f"main..{made.commit}").count("three 1") == 1
    assert stack.git("show", f"{made.commit}:g").split() == ["1", "2"]


def test_merge_of_a_stack_with_merges_in_it(stack: Checkout) -> None:
    stack.git("switch", "-q", "-c", "side", "below")
    stack.commit("side", {"side": "1\n"})
    stack.git("switch", "-q", "two")
    stack.git("merge", "-q", "--no-ff", "-m", "two takes side in", "side")
    stack.git("switch", "-q", "main")
    one, two = branch(stack, "one", "start", Strategy.MERGE), branch(stack, "two", "below", Strategy.MERGE)

    assert built(chain(stack, one, two)[two.agent]).tree == merged_by_git(stack, "one", "two")


def test_merge_of_a_branch_that_took_in_all_of_the_one_below_and_nothing_more(stack: Checkout) -> None:
    stack.git("branch", "same", "one")
    one, same = branch(stack, "one", "start", Strategy.MERGE), branch(stack, "same", "start", Strategy.MERGE)
    assert isinstance(chain(stack, one, same)[same.agent], NothingToMerge)


@pytest.mark.parametrize("strategy", [Strategy.REBASE, Strategy.SQUASH])
def test_rebase_and_squash_land_what_was_done_since_the_recorded_base(stack: Checkout, strategy: Strategy) -> None:
    """The base lands under other names, or not at all: either way only what came after it is the branch's own."""
    one, two = branch(stack, "one", "start", strategy), branch(stack, "two", "below", strategy)

    made = built(chain(stack, one, two)[two.agent])

    below = built(chain(stack, one)[one.agent]).commit
    stack.git("switch", "-q", "--detach", two.tip)
    stack.git("rebase", "-q", "--onto", below, "below")
    assert made.tree == stack.git("rev-parse", "HEAD^{tree}")
    stack.git("switch", "-q", "--detach", two.tip)
    stack.git("rebase", "-q", "--onto", "main", "below")
    assert built(chain(stack, two)[two.agent]).tree == stack.git("rev-parse", "HEAD^{tree}")
    stack.git("switch", "-q", "main")


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_stack_that_does_not_overlap_lands_the_same_in_every_strategy(stack: Checkout, strategy: Strategy) -> None:
    stack.git("branch", "-f", "one", "below")
    one = branch(stack, "one", "start", strategy)
    for base in ("below", "start"):
        two = replace(branch(stack, "two", base, strategy))
        assert built(chain(stack, one, two)[two.agent]).tree == merged_by_git(stack, "one", "two")
