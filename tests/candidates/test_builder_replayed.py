"""Faults of candidate building that replaying real histories showed (docs/replay.md), each made small."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import AgentName, FleetName, Strategy
from orchestra.candidates.builder import Branch, BuiltCandidate, build_candidate
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from tests.conftest import Checkout, MakeRepository

LINES = "".join(f"line {n}\n" for n in range(1, 21))


@pytest.fixture
def stacked(make_repository: MakeRepository) -> Checkout:
    """``work`` was begun on ``below``, which landed as other commits, and merged a branch of its own.

    The target then changed the very lines that ``below`` had brought, so that only the recorded base tells what
    ``work`` itself did.
    """
    checkout = make_repository({"f": LINES})
    checkout.git("switch", "-q", "-c", "below")
    checkout.commit("below", {"f": LINES.replace("line 3\n", "three\n")})
    checkout.git("switch", "-q", "-c", "side")
    checkout.commit("side", {"side": "1\n"})
    checkout.git("switch", "-q", "-c", "work", "below")
    checkout.commit("work", {"f": LINES.replace("line 3\n", "three\n").replace("line 20\n", "twenty\n")})
    checkout.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
    checkout.git("switch", "-q", "main")
    checkout.commit("below, landed and gone on with", {"f": LINES.replace("line 3\n", "THREE\n")})
    return checkout


@pytest.mark.parametrize("strategy", [Strategy.REBASE, Strategy.SQUASH])
def test_a_branch_with_merges_begun_on_what_landed_otherwise(stacked: Checkout, strategy: Strategy) -> None:
    base, tip, target = (CommitId(stacked.git("rev-parse", name)) for name in ("below", "work", "main"))
    branch = Branch(AgentName("work"), FleetName("demo"), base, tip, "Work", strategy)

    made = build_candidate(Git(stacked.path), target, branch)

    assert isinstance(made, BuiltCandidate), made
    text = stacked.git("show", f"{made.commit}:f")
    assert text.splitlines() == LINES.replace("line 3\n", "THREE\n").replace("line 20\n", "twenty\n").splitlines()
    assert stacked.git("show", f"{made.commit}:side") == "1"


def test_a_base_outside_the_target_counts_beside_what_the_branch_merged_of_it(stacked: Checkout) -> None:
    """The branch took the target in, and its resolution holds: both that and the base are shared history."""
    stacked.git("switch", "-q", "work")
    stacked.git("merge", "-q", "--no-ff", "-X", "theirs", "-m", "take in main", "main")
    stacked.commit("after", {"f": LINES.replace("line 3\n", "THREE\n").replace("line 20\n", "last\n")})
    stacked.git("switch", "-q", "main")
    stacked.commit("main again", {"f": LINES.replace("line 3\n", "THREE\n").replace("line 10\n", "ten\n")})
    base, tip, target = (CommitId(stacked.git("rev-parse", name)) for name in ("below", "work", "main"))

    made = build_candidate(Git(stacked.path), target, Branch(AgentName("work"), FleetName("demo"), base, tip, "Work"))

    assert isinstance(made, BuiltCandidate), made
    wanted = LINES.replace("line 3\n", "THREE\n").replace("line 10\n", "ten\n").replace("line 20\n", "last\n")
    assert stacked.git("show", f"{made.commit}:f").splitlines() == wanted.splitlines()


@pytest.mark.parametrize("strategy", [Strategy.REBASE, Strategy.SQUASH])
def test_what_a_rewritten_target_dropped_does_not_come_back_by_a_merge(
    make_repository: MakeRepository, strategy: Strategy
) -> None:
    """Before, the merge's own tree decided, and git's merge base lies before what was dropped."""
    checkout = make_repository({"f": LINES})
    checkout.commit("dropped", {"dropped": "1\n"})
    checkout.git("switch", "-q", "-c", "side")
    checkout.commit("side", {"side": "1\n"})
    checkout.git("switch", "-q", "-c", "work", "main")
    checkout.commit("work", {"work": "1\n"})
    checkout.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
    base = CommitId(checkout.git("rev-parse", "main"))
    checkout.git("switch", "-q", "main")
    checkout.git("reset", "-q", "--hard", "HEAD~")
    checkout.commit("instead", {"instead": "1\n"})
    tip, target = (CommitId(checkout.git("rev-parse", name)) for name in ("work", "main"))

    made = build_candidate(Git(checkout.path), target, Branch(AgentName("w"), FleetName("d"), base, tip, "W", strategy))

    assert isinstance(made, BuiltCandidate), made
    assert checkout.git("ls-tree", "--name-only", made.commit).split() == ["f", "instead", "side", "work"]
