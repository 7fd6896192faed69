"""Checkouts of the target are brought along when it moves; those that could not be are caught up by a later command.

Another git may take a checkout's ``index.lock`` in the moment between our look and the swap. The target has moved then,
which is no fault, but the checkout shows what was before, as if somebody had staged the way back. So what it shows is
written down, and each command that changes something tries again first.

Invariant: a note names the commit that the checkout's files were last brought to, however often the target moved since,
and goes when the files are as the branch has them, or are none of ours any more (another branch, a folder that is
gone). Refuses: to write what is the user's (``checkout.follow``); a checkout at which another git works.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.errors import GroundError
from orchestra.files import write_atomically
from orchestra.git.checkout import follow
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository, Worktree


def behind_path(state_folder: Path) -> Path:
    return state_folder / "train" / "behind.json"


@dataclass(frozen=True, slots=True)
class Behind:
    """A checkout of ``branch`` whose files and index are those of ``shows``."""

    branch: str
    shows: CommitId


def behind(state_folder: Path) -> Mapping[str, Behind]:
    """The checkouts that could not be brought along, by path. A damaged note counts as none."""
    try:
        found: Mapping[str, Mapping[str, str]] = json.loads(behind_path(state_folder).read_text("utf-8"))
        return {path: Behind(str(facts["branch"]), CommitId(str(facts["shows"]))) for path, facts in found.items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}


def bring_along(
    repository: Repository, target: str, old: CommitId, new: CommitId, *, resume: bool = False
) -> Iterable[str]:
    """Checkouts of the target, from ``old`` to ``new``; sentences about those that are left as they are.

    One that has moved on since is its user's. ``resume``: an earlier call may have been cut short.
    """
    known = behind(repository.state_folder)
    for worktree in repository.worktrees():
        if worktree.branch == target and worktree.head == new and worktree.path.is_dir():
            note = known.get(str(worktree.path))
            yield from _follow(repository, worktree, note.shows if note else old, new, resume=resume or bool(note))


def catch_up(repository: Repository) -> Iterable[str]:
    """What an earlier landing left behind, to where its branch is now. Nothing where nothing is."""
    known = behind(repository.state_folder)
    if not known:
        behind_path(repository.state_folder).unlink(missing_ok=True)  # damaged: else every command would look again
        return
    there = {str(worktree.path): worktree for worktree in repository.worktrees()}
    for path, note in known.items():
        worktree = there.get(path)
        if worktree is None or worktree.head is None or not _is_still_so(repository, worktree, note):
            _note(repository, path, None)
            continue
        told = list(_follow(repository, worktree, note.shows, worktree.head, resume=True))
        yield from told or [f"brought {path} along to {worktree.head[:10]}"]


def _is_still_so(repository: Repository, worktree: Worktree, note: Behind) -> bool:
    """Whether it is still a checkout of that branch, which still holds what the checkout shows."""
    there = worktree.path.is_dir() and worktree.branch == note.branch and worktree.head is not None
    known = there and repository.resolve(note.shows) is not None  # else a rewritten branch left it to a ``gc``
    return known and repository.is_ancestor(note.shows, worktree.head or note.shows)


def _follow(repository: Repository, worktree: Worktree, old: CommitId, new: CommitId, *, resume: bool) -> Iterable[str]:
    path = worktree.path
    try:
        left = follow(path, old, new, resume=resume)
    except GroundError as error:
        _note(repository, str(path), Behind(worktree.branch or "", old))
        mend = f"the next orchestra command tries again; git -C {path} status shows how it stands"
        yield f"{path} still shows {old[:10]}: {error} ({mend})"
        return
    _note(repository, str(path), None)
    if left:
        yield f"{path}: {', '.join(left)} hold your own changes and were left as they are"


def _note(repository: Repository, path: str, fact: Behind | None) -> None:
    place = behind_path(repository.state_folder)
    known = dict(behind(repository.state_folder))
    if known.get(path) == fact:
        return
    known.pop(path, None)
    if fact is not None:
        known[path] = fact
    if known:
        write_atomically(place, json.dumps({name: asdict(each) for name, each in known.items()}) + "\n")
    else:
        place.unlink(missing_ok=True)
