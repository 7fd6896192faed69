"""History: what happened and when, in one SQLite file for each fleet.

Nothing is decided from it: without it history is missing and nothing else. Many processes write at once: a
write-ahead log and one short transaction for each event.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from orchestra.errors import DiskFull

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

_DAMAGE = ("not a database", "malformed", "no such table", "no column", "no such column")
_ROOM = 64 * 1024  # bytes: what SQLite makes that file grow by, and as much again
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, agent TEXT, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_kind ON events (kind, agent, id);
"""
_SILENT_S, _PATIENCE_S = 1.0, 10.0
_LOCKED: set[Path] = set()  # ledgers that this process once waited for in vain


@dataclass(frozen=True, slots=True)
class Event:
    """One observation: ``at`` is a POSIX timestamp, ``kind`` a dotted word such as ``verdict.approved``."""

    at: float
    kind: str
    agent: str | None
    data: Mapping[str, Json]


class Ledger:
    """The events of one fleet, in ``folder``/ledger.db. Safe for many processes; holds no connection open.

    ``announce`` receives what is waited for, where that takes more than a second; the command line sets it.
    """

    announce: ClassVar[Callable[[str], None]] = lambda _: None

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"

    def record(self, kind: str, agent: str | None = None, **data: Json) -> None:
        """Append one event. Raises DiskFull where there is no space for it.

        A damaged ledger is renamed to ``ledger.damaged-TIME.db`` and a new one begins. In one that is locked for long
        or cannot be written, the event is lost: no command fails for its history.
        """
        row = (time.time(), kind, agent, json.dumps(data))
        for is_last in (False, True):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._execute("INSERT INTO events (at, kind, agent, data) VALUES (?, ?, ?, ?)", *row)
                return
            except sqlite3.Error as error:
                if self._is_full(error):
                    raise DiskFull(self.path) from error
                if "locked" in str(error):
                    _LOCKED.add(self.path)
                    return
                is_damaged = self.path.is_dir() or any(sign in str(error) for sign in _DAMAGE)
                if is_last or not is_damaged:
                    return
                damaged = self.path.with_name(f"ledger.damaged-{time.time_ns()}.db")
                with suppress(OSError):
                    for suffix in ("-wal", "-shm", ""):
                        with suppress(FileNotFoundError):
                            Path(f"{self.path}{suffix}").rename(f"{damaged}{suffix}")
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise DiskFull(self.path) from error
                return

    def _is_full(self, error: sqlite3.Error) -> bool:
        """Recognise SQLITE_FULL, and no room for the shared memory of a write-ahead log: an I/O error to SQLite."""
        name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
        if name not in ("IOERR_SHMSIZE", "IOERR_SHMOPEN", "IOERR_SHMMAP", "IOERR_WRITE"):
            return bool(name == "FULL")
        return shutil.disk_usage(self.path.parent).free < _ROOM

    def events(self, kind: str | None = None, agent: str | None = None) -> list[Event]:
        """Return events in the order they were recorded; ``kind`` also matches its dotted children.

        Rows that orchestra did not write are left out, as is everything in a ledger that cannot be read.
        """
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
        try:
            rows = self._execute(query, *values)
        except (sqlite3.Error, OSError):
            return []
        events = (_event(*row) for row in rows)
        return [event for event in events if event is not None]

    def _execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run one statement; wait where another process has locked the ledger, and say so after a second."""
        silent_s = 0.0 if self.path in _LOCKED else min(_SILENT_S, _PATIENCE_S)
        try:
            with self._open(silent_s) as db, db:
                return db.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or self.path in _LOCKED:
                raise
        seconds = f"for at most {_PATIENCE_S:.0f} s; without it the history lacks this event"
        Ledger.announce(f"waiting for {self.path}, which another process has locked, {seconds}")
        with self._open(_PATIENCE_S - silent_s) as db, db:
            return db.execute(statement, values).fetchall()

    @contextmanager
    def _open(self, patience_s: float) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self._create()
        db = sqlite3.connect(self.path, timeout=patience_s)
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


def _event(at: object, kind: object, agent: object, text: object) -> Event | None:
    try:
        data = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not (isinstance(at, float) and math.isfinite(at) and isinstance(kind, str) and isinstance(data, dict)):
        return None
    return Event(at, kind, agent, data) if agent is None or isinstance(agent, str) else None
