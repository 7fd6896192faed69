"""Refs. Below refs/orchestra/FLEET/AGENT/ every decision about an agent is one:

``base``               the commit the agent's branch was cut from; it also marks the branch as orchestra's
``adopted``            the tip of a branch that orchestra did not create when it was adopted; it and its worktree stay
``saved/N``            uncommitted work that was saved, N from 1
``approved``           the exact commit a person approved
``changes-requested``  an annotated tag object: its message is the request, it peels to the head that was reviewed
``candidate``          the agent's commit in a candidate that is about to land; pins it against gc
``landed``             the agent's commit on the target
``discarded``          the head that was discarded
``cleaned``            the branch's tip when clean removed it
``cleaned-work``       the saved work that the removed worktree held
``proposed``           the branch with the target merged in and conflicts resolved, after its gates passed; its first
                       parent is the head that it is for (candidates/resolution/proposal.py)

Invariant: refs move by compare-and-swap only. A transaction over several refs is not atomic when git is killed (it
renames one lock file after the other), so no two refs must agree.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.errors import DiskFull, GitError, GroundError, MovedError
from orchestra.files import sync_filesystem
from orchestra.git.git_process import Git, Output

CommitId = NewType("CommitId", str)
"""A full object name, 40 or 64 hex digits."""
RefName = NewType("RefName", str)
"""A full ref name, ``refs/...``."""

PREFIX = "refs/orchestra/"
NOTES = RefName("refs/notes/orchestra")
_PROPOSED_FOR = "proposed^"  # no ref can be called that


class Kind(StrEnum):
    BASE = "base"
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes-requested"
    CANDIDATE = "candidate"
    LANDED = "landed"
    DISCARDED = "discarded"
    PROPOSED = "proposed"
    CLEANED = "cleaned"
    CLEANED_WORK = "cleaned-work"
    ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class AgentRefs:
    """Where each of an agent's refs points; None where there is none. All are commits, peeled.

    ``proposed_for`` is no ref: the first parent of ``proposed``, the head of the branch that it is a proposal for.
    """

    base: CommitId | None = None
    approved: CommitId | None = None
    changes_requested: CommitId | None = None
    candidate: CommitId | None = None
    landed: CommitId | None = None
    discarded: CommitId | None = None
    proposed: CommitId | None = None
    proposed_for: CommitId | None = None
    cleaned: CommitId | None = None
    cleaned_work: CommitId | None = None
    adopted: CommitId | None = None
    saved: tuple[CommitId, ...] = ()


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """Move ``ref`` from ``old`` to ``new``. ``old`` None: it must not exist. ``new`` None: delete it."""

    ref: RefName
    new: CommitId | None
    old: CommitId | None


def agent_ref(fleet: FleetName, agent: AgentName, kind: Kind) -> RefName:
    return RefName(f"{PREFIX}{fleet}/{agent}/{kind}")


def saved_ref(fleet: FleetName, agent: AgentName, number: int) -> RefName:
    return RefName(f"{PREFIX}{fleet}/{agent}/saved/{number}")


def branch_ref(branch: str) -> RefName:
    return RefName(f"refs/heads/{branch}")


def resolve(git: Git, name: str) -> CommitId | None:
    """The commit that a full ref or object name peels to; None where there is none."""
    output = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", ok=(0, 1, 128))
    return CommitId(output.text) if output.code == 0 else None


def read_refs(git: Git, patterns: Sequence[str]) -> dict[RefName, CommitId]:
    """Return every ref below or equal to one of ``patterns`` -> the commit it peels to, with one git process.

    Below ``refs/orchestra/`` a proposal also gives ``.../proposed^``: its first parent. Refs of other objects, refs
    whose object is missing, and symbolic refs below ``refs/orchestra/`` are ignored: orchestra did not write them.
    """
    shape = "%(refname)%00%(symref)%00%(objecttype) %(objectname)%00%(*objecttype) %(*objectname)%00%(parent)"
    output = git.run("for-each-ref", f"--format={shape}", *patterns, ok=(0, 128))
    if output.code:
        return _read_sound_refs(git, patterns)
    refs: dict[RefName, CommitId] = {}
    for line in output.lines:
        name, symbolic, direct, peeled, parents = line.split("\0")
        kind, commit = (peeled if peeled.strip() else direct).split(" ")
        if kind != "commit" or (symbolic and name.startswith(PREFIX)):
            continue
        refs[RefName(name)] = CommitId(commit)
        if parents and name.startswith(PREFIX) and name.endswith(f"/{Kind.PROPOSED}"):
            refs[RefName(name + "^")] = CommitId(parents.split(" ")[0])
    return refs


def _read_sound_refs(git: Git, patterns: Sequence[str]) -> dict[RefName, CommitId]:
    """Read the refs one by one: ``for-each-ref`` gives up at the first whose object is missing or damaged."""
    refs: dict[RefName, CommitId] = {}
    for name in git.run("for-each-ref", "--format=%(refname)", *patterns).lines:
        if "\0" not in name and git.run("cat-file", "-e", f"{name}^{{commit}}", ok=(0, 1, 128)).code == 0:
            refs |= read_refs(git, [name])
    return refs


def read_fleet(git: Git, fleet: FleetName) -> dict[AgentName, AgentRefs]:
    """Return the refs of every agent of a fleet, with one git process."""
    return group_by_agent(read_refs(git, [f"{PREFIX}{fleet}/"]), fleet)


def group_by_agent(refs: Mapping[RefName, CommitId], fleet: FleetName) -> dict[AgentName, AgentRefs]:
    """Return the agents' refs of ``fleet`` among ``refs``. Refs of unknown kinds are ignored."""
    prefix = f"{PREFIX}{fleet}/"
    by_agent: dict[AgentName, dict[str, CommitId]] = {}
    for ref, commit in refs.items():
        if ref.startswith(prefix):
            agent, _, kind = ref.removeprefix(prefix).partition("/")
            by_agent.setdefault(AgentName(agent), {})[kind] = commit
    return {agent: _agent_refs(kinds) for agent, kinds in by_agent.items()}


