"""What every command that changes something does first: finish what a killed train began.

Invariant: nothing is recovered while a train runs; its lock is the sign. Cheap when there is nothing to do: a look
for two files: the intent, and the note of checkouts that are behind.
"""

from __future__ import annotations

from orchestra.errors import LockHeld
from orchestra.git.lock import exclusive
from orchestra.git.repository import Repository
from orchestra.train.landing import settle
from orchestra.train.landing_journal import intent_path
from orchestra.train.stale_checkouts import behind_path

_WAIT_S = 60.0


def recover(repository: Repository) -> tuple[str, ...]:
    """Finish or take back what a killed merge left; sentences for a person. Takes the locks itself."""
    if not _is_open(repository):
        return ()
    try:
        with exclusive(repository.state_folder / "train", "recover"):
            return recover_within(repository)
    except LockHeld:
        return ()  # a train runs: the intent is its own


def _is_open(repository: Repository) -> bool:
    folder = repository.state_folder
    return intent_path(folder).exists() or behind_path(folder).exists()


def recover_within(repository: Repository) -> tuple[str, ...]:
    """The same for a caller that holds the train's lock."""
    if not _is_open(repository):
        return ()
    with exclusive(repository.state_folder, "recover", wait_s=_WAIT_S):
        return settle(repository)
