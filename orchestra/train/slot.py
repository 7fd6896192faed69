"""One gate slot: a worktree that holds exactly one commit and what a set-up made, and can prove it.

Invariant: the index that says what the files should be is stored where no job looks for it; a job gets a copy. Whatever
a job changed, added, committed or configured in the slot is removed before the next one: files, also in folders that
the set-up made, nested repositories, the slot's own git configuration, refs and sparse checkout, and the files of its
submodules. Our git commands use fixed settings for everything that decides which files are looked at, so a setting of
the repository cannot hide a change.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestra.blueprint.scope import Matcher
from orchestra.engine.process_tree import MARK
from orchestra.errors import GroundError
from orchestra.files import LONGEST_RECORD, read_regular, write_atomically
from orchestra.git.git_process import Git
from orchestra.git.objects import TreeId
from orchestra.git.refs import CommitId
from orchestra.git.remote import limit_protocols
from orchestra.train.setup_manifest import Row, delete_tree, record_files, reset_files

_SETTINGS = {  # which files exist and are compared must not depend on the repository's configuration
    "core.sparseCheckout": "false",
    "core.sparseCheckoutCone": "false",
    "index.sparse": "false",
    "core.trustctime": "true",
    "core.checkStat": "default",
    "core.ignoreStat": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "submodule.recurse": "false",
}
_PERMANENT = frozenset(("HEAD", "commondir", "gitdir", "locked", "modules", "orchestra-index", "orchestra-slot.json"))
_SUBMODULE_MODE = "160000"
_PATIENCE_S = 600.0  # for the addresses of submodules


@dataclass(frozen=True, slots=True)
class SetupRecord:
    """The key of the set-up that is complete in a slot, None where none is, and path -> row of what it made."""

    key: str | None = None
    rows: Mapping[str, Row] = field(default_factory=dict)


class SlotTrouble(GroundError):  # noqa: N818 - it is the machine's, not the work's
    """A slot could not be made ready for a candidate."""


@dataclass(slots=True)
class Slot:
    """One slot's folder and its admin folder, with the index that we trust instead of git's own."""

    path: Path
    admin: Path
    _setup: SetupRecord | None = None  # as read, once

    @property
    def git(self) -> Git:
        paths = {"GIT_INDEX_FILE": self._index, "GIT_DIR": self.admin, "GIT_WORK_TREE": self.path}
        return self._plain.with_env(**{name: str(path) for name, path in paths.items()})

    @property
    def _plain(self) -> Git:
        """Git in the slot, marked so that a process which outlives its killed train is recognized."""
        return Git(self.path).with_env(**{MARK: "gate-slot"}).with_config(_SETTINGS)

    @property
    def _index(self) -> Path:
        return self.admin / "orchestra-index"

    @property
    def _setup_record(self) -> Path:
        return self.admin / "orchestra-slot.json"

    def move_to(self, commit: CommitId, setup: str, keep: Matcher | None) -> list[str]:
        """Make index and files those of ``commit``; else, leave only what ``setup`` made and ``keep`` matches.

        Not even that is left where another set-up ran, or a job changed what the set-up made; return what it changed.
        """
        for entry in self.admin.iterdir():  # config, refs, operations and locks of earlier jobs: nothing runs here now
            if entry.name not in _PERMANENT:
                delete_tree(entry)
            elif entry.name != "modules" and not stat.S_ISREG(entry.lstat().st_mode):
                raise SlotTrouble(f"{entry} is no regular file: a job replaced it")
        head = self.admin / "HEAD"
        if read_regular(head) != f"{commit}\n".encode():
            self.git.run("update-ref", "--no-deref", "HEAD", commit)
        self.git.run("read-tree", "--reset", "-u", commit)
        tracked, has_flags = self._read_index()
        if has_flags:
            self._index.unlink()
            self.git.run("read-tree", "--reset", "-u", commit)
        for folder in {path.rpartition("/")[0] for path in tracked} - {""}:
            _delete(self.path / folder / ".git")  # ls-files never lists it
        if ".gitmodules" in tracked:
            self._check_out_submodules()
        changed: list[str] = []
        if self.setup.key == setup:
            changed = reset_files(self.path, self.extras(), self.setup.rows, keep)
        if changed or self.setup.key != setup:
            self.forget()  # before anything is removed or made: a set-up that is cut short must not count as one
            reset_files(self.path, self.extras(), {}, None)
        self._publish_index()
        return changed

    def _read_index(self) -> tuple[list[str], bool]:
        """Return the tracked paths, and whether git would overlook any (skip-worktree, assume-unchanged)."""
        rows = self.git.run("ls-files", "-v", "-z").fields
        return [row[2:] for row in rows], any(not row.startswith("H ") for row in rows)

    def extras(self) -> tuple[str, ...]:
        """Return what is not in the commit; a folder is one name with a final slash."""
        return tuple(self.git.run("ls-files", "-z", "--others", "--directory").fields)

    def check(self, commit: CommitId, tree: TreeId, keep: Matcher | None, *, is_set_up: bool) -> None:
        """Raise SlotTrouble unless the slot holds that commit and, with ``is_set_up``, else only its set-up."""
        if self.git.text("write-tree") != tree:
            raise SlotTrouble(f"the index of {self.path} is not {commit[:10]}")
        changed = self.git.run("diff-index", "-z", "--name-only", "--ignore-submodules", commit, "--").fields
        wrong = [path for path in changed if not self._is_as_checked_out(commit, path)]
        if is_set_up:
            unknown = {name.removesuffix("/") for name in self.extras()} - self.setup.rows.keys()
            wrong += [
                name for name in unknown if keep is None or not (keep.matches(name) or (self.path / name).is_dir())
            ]
        if wrong:
            raise SlotTrouble(f"{self.path} is not clean: {', '.join(wrong[:3])}")

    def _is_as_checked_out(self, commit: CommitId, path: str) -> bool:
        """Return whether the content is right: line-end rules can make git call a file changed that it just wrote."""
        blob = self.git.run("cat-file", "--filters", f"{commit}:{path}", ok=(0, 128))
        return blob.code == 0 and blob.stdout == read_regular(
            self.path / path, below=self.path, most=len(blob.stdout) + 1
        )

    def _check_out_submodules(self) -> None:
        """Check submodules out from scratch; only the objects that were fetched for them stay."""
        self.forget()  # what a set-up made in a submodule is deleted with it
        for row in self.git.run("ls-files", "-s", "-z").fields:
            if row.startswith(_SUBMODULE_MODE):
                folder = self.path / row.partition("\t")[2]
                _delete(folder)
                folder.mkdir()
        for head in (self.admin / "modules").rglob("HEAD"):
            if (head.parent / "objects").is_dir():  # a git folder: no index, hooks or settings of an earlier job
                for name in ("index", "info", "hooks", "config.worktree", "logs", "index.lock", "HEAD.lock"):
                    _delete(head.parent / name)
        self._publish_index()
        words = ("submodule", "update", "--init", "--recursive", "--checkout", "--force")
        limit_protocols(self._plain).run(*words, timeout_s=_PATIENCE_S)

    def _publish_index(self) -> None:
        """Give git the index of this job, in one step: half an index would stop ``git gc`` in the whole repository."""
        draft = self.admin / "index.orchestra"
        shutil.copy2(self._index, draft)  # with its time, by which git knows what may be racy
        draft.replace(self.admin / "index")

    # -- what the set-up made ------------------------------------------------------------------------------------

    @property
    def setup(self) -> SetupRecord:
        if self._setup is None:
            try:
                record = json.loads(read_regular(self._setup_record, most=LONGEST_RECORD) or b"null")
                self._setup = SetupRecord(
                    str(record["setup"]), {path: (*row,) for path, row in record["files"].items()}
                )
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self._setup = SetupRecord()
        return self._setup

    def forget(self) -> None:
        self._setup_record.unlink(missing_ok=True)
        self._setup = SetupRecord()

    def remember(self, key: str, keep: Matcher | None) -> None:
        """Note that the set-up ``key`` is complete, with a row for each file and folder that it made."""
        self._setup = SetupRecord(key, record_files(self.path, self.extras(), keep))
        write_atomically(self._setup_record, json.dumps({"setup": key, "files": self._setup.rows}))


def _delete(path: Path) -> None:
    if os.path.lexists(path):
        delete_tree(path)
