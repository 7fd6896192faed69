"""Regenerate a conflicted file by the command that the blueprint names for it, in a slot of its own.

The command sees the candidate's files and nothing else, with a gate's environment. Its result is kept by (tree, path,
command), so that the same candidate comes out the same after a crash. A command that fails or does not leave a plain
file leaves the conflict as it is.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from orchestra.engine.job import JobId, Outcome, shell_job
from orchestra.engine.local import run
from orchestra.fleet import Fleet
from orchestra.git.objects import Commit, Objects, TreeId, our_ident
from orchestra.train.slots import REGENERATE_SLOT, Slots


class Regenerator:
    """The ``Remake`` of a train (candidates.text_conflict)."""

    def __init__(self, fleet: Fleet, slots: Slots) -> None:
        self._fleet, self._slots = fleet, slots

    def remake(self, tree: TreeId, path: str, command: str) -> bytes | None:
        """Return the file's new content, or None."""
        key = hashlib.sha256("\0".join((tree, path, command)).encode("utf-8", "surrogateescape")).hexdigest()
        cached = self._fleet.repository.state_folder / "gates" / "remade" / key
        if cached.is_file():
            return cached.read_bytes()
        try:
            content = self._regenerate(tree, path, command)
        finally:
            self._slots.drop_scratch(REGENERATE_SLOT)
        if content is not None:
            cached.parent.mkdir(parents=True, exist_ok=True)
            temporary = cached.with_suffix(f".{secrets.token_hex(4)}")
            temporary.write_bytes(content)
            temporary.replace(cached)
        return content

    def _regenerate(self, tree: TreeId, path: str, command: str) -> bytes | None:
        with Objects(self._fleet.repository.git) as objects:
            message = b"a candidate whose files are regenerated\n"
            commit = objects.write_commit(Commit(tree, (), our_ident(), our_ident(), message))
        setup = self._slots.prepare(REGENERATE_SLOT, commit)
        for step in setup.commands:
            if self._run(step, tree) is not Outcome.PASSED:
                return None
        self._slots.setup_done(REGENERATE_SLOT, setup)
        if self._run(command, tree) is not Outcome.PASSED:
            return None
        slot = self._slots.path(REGENERATE_SLOT)
        file: Path = slot / path
        is_inside = file.resolve().is_relative_to(slot.resolve())
        return file.read_bytes() if is_inside and file.is_file() and not file.is_symlink() else None

    def _run(self, command: str, tree: TreeId) -> Outcome:
        log = self._fleet.folder / "gates" / f"{tree[:12]}.regenerate.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        job = JobId(f"regenerate-{tree[:12]}-{secrets.token_hex(4)}")
        limit = self._fleet.blueprint.worktrees.setup.timeout_s
        env = self._slots.environment(REGENERATE_SLOT)
        return run(shell_job(job, command, self._slots.path(REGENERATE_SLOT), env, log, timeout_s=limit)).outcome
