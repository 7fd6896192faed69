"""One gate slot: a worktree that holds exactly one commit and what a set-up made, and can prove it.

Invariant: the index that says what the files should be is kept where no job looks for it; a job's own is a copy. What
a job changed, added, committed or configured in the slot is gone before the next one. Refuses: to guess; what cannot be
verified is ``SlotTrouble``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestra.engine.process_tree import MARK
from orchestra.errors import GroundError
from orchestra.files import write_atomically
from orchestra.git.git_process import Git
from orchestra.git.objects import TreeId
from orchestra.git.refs import CommitId


class SlotTrouble(GroundError):  # noqa: N818 - it is the machine's, not the work's
    """A slot could not be made ready for a candidate."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot's folder and what git keeps of it. The index beside the admin folder's own is the one we trust."""

    path: Path
    admin: Path

    @property
    def git(self) -> Git:
        own = {"GIT_INDEX_FILE": self._index, "GIT_DIR": self.admin, "GIT_WORK_TREE": self.path}
        return self._plain.with_env(**{name: str(path) for name, path in own.items()})

    @property
    def _plain(self) -> Git:
        """Marked as ours, so that one which outlives its killed train is known for what it is."""
        return Git(self.path).with_env(**{MARK: "gate-slot"})

    @property
    def _index(self) -> Path:
        return self.admin / "orchestra-index"

    @property
    def _memory(self) -> Path:
        return self.admin / "orchestra-slot.json"

    def move_to(self, commit: CommitId) -> None:
        """Index and files as in ``commit``; what else is there goes, but for what the set-up made."""
        for lock in (
            self._index.with_name("orchestra-index.lock"),
            self.admin / "index.lock",
            self.admin / "HEAD.lock",
        ):
            lock.unlink(missing_ok=True)  # of a killed run: nobody else works here
        if not self._index.exists() and (self.admin / "index").exists():
            shutil.copy2(self.admin / "index", self._index)
        self.git.run("update-ref", "--no-deref", "HEAD", commit)
        self.git.run("read-tree", "--reset", "-u", commit)
        self.clear_extras(self._kept())
        self._update_submodules(commit)
        shutil.copy2(self._index, self.admin / "index")  # with its time, which tells git what may be racy

    def extras(self) -> tuple[str, ...]:
        """What is there beside the commit's files, folders as one name with a final slash."""
        return tuple(self.git.run("ls-files", "-z", "--others", "--directory").fields)

    def clear_extras(self, kept: tuple[str, ...]) -> None:
        for name in self.extras():
            if name not in kept:
                _delete(self.path / name.removesuffix("/"))

    def check(self, commit: CommitId, tree: TreeId, setup: str | None) -> None:
        """Raises SlotTrouble unless the slot holds that commit and nothing but it and its set-up."""
        if self.git.text("write-tree") != tree:
            raise SlotTrouble(f"the index of {self.path} is not {commit[:10]}")
        changed = self.git.run("diff-index", "-z", "--name-only", "--ignore-submodules", commit, "--").fields
        wrong = [path for path in changed if not self._is_as_checked_out(commit, path)]
        if setup is not None:
            wrong += [name for name in self.extras() if name not in self._kept()]
        if wrong:
            raise SlotTrouble(f"{self.path} is not clean: {', '.join(wrong[:3])}")

    def _is_as_checked_out(self, commit: CommitId, path: str) -> bool:
        """Line-end rules can make git call a file changed that it has itself just written."""
        written = self.git.run("cat-file", "--filters", f"{commit}:{path}", ok=(0, 128))
        with suppress(OSError):
            return written.code == 0 and written.stdout == (self.path / path).read_bytes()
        return False

    def _update_submodules(self, commit: CommitId) -> None:
        if not self.git.run("ls-tree", commit, "--", ".gitmodules").stdout:
            return
        shutil.copy2(self._index, self.admin / "index")
        self._plain.run("submodule", "update", "--init", "--recursive", "--checkout")

    # -- what the set-up made ------------------------------------------------------------------------------------

    def setup_key(self) -> str | None:
        return self._remembered()[0]

    def _kept(self) -> tuple[str, ...]:
        return self._remembered()[1]

    def _remembered(self) -> tuple[str | None, tuple[str, ...]]:
        try:
            facts: Mapping[str, object] = json.loads(self._memory.read_text("utf-8"))
            kept = facts["kept"]
            return str(facts["setup"]), tuple(str(name) for name in kept) if isinstance(kept, list) else ()
        except (OSError, ValueError, KeyError):
            return None, ()

    def forget(self) -> None:
        self._memory.unlink(missing_ok=True)

    def remember(self, key: str, kept: tuple[str, ...]) -> None:
        write_atomically(self._memory, json.dumps({"setup": key, "kept": list(kept)}))


def _delete(place: Path) -> None:
    """Delete what a job left, also where it took away our right to."""
    if place.is_dir() and not place.is_symlink():
        for folder in _unwritable(place):
            folder.chmod(0o700)
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _unwritable(folder: Path) -> Iterator[Path]:
    """Folders whose content we may not remove as they are; outermost first, so that each can be entered."""
    if not os.access(folder, os.W_OK | os.X_OK | os.R_OK):
        yield folder
    for root, names, _ in os.walk(folder):
        for name in names:
            place = Path(root, name)
            if not place.is_symlink() and not os.access(place, os.W_OK | os.X_OK | os.R_OK):
                yield place
