"""Candidates, built in memory: what the target would become with a branch on it.

Invariant: nothing but objects is written: no ref, no worktree, no index. A candidate is a function of (onto, target,
branch, rules, committer's identity), so that after a crash the same ids come out. Instruction files are kept out of
every commit. Refuses: to land a tree that plain merging would not give.

``rebase``  each commit of the branch on top; authors, author dates, messages and encodings kept; empty ones dropped.
            Merge commits are left out, as ``git rebase`` does; when the result then is not what ``git merge`` gives
            (a merge resolved something), the branch lands as one commit with exactly the merge's tree.
``squash``  one commit with the merge's tree.
``merge``   a merge commit; the branch's own commits stay as they are, or are cleaned of instruction files. Where the
            target does not hold what they are based on, they are moved there first, as ``rebase`` moves them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from orchestra.blueprint.model import AgentName, FleetName, Strategy
from orchestra.candidates.commit_range import Span, Spans
from orchestra.candidates.text_conflict import Conflict, Remake, Resolver, RuleOf, Settle
from orchestra.candidates.trailers import add_trailers, split_trailers
from orchestra.git.git_process import Git
from orchestra.git.merge_tree import Merged, MergeTreeMode, TreeMerger
from orchestra.git.objects import Commit, Entry, Objects, TreeId, ident_seconds
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import EMPTY_TREES

AGENT_TRAILER = "Orchestra-Agent"
FLEET_TRAILER = "Orchestra-Fleet"
_UNRELATED = "the branch shares no history with the target (git fetch --unshallow, if shallow)"


@dataclass(frozen=True, slots=True)
class Branch:
    """An agent's work. ``base`` is what the branch was cut from, ``kept_out`` the paths that never land."""

    agent: AgentName
    fleet: FleetName
    base: CommitId
    tip: CommitId
    title: str
    strategy: Strategy = Strategy.REBASE
    kept_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuiltCandidate:
    """``commit`` is ``onto`` with the branch on it; ``tree`` its tree; ``fork`` where the branch left the target."""

    commit: CommitId
    tree: TreeId
    fork: CommitId
    squashed: bool = False  # strategy rebase fell back to one commit, because of merge commits


@dataclass(frozen=True, slots=True)
class NothingToMerge:
    """Nothing of the branch would change the target."""

    sentence: str


Candidate = BuiltCandidate | NothingToMerge | Conflict


