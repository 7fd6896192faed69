"""What a train is about to land, on disk before it lands, so that a kill can be told from a choice.

Invariant: at most one intent in a repository; it is written whole and synced before the target moves, and goes when
everything that follows from the move is done. Refuses: to be believed against the refs; it only says what to look for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.git.refs import CommitId


@dataclass(frozen=True, slots=True)
class Intent:
    """The target's branch goes from ``old`` to ``new``; ``agents`` -> their commit in it; ``notes`` -> their words.

    ``remote`` is None unless the push comes first; ``remote_old`` is what the push expects there.
    """

    fleet: str
    target: str
    old: CommitId
    new: CommitId
    agents: Mapping[str, CommitId]
    notes: Mapping[str, str]
    remote: str | None = None
    remote_old: CommitId | None = None


def intent_path(state_folder: Path) -> Path:
    return state_folder / "train" / "intent.json"


def write_intent(state_folder: Path, intent: Intent) -> None:
    """Synced, then renamed into place, then the folder synced: it is there before what it announces."""
    path = intent_path(state_folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name("intent.json.new")
    with aside.open("w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(asdict(intent), file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    _sync_folder(path.parent)


def read_intent(state_folder: Path) -> Intent | None:
    """The open intent; None where there is none. One that cannot be read is set aside under another name."""
    path = intent_path(state_folder)
    try:
        return Intent(**json.loads(path.read_text("utf-8", "surrogateescape")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        path.replace(path.with_name("intent.unreadable.json"))
        return None


def drop_intent(state_folder: Path) -> None:
    intent_path(state_folder).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
