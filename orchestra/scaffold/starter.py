"""Copy a shipped fleet into a repository, with the starter that it builds on, and commit both.

A starter is a small project whose gates pass. Nothing that exists is changed: the starter is written only where the
target has nothing of what the fleet requires.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from orchestra.blueprint.catalog import SUFFIXES, named_file, near_names, shipped_blueprints, shipped_starters
from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher
from orchestra.errors import GroundError, UsageError
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId, RefName, RefUpdate, resolve, update
from orchestra.git.repository import Repository
from orchestra.scaffold.init import SCHEMA, InitPlan, plan_files
from orchestra.text import format_list

_MADE_BY_GATES = frozenset(
    (".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", "__pycache__", "dist", "node_modules")
)


def create_repository(folder: Path) -> None:
    """Create an empty git repository at ``folder``. Raises UsageError where the folder has content."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(
            f"{folder} exists and is not an empty folder",
            hint="name a new folder with --dir, or run the command in the repository without --dir",
        )
    folder.mkdir(parents=True, exist_ok=True)
    Git(folder).run("init", "--quiet")


def fleet_files(root: Path, tracked: Collection[str], fleet: str, *, invoke: bool = False) -> InitPlan:
    """Plan the copy of the shipped ``fleet`` and the files of its starter for the repository at ``root``.

    ``tracked``: the paths in the index. Raises UsageError where no such fleet ships, and GroundError where the
    repository has a part of what the fleet requires: a starter would not fit it.
    """
    source = named_file(fleet, [shipped_blueprints()])
    if source is None or source.suffix not in SUFFIXES or "/" in fleet:
        raise UsageError(f'no fleet "{fleet}" ships with orchestra', hint=near_names(fleet, [shipped_blueprints()]))
    blueprint = load_blueprint(source)
    # The first lines of a shipped file name the schema next to it; those of the copy name the one that init writes.
    text = source.read_text("utf-8").replace("$schema=../schemas/", f"$schema=../{SCHEMA.parent}/")
    text = text.replace("$schema: ../schemas/", f"$schema: ../{SCHEMA.parent}/")
    starter_texts: dict[PurePosixPath, str] = {}
    missing = [pattern for pattern in blueprint.requires if not any(map(Matcher(Scope((pattern,))).matches, tracked))]
    if missing and len(missing) < len(blueprint.requires):
        raise GroundError(
            f"{root} lacks {format_list(missing)}, which {fleet} requires, and has the rest",
            hint="add what is missing by hand and commit it: the starter would not fit the files that exist",
        )
    if missing and blueprint.starter:
        starter = shipped_starters() / blueprint.starter
        starter_texts = _starter_texts(starter)
    return plan_files(root, PurePosixPath("blueprints") / source.name, starter_texts, text, invoke=invoke)


def _starter_texts(starter: Path) -> dict[PurePosixPath, str]:
    """Read the files of a starter, without what its own gates leave in a clone of orchestra."""
    files = {PurePosixPath(path.relative_to(starter)): path for path in starter.rglob("*") if path.is_file()}
    return {name: files[name].read_text("utf-8") for name in sorted(files) if _MADE_BY_GATES.isdisjoint(name.parts)}


def require_committable(git: Git) -> RefName:
    """Return the branch that is checked out. Raises GroundError where a commit cannot be made."""
    head = git.run("symbolic-ref", "--quiet", "HEAD", ok=(0, 1))
    if head.code:
        raise GroundError("HEAD is detached: init commits to a branch", hint="check out the target branch first")
    git.run("var", "GIT_COMMITTER_IDENT")
    return RefName(head.text)


def commit_files(repository: Repository, branch: RefName, paths: Collection[PurePosixPath], message: str) -> CommitId:
    """Commit these new files to ``branch``, which is checked out, and nothing else of what is staged.

    Files that the repository ignores are left out. Raises MovedError where the branch moved meanwhile.
    """
    git = repository.at(repository.top)
    names = [str(path) for path in paths]
    added = git.run("ls-files", "--others", "--exclude-standard", "-z", "--", *names).fields
    head = resolve(git, branch)
    with tempfile.TemporaryDirectory(prefix="orchestra-") as scratch:
        index = git.with_env(GIT_INDEX_FILE=f"{scratch}/index")
        if head is not None:
            index.run("read-tree", head)
        index.run("add", "--", *added)
        parent = ("-p", head) if head is not None else ()
        commit = CommitId(index.text("commit-tree", index.text("write-tree"), *parent, "-m", message))
    update(git, [RefUpdate(branch, commit, head)], reason="init")
    git.run("add", "--", *added)
    return commit
