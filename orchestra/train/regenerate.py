"""Makes a conflicted file anew by the command that the blueprint names for it (``regenerate``), in a slot of its own.

Invariant: the command sees the candidate's files and nothing else, with a gate's environment; what it made of the file
is kept by (tree, path, command), so that the same candidate comes out the same after a crash. Refuses: what is no plain
file afterwards, and a command that fails; then the conflict stays one.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from orchestra.engine.job import JobId, JobSpec, Outcome
from orchestra.engine.local import run
from orchestra.fleet import Fleet
from orchestra.git.objects import Commit, Objects, TreeId, our_ident
from orchestra.train.slots import WORKBENCH, Slots


class Workbench:
    """The ``Remake`` of a train (repository.conflict)."""

    def __init__(self, fleet: Fleet, slots: Slots) -> None:
        self._fleet, self._slots = fleet, slots

    def remake(self, tree: TreeId, path: str, command: str) -> bytes | None:
        """The file's new content, or None."""
        kept = self._kept(tree, path, command)
        if kept.is_file():
            return kept.read_bytes()
        try:
            made = self._make(tree, path, command)
        finally:
            self._slots.drop_scratch(WORKBENCH)
        if made is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            aside = kept.with_suffix(f".{secrets.token_hex(4)}")
            aside.write_bytes(made)
            aside.replace(kept)
        return made

    def _kept(self, tree: TreeId, path: str, command: str) -> Path:
        key = hashlib.sha256("\0".join((tree, path, command)).encode("utf-8", "surrogateescape")).hexdigest()
        return self._fleet.repository.state_folder / "gates" / "remade" / key

    def _make(self, tree: TreeId, path: str, command: str) -> bytes | None:
        with Objects(self._fleet.repository.git) as objects:
            commit = objects.write_commit(Commit(tree, (), our_ident(), our_ident(), b"a candidate to be made anew\n"))
        setup = self._slots.prepare(WORKBENCH, commit)
        for step in setup.commands:
            if self._run(step, tree) is not Outcome.PASSED:
                return None
        self._slots.setup_done(WORKBENCH, setup)
        if self._run(command, tree) is not Outcome.PASSED:
            return None
        place = self._slots.path(WORKBENCH) / path
        inside = place.resolve().is_relative_to(self._slots.path(WORKBENCH).resolve())
        return place.read_bytes() if inside and place.is_file() and not place.is_symlink() else None

    def _run(self, command: str, tree: TreeId) -> Outcome:
        log = self._fleet.folder / "gates" / f"{tree[:12]}.regenerate.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        job = JobId(f"regenerate-{tree[:12]}-{secrets.token_hex(4)}")
        limit = self._fleet.blueprint.worktrees.setup.timeout_s
        env = self._slots.environment(WORKBENCH)
        return run(JobSpec(job, command, self._slots.path(WORKBENCH), env, log, limit)).outcome
