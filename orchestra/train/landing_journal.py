"""The journal of landings: the landing that is under way, on disk before the target moves.

At most one landing is open in a repository. Its record is written whole and synced before the target moves, and deleted
when everything that follows from the move is done. The refs decide what happened; the record only says where to look.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.blueprint.model import AgentName
from orchestra.files import LONGEST_RECORD, open_regular, write_atomically
from orchestra.git.refs import CommitId


@dataclass(frozen=True, slots=True)
class Landing:
    """Move the target's branch from ``old`` to ``new``.

    ``agents``: agent -> its commit in ``new``; ``notes``: agent -> its notes. ``remote`` is None unless the target is
    pushed first; ``remote_old`` is the commit that the push expects there.
    """

    fleet: str
    target: str
    old: CommitId
    new: CommitId
    agents: Mapping[AgentName, CommitId]
    notes: Mapping[AgentName, str]
    remote: str | None = None
    remote_old: CommitId | None = None


def journal_path(state_folder: Path) -> Path:
    return state_folder / "train" / "intent.json"


def stale_checkouts_path(state_folder: Path) -> Path:
    return state_folder / "train" / "behind.json"


def is_interrupted(state_folder: Path) -> bool:
    """Return whether a killed merge left work for ``recover``. Cheap: every command that changes something calls it."""
    return journal_path(state_folder).exists() or stale_checkouts_path(state_folder).exists()


def write_journal(state_folder: Path, landing: Landing) -> None:
    """Write the record durably: a power cut leaves the old one or the new one."""
    write_atomically(journal_path(state_folder), json.dumps(asdict(landing)), durable=True)


def read_journal(state_folder: Path) -> Landing | None:
    """Return the open landing, None without one. A record that cannot be read is renamed and counts as none."""
    path = journal_path(state_folder)
    try:
        with open_regular(path) as file:
            return Landing(**json.loads(file.read(LONGEST_RECORD).decode("utf-8", "surrogateescape")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise
    except (OSError, ValueError, TypeError, RecursionError):  # damaged, or no regular file
        path.replace(path.with_name(f"intent.unreadable-{time.time_ns()}.json"))
        return None


def delete_journal(state_folder: Path) -> None:
    journal_path(state_folder).unlink(missing_ok=True)
