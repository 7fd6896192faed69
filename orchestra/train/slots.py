"""Gate slots: worktrees for tests, reused for one candidate after the other.

A slot is at ``<root>/<home name>.gates/<n>``, detached and locked. No agent works in it, so everything in it may be
deleted; ``<n>.owner`` next to it names the repository that made it.

Invariant: before a job runs in a slot, its files are the candidate's, and otherwise it holds only what ``setup`` made
from the same inputs, unchanged, and what ``slots.keep`` declares. A slot that could not be verified raises
``SlotTrouble``, which is never a verdict on a branch.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orchestra.blueprint.inline_templates import render_env
from orchestra.blueprint.model import AgentName, Scope, stand_in_agent
from orchestra.blueprint.scope import Matcher
from orchestra.engine.process_tree import is_marked
from orchestra.errors import GitError, as_ground_error
from orchestra.files import read_regular, write_atomically
from orchestra.fleet import FleetSnapshot
from orchestra.gates.environment import gate_environment
from orchestra.git import worktree_admin, worktrees
from orchestra.git.folder_users import occupants
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import tree_of
from orchestra.git.worktrees import Place
from orchestra.text import format_list, one_line
from orchestra.train.setup_inputs import setup_inputs
from orchestra.train.slot import Slot, SlotTrouble
from orchestra.workspace.paths import slots_root
from orchestra.workspace.ports import slot_ports
from orchestra.workspace.untracked_files import Belongings, copy_file, find_belongings, share_folder

REGENERATE_SLOT = 0  # the slot where conflicted files are regenerated; the gates use the others
SLOT_REASON = "orchestra: gate slot "
"""The beginning of the reason for which slots are locked, also that of the generated scripts."""
_MOST_CHANGED = 3  # names that one line lists
_SCRATCH = "orchestra-slot-"
_WAIT_S = 60.0
_LEAVE_S, _LOOK_AGAIN_S = 15.0, 0.02  # a keeper ends its job within 5 s of its owner's death


@dataclass(frozen=True, slots=True)
class Setup:
    """What makes a checkout build: ``key`` is a digest of all that it depends on, ``commands`` are still to be run."""

    key: str
    commands: tuple[str, ...]


class Slots:
    """The gate slots of a fleet. The caller holds the train's lock, so each slot has one user."""

    def __init__(self, snapshot: FleetSnapshot, announce: Callable[[str], None]) -> None:
        """``announce`` receives what is waited for, from any thread."""
        self._announce = announce
        fleet = self._fleet = snapshot.fleet
        # The repository's checkouts but for the slots: code of theirs must not run in a gate.
        worktrees = (worktree.path for worktree in snapshot.worktrees)
        places = (fleet.repository.home, *worktrees)
        self.checkouts = tuple(path for path in places if slots_root(fleet) not in path.parents)
        keep = fleet.blueprint.slots.keep
        self._keep = Matcher(Scope(keep)) if keep else None
        self._setup_keys: dict[str, str] = {}
        self._entered: set[int] = set()
        self._ports: dict[int, dict[str, int]] = {}

    def path(self, number: int) -> Path:
        return slots_root(self._fleet) / str(number)

    def scratch(self, number: int) -> Path:
        """The TMPDIR of what runs in the slot: new for every candidate, the machine's own where there is none yet.

        Its path is short: the name of a UNIX socket has 107 bytes at most, and that of a slot may be longer.
        """
        link = self._scratch_link(number)
        return Path(os.readlink(link)) if link.is_symlink() else Path(tempfile.gettempdir())  # noqa: PTH115

    def _scratch_link(self, number: int) -> Path:
        """What says, also after a kill, where the scratch folder is."""
        return slots_root(self._fleet) / f"{number}.tmp"

    def environment(self, number: int) -> dict[str, str]:
        """What jobs in that slot see: the allow-list, and ``setup.env`` as for an agent numbered after the last one."""
        blueprint = self._fleet.blueprint
        name, place = AgentName(f"gate-{number}"), str(self.path(number))
        stand_in = stand_in_agent(blueprint, name, len(blueprint.agents) + number + 1)
        env = blueprint.worktrees.setup.env
        home = str(self._fleet.repository.home)
        if number not in self._ports:
            self._ports[number] = slot_ports(self._fleet, number)
        ports = self._ports[number]
        rendered = render_env(env, agent=stand_in, fleet=blueprint.name, worktree=place, repo=home, ports=ports)
        fixed = {
            "TMPDIR": str(self.scratch(number)),
            "ORCHESTRA_FLEET": str(blueprint.name),
            "ORCHESTRA_GATE_SLOT": name,
        }
        given = {name: str(port) for name, port in ports.items()}
        return {**gate_environment(checkouts=self.checkouts), **fixed, **given, **rendered}

    # -- making one ready ---------------------------------------------------------------------------------------

    def prepare(self, number: int, commit: CommitId) -> Setup:
        """Put exactly ``commit`` into the slot; what is still to be run there before its gates.

        Raises SlotTrouble, or what else kept it from being made: LockHeld, DiskFull, GroundError.
        """
        try:
            self._require_alone(number)
            slot = self._ready(number, commit)
            setup = self._setup(slot, commit)
            tree = tree_of(self._fleet.repository.git, commit)
            slot.check(commit, tree, self._keep, is_set_up=not setup.commands)
            self._renew_scratch(number)
            return setup
        except GitError as error:
            raise SlotTrouble(f"gate slot {self.path(number)} cannot hold {commit[:10]}: {error}") from error
        except OSError as error:
            raise as_ground_error(error, self.path(number)) from error

    def drop_scratch(self, number: int) -> None:
        """Delete the slot's scratch folder, if the link leads to one of its slots."""
        drop_scratch_at(self._scratch_link(number))

    def setup_done(self, number: int, setup: Setup) -> None:
        """Note that the setup commands passed: what they made stays while the lock files stay the same."""
        slot = Slot(self.path(number), worktree_admin.admin_of(self.path(number)))
        slot.remember(setup.key, self._keep)

    def setup_key(self, commit: CommitId) -> str:
        """What a set-up for that commit depends on, as one digest."""
        tree = tree_of(self._fleet.repository.git, commit)
        if tree not in self._setup_keys:
            setup = self._fleet.blueprint.worktrees.setup
            belongings = self._belongings
            copied = [(file, _digest(belongings.source / file)) for file in belongings.files] if belongings else []
            inputs: dict[str, object] = {
                "run": setup.run,
                "env": dict(setup.env),
                "ports": setup.ports,
                "copied": copied,
                "shared": belongings.folders if belongings else (),
                "files": setup_inputs(self._fleet.repository.git, tree, setup),
            }
            inputs |= {"keep": self._fleet.blueprint.slots.keep} if self._keep else {}
            data = json.dumps(inputs, sort_keys=True).encode("utf-8", "surrogateescape")
            self._setup_keys[tree] = hashlib.sha256(data).hexdigest()
        return self._setup_keys[tree]

    def _require_alone(self, number: int) -> None:
        """Wait for the git and the jobs of a train that was killed: they would write over what is checked out now."""
        started, is_announced = time.monotonic(), False
        while number not in self._entered:
            left = [who for who in occupants(self.path(number)) if is_marked(who.pid)]
            if not left:
                self._entered.add(number)
                continue
            waited_s = time.monotonic() - started
            if waited_s > _LEAVE_S:
                raise SlotTrouble(f"{left[0]} of a train that was killed still works in {self.path(number)}")
            if waited_s > 1 and not is_announced:
                is_announced = True
                self._announce(f"waiting until {left[0]} of a train that was killed leaves {self.path(number)}")
            time.sleep(_LOOK_AGAIN_S)

    def _ready(self, number: int, commit: CommitId) -> Slot:
        """Return the slot holding ``commit``; create it if missing, and again if a job damaged it."""
        for attempt in range(2):
            slot = self._open(number, commit)
            try:
                changed = slot.move_to(commit, self.setup_key(commit), self._keep)
                if changed:
                    self._announce(_describe_changed(number, changed))
                return slot
            except GitError:
                if attempt:
                    raise
                self._drop(number)
        raise AssertionError("unreachable")

    def _open(self, number: int, commit: CommitId) -> Slot:
        path, repository = self.path(number), self._fleet.repository
        admin = worktree_admin.admins(repository).get(Path(os.path.realpath(path)))
        if admin is None or not worktree_admin.is_linked(path, admin):
            self._drop(number)
            with exclusive(repository.state_folder, "make a gate slot", wait_s=_WAIT_S, announce=self._announce):
                path.parent.mkdir(parents=True, exist_ok=True)
                # On the disk before the slot exists: after a power cut, nothing else may say whose it is.
                write_atomically(self._owner_file(number), f"{repository.common_dir}\n", durable=True)
                worktrees.add_empty(repository, Place(path, commit, None, _reason(number)))
            admin = worktree_admin.admin_of(path)
        return Slot(path, admin)

    def _drop(self, number: int) -> None:
        """Delete a slot. The reason of its lock or its owner file says that it is ours; anything else is refused."""
        path, repository = self.path(number), self._fleet.repository
        admin = worktree_admin.admins(repository).get(Path(os.path.realpath(path)))
        is_ours = admin is not None and worktree_admin.lock_reason(admin) == _reason(number)
        owner = os.fsdecode(read_regular(self._owner_file(number)) or b"").strip()
        is_ours = is_ours or owner == str(repository.common_dir)
        if not is_ours and admin is not None:
            raise SlotTrouble(
                f"{path} is a worktree that orchestra did not make",
                hint=f"move it: git worktree move {shlex.quote(str(path))} ELSEWHERE",
            )
        if not is_ours and path.exists():
            raise SlotTrouble(f"{path} is in the way of a gate slot", hint="move it elsewhere")
        with exclusive(repository.state_folder, "renew a gate slot", wait_s=_WAIT_S, announce=self._announce):
            if is_ours:
                worktree_admin.delete(path)
            if admin is not None:
                worktree_admin.forget(repository, admin, path)

    def _owner_file(self, number: int) -> Path:
        return slots_root(self._fleet) / f"{number}.owner"

    def _renew_scratch(self, number: int) -> None:
        self.drop_scratch(number)
        folder = tempfile.mkdtemp(prefix=_SCRATCH)
        self._scratch_link(number).symlink_to(folder)

    # -- what makes a checkout build ----------------------------------------------------------------------------

    def _setup(self, slot: Slot, commit: CommitId) -> Setup:
        key = self.setup_key(commit)
        if slot.setup.key == key:
            return Setup(key, ())
        self._bring_belongings(slot.path)
        commands = self._fleet.blueprint.worktrees.setup.run
        if not commands:
            slot.remember(key, self._keep)
        return Setup(key, commands)

    def _bring_belongings(self, folder: Path) -> None:
        """Bring the files and folders that ``setup`` names, as into an agent's worktree."""
        if self._belongings is not None:
            for file in self._belongings.files:
                copy_file(self._belongings.source, file, folder)
            for shared in self._belongings.folders:
                share_folder(self._belongings.source, shared, folder)

    @cached_property
    def _belongings(self) -> Belongings | None:
        return find_belongings(self._fleet)


def drop_scratch_at(link: Path) -> None:
    """Delete the scratch folder of a slot, if ``link`` leads to one, and the link."""
    if not link.is_symlink():
        return
    folder = Path(os.readlink(link))  # noqa: PTH115
    if folder.name.startswith(_SCRATCH) and not folder.is_symlink() and folder.is_dir():
        with suppress(OSError):  # a container may have left what only root can delete: no candidate's fault
            worktree_admin.delete(folder)
    link.unlink()


def _describe_changed(number: int, changed: Sequence[str]) -> str:
    names = format_list([one_line(name) for name in changed], most=_MOST_CHANGED)
    reason = f"a gate changed {names}, which it had made"
    return f"the set-up runs again in gate slot {number}: {reason}; to reuse such files, declare slots.keep"


def _reason(number: int) -> str:
    return f"{SLOT_REASON}{number}"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