class CandidateBuilder:
    """Builds candidates for one value of the target. Made by ``integrator``."""

    def __init__(self, git: Git, objects: Objects, merger: TreeMerger, resolver: Resolver, target: CommitId) -> None:
        self.objects, self.target = objects, target
        self._git, self._merger, self._resolver = git, merger, resolver
        self._committer, self._now = _committer(git), int(time.time())
        self._spans = Spans(git, target)
        self._clean: dict[Branch, Mapping[CommitId, CommitId]] = {}
        self._empty_tree = TreeId(EMPTY_TREES[len(target)])

    def build(self, onto: CommitId, branch: Branch) -> Candidate:
        """``branch`` on top of ``onto``, which is the target or a candidate built on it."""
        span = self._spans.since_base(branch.base, branch.tip)
        if not span.commits:
            return NothingToMerge("every commit of the branch is already in the target")
        if span.fork is None:
            return Conflict((), (_UNRELATED,))
        if branch.strategy is Strategy.REBASE:
            return self._rebase(onto, branch, span, span.fork)
        if branch.strategy is Strategy.MERGE:
            return self._merge(onto, branch)
        return self._join(onto, branch, span, span.fork)

    # -- the branch ---------------------------------------------------------------------------------------------

    def _kept(self, branch: Branch, like: CommitId) -> dict[bytes, Entry | None]:
        tree = self.objects.commit(like).tree
        return {path.encode(): self.objects.entry_at(tree, path.encode()) for path in branch.kept_out}

    def _strip(self, tree: TreeId, instruction_entries: Mapping[bytes, Entry | None]) -> TreeId:
        return self.objects.with_entries(tree, instruction_entries) if instruction_entries else tree

    # -- strategies ---------------------------------------------------------------------------------------------

    def _merge(self, onto: CommitId, branch: Branch) -> Candidate:
        """Build a merge commit. The branch's commits land as they are, so the fork is where they leave ``onto``.

        ``onto`` may hold commits that the branch is based on and the target lacks: those of an agent before it.
        """
        clean = self._cleaned(branch)
        tip, base = clean.get(branch.tip, branch.tip), clean.get(branch.base, branch.base)
        span = self._spans.on(onto, tip)
        if not span.commits:
            return NothingToMerge("every commit of the branch is already in the target")
        if span.fork is None:
            return Conflict((), (_UNRELATED,))
        if base in span.commits:
            return self._merge_moved(onto, branch)
        return self._join(onto, replace(branch, tip=tip), span, span.fork)

    def _merge_moved(self, onto: CommitId, branch: Branch) -> Candidate:
        """Merge the branch's own commits, rebuilt on ``onto``, which does not hold what they are based on.

        As they are they would bring in the commits below them: another agent's, or what a rewritten target dropped.
        """
        span = self._spans.since_base(branch.base, branch.tip)
        moved = self._rebase(onto, replace(branch, strategy=Strategy.REBASE), span, branch.base)
        if not isinstance(moved, BuiltCandidate):
            return moved
        commit = replace(self._merge_commit(replace(branch, tip=moved.commit)), tree=moved.tree)
        return replace(moved, commit=self._write(commit, onto, branch))

    def _rebase(self, onto: CommitId, branch: Branch, span: Span, fork: CommitId) -> Candidate:
        replayed = self._replay(onto, branch, span, fork)
        if not span.has_merges:
            return replayed
        # Leaving merges out may lose what they resolved: the merge's own tree decides.
        joined = self._join(onto, replace(branch, strategy=Strategy.SQUASH), span, fork)
        if isinstance(joined, BuiltCandidate) and not (
            isinstance(replayed, BuiltCandidate) and replayed.tree == joined.tree
        ):
            return replace(joined, squashed=True)
        return replayed if isinstance(joined, BuiltCandidate) else joined

    def _replay(self, onto: CommitId, branch: Branch, span: Span, fork: CommitId) -> Candidate:
        instruction_entries = self._kept(branch, fork)
        at = onto
        for branch_commit in span.commits:
            commit = self.objects.commit(branch_commit)
            if len(commit.parents) > 1:
                continue
            before = self.objects.commit(commit.parents[0]).tree if commit.parents else self._empty_tree
            onto_tree = self.objects.commit(at).tree
            merged = self._merger.merge(
                self._strip(before, instruction_entries), onto_tree, self._strip(commit.tree, instruction_entries)
            )
            tree = self._settled(merged, onto_tree, branch)
            if tree is None and branch_commit in self._spans.applied(onto, branch.tip):
                continue  # the same patch is there already, as ``git rebase`` sees it
            if tree is None:
                return _conflict(merged, branch_commit, commit)
            if tree != onto_tree:
                at = self._write(replace(commit, tree=tree), at, branch)
        return self._built(at, onto, fork)

    def _join(self, onto: CommitId, branch: Branch, span: Span, fork: CommitId) -> Candidate:
        """Build one commit with the tree that ``git merge`` of the branch gives: a squash or a merge commit."""
        onto_tree = self.objects.commit(onto).tree
        merged = self._true_merge(onto, branch, span, fork)
        tree = self._settled(merged, onto_tree, branch)
        if tree is None:
            return _conflict(merged, None, self.objects.commit(branch.tip))
        if tree == onto_tree:
            return NothingToMerge("the branch changes nothing that the target does not have")
        commit = self._merge_commit(branch) if branch.strategy is Strategy.MERGE else self._squash_commit(branch, span)
        return self._built(self._write(replace(commit, tree=tree), onto, branch), onto, fork)

    def _true_merge(self, onto: CommitId, branch: Branch, span: Span, fork: CommitId) -> Merged:
        instruction_entries = self._kept(branch, fork)
        tip = self.objects.commit(branch.tip)
        theirs = self._strip(tip.tree, instruction_entries)
        if not span.has_merges:  # one merge base, so three trees say it all
            base = self._strip(self.objects.commit(fork).tree, instruction_entries)
            return self._merger.merge(base, self.objects.commit(onto).tree, theirs)
        # Same merge bases as the tip itself, and no instruction files.
        stand_in = self.objects.write_commit(replace(tip, tree=theirs, parents=(branch.tip,)))
        if not span.rewritten:
            return self._merger.merge_commits(onto, stand_in)
        # The target has the base's work under other names: the base is shared history too, or its work conflicts.
        onto_tree = self.objects.write_commit(replace(self.objects.commit(onto), parents=(onto, fork)))
        return self._merger.merge_commits(onto_tree, stand_in)

    def whole(self, onto: CommitId, branch: Branch) -> Merged | None:
        """Merge the whole branch into ``onto`` as ``git merge`` does, whatever the strategy, with its conflicts.

        Instruction files are as ``onto`` has them. None: the two share no history.
        """
        span = self._spans.since_base(branch.base, branch.tip)
        if span.fork is None:
            return None
        return self._opened(self._true_merge(onto, branch, span, span.fork), self.objects.commit(onto).tree, branch)

    def resolve(self, merged: Merged, settle: Settle | None = None) -> TreeId | None:
        """Return the tree of a merge: by the rules, and where there is none by ``settle``. None: a conflict remains."""
        return merged.tree if merged.clean else self._resolver.resolve(merged, settle)

    def _settled(self, merged: Merged, onto_tree: TreeId, branch: Branch) -> TreeId | None:
        """Return the merge's tree if it is clean, or after the rules resolved it; else None."""
        return self.resolve(self._opened(merged, onto_tree, branch))

    def _opened(self, merged: Merged, onto_tree: TreeId, branch: Branch) -> Merged:
        """Return the merge with the instruction files as ``onto_tree`` has them, so that conflicts in them are none."""
        if merged.clean:
            return merged
        instruction_entries = {
            path.encode(): self.objects.entry_at(onto_tree, path.encode()) for path in branch.kept_out
        }
        open_stages = tuple(stage for stage in merged.stages if stage.path not in branch.kept_out)
        tree = self.objects.with_entries(merged.tree, instruction_entries)
        is_clean = bool(merged.stages) and not open_stages and not merged.conflicted_folders
        return replace(merged, clean=is_clean, tree=tree, stages=open_stages)

    def _cleaned(self, branch: Branch) -> Mapping[CommitId, CommitId]:
        """Map every commit that merging the branch may bring in to the one to land, without instruction files.

        From the target on, not from the base: what the branch is based on is then cleaned as that agent's was.
        """
        if branch not in self._clean:
            span = self._spans.on(self.target, branch.tip)
            instruction_entries = self._kept(branch, span.fork) if span.fork else {}
            now: dict[CommitId, CommitId] = {}
            for branch_commit in span.commits:
                commit = self.objects.commit(branch_commit)
                parents = tuple(now.get(parent, parent) for parent in commit.parents)
                tree = self._strip(commit.tree, instruction_entries)
                same = tree == commit.tree and parents == commit.parents
                now[branch_commit] = (
                    branch_commit if same else self.objects.write_commit(replace(commit, tree=tree, parents=parents))
                )
            self._clean[branch] = now
        return self._clean[branch]

    # -- commits ------------------------------------------------------------------------------------------------

    def _merge_commit(self, branch: Branch) -> Commit:
        message = f"Merge {branch.agent}: {branch.title}\n".encode()
        return replace(self.objects.commit(branch.tip), parents=(branch.tip,), message=message, encoding=None)

    def _squash_commit(self, branch: Branch, span: Span) -> Commit:
        """Return the branch as one commit: the first author, the bodies, and the trailers of all; others co-author."""
        branch_commits = [self.objects.commit(commit) for commit in span.commits]
        plain = [commit for commit in branch_commits if len(commit.parents) <= 1] or branch_commits
        first, last = plain[0], replace(plain[-1], parents=())
        if len(plain) == 1:
            return last
        texts, trailers = [f"{branch.title}\n\n".encode()], dict[bytes, None]()
        for commit in plain:
            body, lines = split_trailers(_utf8_message(commit))
            subject, _, rest = body.strip(b"\n").partition(b"\n")
            texts.append(b"* " + subject + b"\n")
            texts += [b"  " + line if line.strip() else line for line in rest.splitlines(keepends=True)]
            texts.append(b"" if texts[-1].endswith(b"\n") else b"\n")
            trailers |= dict.fromkeys(lines)
        names = [commit.author.rpartition(b"> ")[0] + b">" for commit in plain]
        trailers |= {b"Co-authored-by: " + name + b"\n": None for name in names if name != names[0]}
        message = b"".join(texts) + (b"\n" + b"".join(trailers) if trailers else b"")
        return replace(last, author=first.author, message=message, encoding=None)

    def _write(self, commit: Commit, onto: CommitId, branch: Branch) -> CommitId:
        """``commit`` on top of ``onto`` (further parents of a merge kept), with our committer and trailers."""
        trailers = {AGENT_TRAILER: str(branch.agent), FLEET_TRAILER: str(branch.fleet)}
        further = commit.parents if branch.strategy is Strategy.MERGE else ()
        # Never before its parent, or git's walks by date grow slow; never later than now: a clock may be wrong.
        seconds = commit.committed_at if commit.committed_at <= self._now else 0
        seconds = min(max(seconds, self.objects.commit(onto).committed_at), self._now)
        committer = _dated(self._committer or commit.committer, seconds, commit.committer)
        if ident_seconds(commit.author) > self._now:
            commit = replace(commit, author=_dated(commit.author, seconds, commit.author))
        message = add_trailers(commit.message, trailers)
        landed_commit = replace(commit, parents=(onto, *further), committer=committer, message=message)
        return self.objects.write_commit(landed_commit)

    def _built(self, at: CommitId, onto: CommitId, fork: CommitId) -> Candidate:
        if at == onto:
            return NothingToMerge("the branch changes nothing that the target does not have")
        return BuiltCandidate(at, self.objects.commit(at).tree, fork)


