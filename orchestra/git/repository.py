"""A repository, opened: where it lives, and what can be read from it.

Opening changes nothing. What changes a repository is in ``refs``, ``objects``, ``worktrees``, ``worktree_removal``,
``checkout`` and ``remote``. What is absent is None; ``require_`` raises with a hint.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestra.errors import GitError, GroundError, UsageError
from orchestra.files import write_atomically
from orchestra.git import ancestry
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId, RefName, branch_ref, resolve
from orchestra.git.special_files import find_common_dir, remove_special_files

_PLACES = re.compile(r"(.*)\n(?:true|false)\n(.*)\n(?:true|false)(?:\n(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Worktree:
    """One entry of ``git worktree list``. ``branch`` is short, None when detached; ``path`` may be gone."""

    path: Path
    head: CommitId | None
    branch: str | None
    bare: bool = False
    locked: str | None = None  # the reason, "" when none was given
    prunable: str | None = None


@dataclass(frozen=True, slots=True)
class Divergence:
    """Commits on the left that the right lacks, and the other way round."""

    ahead: int
    behind: int


class Repository:
    """One repository, whichever of its worktrees it was found from.

    ``home`` is the main checkout, or the bare repository itself where there is no main checkout.
    ``top`` is the worktree that it was found from, where commands write; ``git`` runs in ``home``.
    """

    def __init__(self, home: Path, common_dir: Path, *, bare: bool, top: Path | None = None) -> None:
        self.home = home
        self.top = top or home
        self.common_dir = common_dir
        self.bare = bare
        self.git = Git(home).with_env(GIT_DIR=str(common_dir)) if bare else Git(home)

    @classmethod
    def discover(cls, folder: Path) -> Repository:
        """Open the repository around ``folder``. GroundError where there is none, or where git would use another place.

        Its git folder is named explicitly, as safe.bareRepository=explicit demands.
        """
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder")
        if (likely := find_common_dir(folder.resolve())) is not None:
            remove_special_files(likely)  # before git opens one
        common, git_dir, here = _locate(folder)
        if here is not None and git_dir == common:  # in the main checkout
            main = here
        else:
            git = Git(common.parent).with_env(GIT_DIR=str(common))
            output = git.run("rev-parse", "--is-bare-repository", "--show-toplevel", ok=(0, 128))
            if output.lines[:1] == ["true"]:
                if common.name == ".git" and (common / "index").exists():
                    # Test suites that run git without isolation leave that behind.
                    hint = f"git -C {shlex.quote(str(common.parent))} config core.bare false"
                    raise GroundError(
                        f"{common.parent} is a checkout, but its repository says core.bare=true", hint=hint
                    )
                return cls(common, common, bare=True, top=here)
            if output.code:
                raise GitError(output.argv, output.code, output.stderr)
            main = Path("\n".join(output.lines[1:])).resolve()  # a path may hold newlines
            if main == common.parent and common.name != ".git":
                hint = "run it in the main checkout, or name that with --repo"
                raise GroundError(f"{common} does not say where its main checkout is", hint=hint)
        if main != common.parent and common.name == ".git" and not (main / ".git").is_file():
            hint = f"git -C {shlex.quote(str(common))} config --unset core.worktree"
            raise GroundError(f"{common.parent} is a checkout, but its repository says core.worktree={main}", hint=hint)
        return cls(main, common, bare=False, top=here)

    @property
    def state_folder(self) -> Path:
        """The folder of everything that orchestra stores outside refs: ``<common dir>/orchestra``."""
        return self.common_dir / "orchestra"

    def at(self, worktree: Path) -> Git:
        """Git in one of the worktrees."""
        return Git(worktree)

    def find_unwritable(self) -> Path | None:
        """Return a folder where git or orchestra has to write and cannot; None where all can be written."""
        common, state = self.common_dir, self.state_folder
        folders = (common, common / "objects", common / "refs", common / "worktrees", state, state / "fleets")
        return next((place for place in folders if place.exists() and not os.access(place, os.W_OK | os.X_OK)), None)

    def require_writable(self) -> None:
        """Raise GroundError where git or orchestra cannot write: a dry run checks what the run checks."""
        if (place := self.find_unwritable()) is not None:
            shown = shlex.quote(str(place))
            hint = f"findmnt -T {shown} and ls -ld {shown} show why"
            raise GroundError(f"{place} cannot be written", hint=hint)

    # -- names ------------------------------------------------------------------------------------------------

    def resolve(self, name: str) -> CommitId | None:
        """The commit of a full ref or object name, or None."""
        return resolve(self.git, name)

    def branch_tip(self, branch: str) -> CommitId | None:
        return self.resolve(branch_ref(branch))

    def resolve_symbolic_branch(self, branch: str) -> str:
        """Return the branch that a symbolic ``refs/heads/BRANCH`` stands for, else ``branch`` itself.

        Refs are never followed when they move, so that a target has to be resolved once, at the start.
        """
        output = self.git.run("symbolic-ref", "--quiet", branch_ref(branch), ok=(0, 1, 128))
        return output.text.removeprefix("refs/heads/") if output.text.startswith("refs/heads/") else branch

    def current_branch(self) -> str | None:
        """The branch checked out at ``home`` (also when unborn); None when HEAD is detached."""
        output = self.git.run("symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1))
        return output.text if output.code == 0 else None

    def remotes(self) -> tuple[str, ...]:
        return tuple(line for line in self.git.run("remote").lines if line)

    def default_remote(self) -> str | None:
        """Return ``origin`` where there is such a remote, else None."""
        return "origin" if "origin" in self.remotes() else None

    def default_target(self, remote: str | None) -> str | None:
        """The remote's default branch, else the branch at ``home``, else None (detached)."""
        if remote is not None:
            head = self.git.run("symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD", ok=(0, 1, 128))
            if head.code == 0:
                return head.text.removeprefix(f"refs/remotes/{remote}/")
        return self.current_branch()

    # -- history ----------------------------------------------------------------------------------------------

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        return ancestry.is_ancestor(self.git, ancestor, descendant)

    def merge_base(self, first: str, second: str) -> CommitId | None:
        """The best common ancestor; None when the histories are unrelated."""
        return ancestry.merge_base(self.git, first, second)

    def fork(self, target: str, tip: str, base: CommitId) -> CommitId:
        """Return the commit after which a branch's own work starts; candidates are built from there.

        It is the merge base with ``target``; or the recorded ``base`` where the target lacks that (it was rewritten,
        or the branch was started on another branch that landed under another commit id).
        """
        return base if ancestry.is_rewritten(self.git, target, tip, base) else self.merge_base(target, tip) or base

    def divergence(self, first: str, right: str) -> Divergence:
        counts = self.git.text("rev-list", "--left-right", "--count", f"{first}...{right}", "--")
        ahead, behind = counts.split()
        return Divergence(int(ahead), int(behind))

    def count_commits(self, since: str, until: str) -> int:
        return int(self.git.text("rev-list", "--count", f"{since}..{until}", "--"))

    # -- worktrees and config -----------------------------------------------------------------------------------

    def worktrees(self) -> tuple[Worktree, ...]:
        """Return every worktree that git knows of, the main one first."""
        words = ("worktree", "list", "--porcelain", "-z")
        remove_special_files(self.common_dir)
        output = self.git.run(*words, ok=(0, 128))
        if output.code:  # after a power cut, maybe: git does not sync these files, and then refuses every listing
            restore_common_dirs(self.common_dir)
            output = self.git.run(*words)
        entries: list[list[str]] = [[]]
        for field in output.fields:
            if field:
                entries[-1].append(field)
            else:
                entries.append([])
        main, *linked = (_worktree(entry) for entry in entries if entry)
        # Where the git folder is not <checkout>/.git, git lists that folder in the place of the checkout.
        return (replace(main, path=self.home), *linked)

    def config(self, key: str) -> str | None:
        """The value of a config key as git sees it from ``home``; None when unset."""
        output = self.git.run("config", "--get", key, ok=(0, 1))
        return output.text if output.code == 0 else None

    def require_commit(self, name: str) -> CommitId:
        commit = self.resolve(name)
        if commit is None:
            raise GroundError(f"{name} does not exist in {self.home}")
        return commit