def find_odd_refs(git: Git, fleet: FleetName, sound: Collection[RefName]) -> dict[AgentName, str]:
    """Return agents with a ref that orchestra cannot have written -> what is wrong, and how to remove it.

    Such a ref is symbolic, damaged, of another type, or below a name that orchestra needs. ``sound``: what
    ``read_refs`` returns for the fleet.
    """
    prefix = f"{PREFIX}{fleet}/"
    output = git.run("for-each-ref", "--format=%(refname)%00%(symref)", prefix)
    names = dict(line.split("\0") for line in output.lines)
    odd: dict[AgentName, str] = {}
    for name, symbolic in names.items():
        agent, _, kind = name.removeprefix(prefix).partition("/")
        if kind == f"{Kind.APPROVED}-notes" and not symbolic:
            continue  # a blob, which is looked at when it is read
        is_known = kind in set(Kind) or re.fullmatch(r"saved/[0-9]{1,9}", kind) is not None
        if name not in sound or (not is_known and kind.partition("/")[0] in set(Kind)):
            fix = f"git update-ref --no-deref -d {shlex.quote(name)}"
            odd.setdefault(AgentName(agent), f"orchestra did not write {name}; to remove it: {fix}")
    for damaged in re.findall(r"ignoring (?:broken|dangling) (?:ref|symref) (\S+)", output.stderr):
        place = shlex.quote(git.text("rev-parse", "--path-format=absolute", "--git-path", damaged))
        agent = damaged.removeprefix(prefix).partition("/")[0]
        odd.setdefault(AgentName(agent), f"{damaged} is damaged; to remove it: rm {place}")
    return odd


def _agent_refs(kinds: Mapping[str, CommitId]) -> AgentRefs:
    numbered = ((kind.removeprefix("saved/"), commit) for kind, commit in kinds.items() if kind.startswith("saved/"))
    saved = sorted((int(number), commit) for number, commit in numbered if re.fullmatch("[0-9]{1,9}", number))
    fields = {kind.replace("-", "_"): kinds[kind] for kind in Kind if kind in kinds}
    return AgentRefs(**fields, proposed_for=kinds.get(_PROPOSED_FOR), saved=tuple(commit for _, commit in saved))


