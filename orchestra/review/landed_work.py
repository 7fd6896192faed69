"""Whether work has landed, looked up in the target instead of remembered.

A ``landed`` ref says that a train landed the agent's commit, or that a person merged its branch. The target may have
lost the work since, by a force-push or a revert, and the branch may have new commits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName
from orchestra.candidates.builder import AGENT_TRAILER
from orchestra.gates.branch_content import compare_commits
from orchestra.git.ancestry import merge_base
from orchestra.git.git_process import Git
from orchestra.git.refs import AgentRefs, CommitId
from orchestra.git.tree_diff import changes

_MOST_COMMITS = 1000  # of one landing


@dataclass(frozen=True, slots=True)
class Landing:
    """``commit``: the agent's last commit on the target; ``base`` and ``tip``: the ends of the branch that landed."""

    agent: AgentName
    base: CommitId
    tip: CommitId
    commit: CommitId


def landing_of(agent: AgentName, refs: AgentRefs) -> Landing | None:
    """Return the recorded landing of an agent. The approval that landed is kept, so it names the tip."""
    if refs.landed is None:
        return None
    return Landing(agent, refs.base or refs.landed, refs.approved or refs.landed, refs.landed)


def count_new_commits(git: Git, landing: Landing, head: CommitId, target: CommitId | None) -> int:
    """Return how many commits ``head`` has that neither landed nor are on the target, without merges."""
    commits = [commit for commit in (landing.tip, landing.commit, target) if commit is not None]
    return int(git.text("rev-list", "--count", "--no-merges", head, "--not", *commits, "--"))


def lost_landings(
    git: Git, landings: Collection[Landing], target: CommitId, *, contained: Collection[CommitId]
) -> Mapping[AgentName, str]:
    """Return the agents whose landed work the target does not contain any more -> a reason to print.

    ``contained``: the landed commits that are ancestors of the target. One git process, and a few more for each
    agent whose files differ from what landed.
    """
    if not landings:
        return {}
    pairs = [pair for landing in landings for pair in ((landing.tip, landing.base), (landing.commit, target))]
    differences = compare_commits(git, pairs)
    lost: dict[AgentName, str] = {}
    for landing in landings:
        paths = differences[landing.tip, landing.base].keys()
        if not paths & differences[landing.commit, target].keys():
            continue  # its files are on the target as they landed, by whatever commits
        if landing.commit not in contained:
            lost[landing.agent] = "no longer on the target: its history was rewritten without this work"
        elif _is_reverted(git, landing, paths, target):
            lost[landing.agent] = "no longer on the target: its changes were reverted"
    return lost


def _is_reverted(git: Git, landing: Landing, paths: Collection[str], target: CommitId) -> bool:
    """Return True when the target has every file that the landing changed as it was before the landing."""
    # The target before the landing is below the newest commits with the agent's trailer.
    shape = f"--format=%P%x00%(trailers:key={AGENT_TRAILER},valueonly,separator=%x2C)"
    most = f"--max-count={_MOST_COMMITS}"
    before = landing.base
    for line in git.run("log", "--first-parent", most, shape, landing.commit, f"^{landing.base}", "--").lines:
        parents, agents = line.split("\0")
        if landing.agent not in agents.split(","):
            break
        before = CommitId(parents.split(" ")[0])
    landed_paths = set(changes(git, before, landing.commit)) & set(paths)
    return bool(landed_paths) and not landed_paths & set(changes(git, before, target))


# -- branches that a person merged --------------------------------------------------------------------------------


def merged_by_hand(
    git: Git, target: CommitId, branches: Mapping[AgentName, tuple[str, AgentRefs]]
) -> Mapping[AgentName, CommitId]:
    """Return agents with work of their own that a person merged into the target -> the tip of the branch.

    ``branches``: agent -> its full branch ref and refs. That the target contains the tip is not enough: the branch may
    have been brought up to date with the target, or merged into another branch with ``-s ours``.
    """
    by_ref = {ref: name for name, (ref, _) in branches.items()}
    words = ("for-each-ref", "--merged", target, "--format=%(refname) %(objectname)")
    output = git.run(*words, *by_ref, ok=(0, 128)) if by_ref else None
    rows = output.lines if output else []
    if output and output.code:  # the history of a branch is damaged: the others are looked at one by one
        rows = [row for ref in by_ref for row in git.run(*words, ref, ok=(0, 128)).lines]
    merged: dict[AgentName, CommitId] = {}
    for row in rows:
        ref, _, tip = row.partition(" ")
        if ref not in by_ref:
            continue
        refs = branches[by_ref[ref]][1]
        if refs.base is None or refs.base == tip or refs.landed is not None or refs.discarded is not None:
            continue
        if _is_merged(git, ref, refs.base, CommitId(tip), target, approved=refs.approved == tip):
            merged[by_ref[ref]] = CommitId(tip)
    return merged


def _is_merged(git: Git, ref: str, base: CommitId, tip: CommitId, target: CommitId, *, approved: bool) -> bool:
    containing = set(git.run("rev-list", "--ancestry-path", target, f"^{tip}", "--").lines)
    history = git.run("rev-list", "--first-parent", "--parents", target, f"^{tip}", "--").lines
    first = next((row for line in reversed(history) if (row := line.split(" "))[0] in containing), None)
    if first is None or first[1] == tip:
        # The tip is itself in the target's first-parent history: a fast-forward of one to the other.
        return approved or was_made_on_branch(git, ref, tip)
    # A merge commit brought it in: every file of the branch must have come with it.
    merge, before = CommitId(first[0]), CommitId(first[1])
    fork = merge_base(git, before, tip) or base
    paths = set(changes(git, fork, tip))
    return bool(paths) and not paths & set(changes(git, tip, merge)) - set(changes(git, before, merge))


def was_made_on_branch(git: Git, ref: str, tip: CommitId) -> bool:
    """Return True when the reflog of ``ref`` says that ``tip`` was made there, and not taken from another branch."""
    made = ("commit", "rebase", "cherry-pick", "am")
    return any(commit == tip and action.startswith(made) for commit, action in _reflog(git, ref))


def _reflog(git: Git, ref: str) -> Iterator[tuple[str, str]]:
    log = git.run("log", "--walk-reflogs", "--format=%H%x00%gs", ref, "--", ok=(0, 128))
    for line in log.lines if log.code == 0 else ():
        commit, _, action = line.partition("\0")
        yield commit, action