def restore_common_dirs(common_dir: Path) -> None:
    """Write the ``commondir`` files of linked worktrees that are empty or missing; their content is always the same."""
    for admin in (common_dir / "worktrees").glob("*/"):
        place = admin / "commondir"
        if not place.is_file() or place.stat().st_size == 0:
            write_atomically(place, "../..\n", durable=True)


def _locate(folder: Path) -> tuple[Path, Path, Path | None]:
    """Return the common git folder, the git folder and the top of the worktree around ``folder``, all resolved.

    The top is None in a bare repository and inside a git folder.
    """
    # The answers "true" or "false" separate the paths, which may hold newlines.
    places = ("--git-common-dir", "--is-bare-repository", "--git-dir", "--is-bare-repository", "--show-toplevel")
    words = ("rev-parse", "--path-format=absolute", *places)
    output = Git(folder).run(*words, ok=(0, 128))
    if not output.stdout and "safe.bareRepository" in output.stderr:
        output = Git(folder).with_env(GIT_DIR=str(folder.resolve())).run(*words, ok=(0, 128))
    if match := _PLACES.fullmatch(output.text):
        common, git_dir, top = match.groups()
        return Path(common).resolve(), Path(git_dir).resolve(), Path(top).resolve() if top else None
    if "dubious ownership" in output.stderr:
        hint = f"if you trust it: git config --global --add safe.directory {shlex.quote(str(folder.resolve()))}"
        raise GroundError(f"git refuses the repository around {folder}: another user owns it", hint=hint)
    first = next(iter(output.stderr.splitlines()), "").removeprefix("fatal: ")
    if "not a git repository" in first:
        hint = "run it inside a repository, or name one with --repo"
        raise GroundError(f"{folder} is not inside a git repository: {first}", hint=hint)
    raise GroundError(f"git cannot open the repository around {folder}: {first}", hint=f"git -C {folder} status")


def _worktree(fields: Sequence[str]) -> Worktree:
    facts: Mapping[str, str] = {key: value for key, _, value in (field.partition(" ") for field in fields)}
    branch = facts.get("branch", "").removeprefix("refs/heads/") or None
    head = facts.get("HEAD")
    commit = CommitId(head) if head and head.strip("0") else None
    bare, locked, prunable = "bare" in facts, facts.get("locked"), facts.get("prunable")
    return Worktree(Path(facts["worktree"]), commit, branch, bare, locked, prunable)


__all__ = ["CommitId", "Divergence", "RefName", "Repository", "Worktree"]