def update(git: Git, updates: Iterable[RefUpdate], *, reason: str) -> None:
    """Apply compare-and-swap updates in one transaction. Symbolic refs are replaced or deleted, never followed.

    What the updates point to and what was done before them is on the disk first, so that after a power cut no ref
    names a missing object; when this returns, the updates are on the disk too.

    Raises MovedError naming the first ref that was not where it was expected. A failure is re-read before it is
    believed: packing refs at the same time makes git report a moved ref that has not moved.
    """
    changes = [update for update in updates if update.new != update.old]
    if not changes:
        return
    sync_filesystem(git.git_folder())
    script = "".join(_line(u) for u in changes).encode()
    options = ("--no-deref", "-m", f"orchestra: {reason}")
    for _ in range(_ATTEMPTS):
        output = git.run("update-ref", *options, "--stdin", "-z", stdin=script, ok=(0, 1, 128))
        if output.code == 0:
            sync_filesystem(git.git_folder())
            return
        if (in_the_way := _find_odd_ref(git, changes, output.stderr)) is not None:
            raise in_the_way
        moved = _first_moved(git, changes)
        if moved is not None:
            raise moved
    raise _refusal(git, output)


def _refusal(git: Git, output: Output) -> GroundError:
    """Return why git could not write a ref, with what to do about it."""
    folder = git.git_folder()
    if "No space left" in output.stderr or shutil.disk_usage(folder).free < _ROOM:
        return DiskFull(folder)
    if lock := re.search(r"Unable to create '(.+\.lock)': File exists", output.stderr):
        message = f"a ref is locked: {lock[1]} exists; a git command that was killed may have left it"
        hint = f"if no git runs in this repository: rm {shlex.quote(lock[1])}"
        return GitError(output.argv, output.code, output.stderr, message=message, hint=hint)
    reason = next(iter(output.stderr.splitlines()), "no message").removeprefix("fatal: ")
    message = f"git cannot write refs: {reason}"
    return GitError(output.argv, output.code, output.stderr, message=message, hint=git.writing_hint())


_ATTEMPTS = 5
_ROOM = 64 * 1024  # bytes: git does not say why it could not write a ref


def _line(update: RefUpdate) -> str:
    old = update.old or ""
    if update.new is None:
        return f"delete {update.ref}\0{old}\0"
    if update.old is None:
        return f"create {update.ref}\0{update.new}\0"
    return f"update {update.ref}\0{update.new}\0{old}\0"


def _find_odd_ref(git: Git, updates: Sequence[RefUpdate], stderr: str) -> GroundError | None:
    """Return the error for a ref in the way that orchestra did not write: symbolic, of another type, or nested."""
    names = {update.ref for update in updates if update.ref.startswith(PREFIX)}
    names |= {RefName(name) for name in re.findall(rf"'({PREFIX}[^']+)' exists; cannot create", stderr)}
    if not names:
        return None
    output = git.run("for-each-ref", "--format=%(refname)%00%(symref)%00%(objecttype)", *sorted(names), ok=(0, 128))
    for name, symbolic, kind in (line.split("\0") for line in output.lines):
        is_sound = not symbolic and kind in (("blob",) if name.endswith("-notes") else ("commit", "tag"))
        if is_sound and any(update.ref == name for update in updates):
            continue
        what = f"a symbolic ref to {symbolic}" if symbolic else f"a ref to a {kind}"
        fix = f"git update-ref --no-deref -d {shlex.quote(name)}"
        return GroundError(f"{name} is {what}, which orchestra did not write", hint=f"to remove it: {fix}")
    return None


def _first_moved(git: Git, updates: Sequence[RefUpdate]) -> MovedError | None:
    for update in updates:
        raw = git.run("rev-parse", "--verify", "--quiet", update.ref, ok=(0, 1, 128))
        actual = CommitId(raw.text) if raw.code == 0 else None
        if update.old not in (actual, resolve(git, update.ref)):
            return MovedError(update.ref, update.old, actual)
    return None
