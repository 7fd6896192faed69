"""History: what happened and when, in one SQLite file for each fleet.

Nothing is decided from it: without it history is missing and nothing else. Many processes write at once: a
write-ahead log and one short transaction for each event.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestra.errors import DiskFull

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

_ROOM = 64 * 1024  # bytes: what SQLite makes that file grow by, and as much again
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, agent TEXT, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_kind ON events (kind, agent, id);
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One observation: ``at`` is a POSIX timestamp, ``kind`` a dotted word such as ``verdict.approved``."""

    at: float
    kind: str
    agent: str | None
    data: Mapping[str, Json]


class Ledger:
    """The events of one fleet, in ``folder``/ledger.db. Safe for many processes; holds no connection open."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"

    def record(self, kind: str, agent: str | None = None, **data: Json) -> None:
        """Append one event. Raises DiskFull where there is no space for it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        row = (time.time(), kind, agent, json.dumps(data))
        try:
            with self._open() as db, db:
                db.execute("INSERT INTO events (at, kind, agent, data) VALUES (?, ?, ?, ?)", row)
        except sqlite3.OperationalError as error:
            if self._is_full(error):
                raise DiskFull(self.path) from error
            raise

    def _is_full(self, error: sqlite3.OperationalError) -> bool:
        """Recognise SQLITE_FULL, and no room for the shared memory of a write-ahead log: an I/O error to SQLite."""
        named = error.sqlite_errorname
        no_memory = named in (
            "SQLITE_IOERR_SHMSIZE",
            "SQLITE_IOERR_SHMOPEN",
            "SQLITE_IOERR_SHMMAP",
            "SQLITE_IOERR_WRITE",
        )
        return named == "SQLITE_FULL" or (no_memory and shutil.disk_usage(self.path.parent).free < _ROOM)

    def events(self, kind: str | None = None, agent: str | None = None) -> list[Event]:
        """Events in the order they were recorded; ``kind`` also matches its dotted children."""
        if not self.path.exists():
            return []
        where, values = ["1"], []
        if kind is not None:
            where.append("(kind = ? OR kind LIKE ? || '.%')")
            values += [kind, kind]
        if agent is not None:
            where.append("agent = ?")
            values.append(agent)
        query = f"SELECT at, kind, agent, data FROM events WHERE {' AND '.join(where)} ORDER BY id"  # noqa: S608
        with self._open() as db:
            return [Event(at, k, a, json.loads(data)) for at, k, a, data in db.execute(query, values)]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self._create()
        db = sqlite3.connect(self.path, timeout=30)
        try:
            db.execute("PRAGMA synchronous=NORMAL")
            yield db
        finally:
            db.close()

    def _create(self) -> None:
        """Create it under another name and link it into place: a switch to WAL fails while others open the database."""
        draft = self.path.with_name(f".ledger.{os.getpid()}.{threading.get_ident()}")
        db = sqlite3.connect(draft)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(_SCHEMA)
        finally:
            db.close()
        try:
            os.link(draft, self.path)
        except FileExistsError:  # another writer was first, and its file is as good
            return
        finally:
            draft.unlink()
