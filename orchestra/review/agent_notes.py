"""An agent's notes: in its worktree, pinned with an approval, and attached to the commit that landed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.files import read_regular
from orchestra.gates.notes_gate import NOTES_FILE
from orchestra.git.git_process import Git
from orchestra.git.objects import Objects
from orchestra.git.refs import NOTES, CommitId, RefName, RefUpdate, agent_ref
from orchestra.git.refs import Kind as RefKind

_SECTIONS = ("What I Built", "Key Decisions")
_NO_SUCH_OBJECT = (0, 1, 128)


def read_notes(worktree: Path) -> str | None:
    """Return AGENT_NOTES.md of a worktree as text, at most a mebibyte; None where it is no regular file."""
    data = read_regular(worktree / NOTES_FILE)
    return None if data is None else data.decode("utf-8", "replace")


def landed_notes(git: Git, commit: CommitId) -> str | None:
    """Return the notes that are attached to a landed commit."""
    notes = git.run("notes", f"--ref={NOTES}", "show", commit, ok=_NO_SUCH_OBJECT)
    return notes.text if notes.code == 0 else None


def read_landed_notes(git: Git, commits: Collection[CommitId]) -> Mapping[CommitId, str]:
    """Return landed commit -> its notes, for those that have any, with one git process."""
    if not commits:
        return {}
    shape = ("--no-walk=unsorted", "-z", f"--notes={NOTES}", "--format=%H%n%N")
    log = git.run("log", *shape, *commits, "--", ok=(0, 128))
    entries = (field.partition("\n") for field in log.fields)
    return {CommitId(commit): notes.strip() for commit, _, notes in entries if notes.strip()}


def summarize_notes(notes: str | None, most: int = 6) -> tuple[str, ...]:
    """Return the first lines of the sections that say what was built and why, as they are written."""
    lines: list[str] = []
    in_section = False
    for line in (notes or "").splitlines():
        if line.startswith("#"):
            in_section = line.strip("# ").strip() in _SECTIONS
        elif in_section and line.strip() and not line.strip().startswith("<!--"):
            lines.append(line.strip())
    return tuple(lines[:most])


# The notes that were approved: a blob under a ref of its own, with the approved commit in the first line, so that the
# notes of another approval are never taken for these.
def approved_notes_ref(fleet: FleetName, agent: AgentName) -> RefName:
    return RefName(f"{agent_ref(fleet, agent, RefKind.APPROVED)}-notes")


def pin_notes(git: Git, fleet: FleetName, notes: Mapping[AgentName, tuple[CommitId, str | None]]) -> list[RefUpdate]:
    """Write agents' notes as they are at the approval of a commit; return the updates of the refs that keep them.

    Gates judge these notes, and they land with the commit.
    """
    refs = {name: approved_notes_ref(fleet, name) for name in notes}
    listed = git.run("for-each-ref", "--format=%(objectname) %(refname)", *refs.values()).lines if refs else ()
    before = {ref: CommitId(blob) for blob, _, ref in (line.partition(" ") for line in listed)}
    updates = []
    with Objects(git) as objects:
        for name, (commit, text) in notes.items():
            content = f"{commit} {'absent' if text is None else 'notes'}\n{text or ''}"
            blob = CommitId(objects.write_blob(content.encode("utf-8", "surrogateescape")))
            updates.append(RefUpdate(refs[name], blob, before.get(refs[name])))
    return updates


def pinned_notes(objects: Objects, fleet: FleetName, agent: AgentName, commit: CommitId) -> tuple[bool, str | None]:
    """Return True and the notes that were pinned with the approval of ``commit``; False where none were pinned."""
    blob = objects.find_blob(approved_notes_ref(fleet, agent)) or b""
    head, _, notes = blob.decode("utf-8", "replace").partition("\n")
    if head.partition(" ")[0] != commit:
        return False, None
    return True, notes if head.endswith(" notes") else None