@contextmanager
def open_builder(
    git: Git,
    target: CommitId,
    rule_of: RuleOf = lambda _: None,
    remake: Remake | None = None,
    rung: MergeTreeMode | None = None,
    *,
    style: str = "merge",
) -> Iterator[CandidateBuilder]:
    """Open a builder for that value of the target; its git processes end with the body.

    ``remake`` runs the command of a ``regenerate`` rule; without it such a conflict stays one. ``style`` is how
    conflicts are written into files (git's ``merge.conflictStyle``). ``rung`` is for tests.
    """
    with ExitStack() as stack:
        objects = stack.enter_context(Objects(git))
        attributes = objects.commit(target).tree
        merger = stack.enter_context(TreeMerger(git, objects, attributes, rung, style))
        yield CandidateBuilder(git, objects, merger, Resolver(git, objects, rule_of, remake), target)


def build_candidate(git: Git, target: CommitId, branch: Branch, rule_of: RuleOf = lambda _: None) -> Candidate:
    """Build one branch on the target."""
    with open_builder(git, target, rule_of) as build:
        return build.build(target, branch)


def build_chain(
    git: Git, target: CommitId, branches: Iterable[Branch], rule_of: RuleOf = lambda _: None
) -> dict[AgentName, Candidate]:
    """Build each branch on top of those before it that fit; one that does not fit is left out of what follows."""
    built: dict[AgentName, Candidate] = {}
    with open_builder(git, target, rule_of) as build:
        at = target
        for branch in branches:
            candidate = built[branch.agent] = build.build(at, branch)
            at = candidate.commit if isinstance(candidate, BuiltCandidate) else at
    return built


def _conflict(merged: Merged, branch_commit: CommitId | None, commit: Commit) -> Conflict:
    messages = tuple(message for message in merged.messages if not message.startswith("Auto-merging"))
    return Conflict(merged.conflicted_paths, messages, merged.stages, branch_commit, commit.subject)


def _utf8_message(commit: Commit) -> bytes:
    try:
        return commit.message.decode((commit.encoding or b"utf-8").decode("ascii", "replace")).encode()
    except (LookupError, ValueError):  # an encoding that Python does not know, or a message that is not in it
        return commit.message.decode("utf-8", "replace").encode()


def _committer(git: Git) -> bytes | None:
    """Return name and address of the person who lands; None where git has no identity: commits keep theirs."""
    identity = git.run("var", "GIT_COMMITTER_IDENT", ok=(0, 128))
    return identity.stdout.rpartition(b"> ")[0] + b">" if identity.code == 0 else None


def _dated(author: bytes, seconds: int, like: bytes) -> bytes:
    zone = like.rpartition(b" ")[2] if ident_seconds(like) else b"+0000"
    return author.rpartition(b">")[0] + b"> %d %s" % (seconds, zone)
