"""What an agent was after, in its own words: its notes, as they are kept with the commit that landed.

Invariant: everything is quoted. Refuses: to guess what is not written down.
"""

from __future__ import annotations

from orchestra.git.git_process import Git
from orchestra.git.refs import NOTES, CommitId

_SECTIONS = ("What I Built", "Key Decisions")


def summarize_notes(notes: str | None, most: int = 6) -> tuple[str, ...]:
    """What an agent says of its work: the first lines of the sections that tell what and why."""
    if not notes:
        return ()
    lines: list[str] = []
    wanted = False
    for line in notes.splitlines():
        if line.startswith("#"):
            wanted = line.strip("# ").strip() in _SECTIONS
        elif wanted and line.strip() and not line.strip().startswith("<!--"):
            lines.append(line.strip())
    return tuple(lines[:most])


def landed_notes(git: Git, commit: CommitId) -> str | None:
    """The notes that are kept with a landed commit."""
    found = git.run("notes", f"--ref={NOTES}", "show", commit, ok=(0, 1, 128))
    return found.text if found.code == 0 else None
