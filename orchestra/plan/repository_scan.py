"""Read the tree and history of the commit that agents would start from.

Nothing is written and nothing is fetched: missing objects of a partial clone stay missing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository

MOST_COMMITS = 20_000
"""The newest; merge commits do not count (the commits that they merge do)."""
MOST_SECONDS = 15.0
"""Limit for reading the history; the plan says where it was reached."""
MOST_FILES_A_COMMIT = 50
"""A commit with more files is an import, a rename or a reformatting: it does not show which files belong together."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class History:
    """``changes``: the paths of each meaningful commit, newest first; ``bulk`` others changed too many files."""

    changes: tuple[frozenset[str], ...] = ()
    commits: int = 0  # read, also those without changes
    bulk: int = 0
    cut: str = ""  # why older commits were not read; empty when all were


@dataclass(frozen=True, slots=True)
class Survey:
    """The tree at ``commit`` and its history.

    ``sizes`` is tracked path -> bytes, None where git would have to fetch the file to know. ``scripts`` are the names
    that package.json at the root has below "scripts" (none without package.json); None where unknown.
    """

    commit: CommitId | None
    sizes: dict[str, int | None]
    scripts: frozenset[str] | None
    history: History

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self.sizes)


def survey(repository: Repository, commit: CommitId | None) -> Survey:
    """Read all that a plan needs of ``commit``, in a fixed number of git calls."""
    if commit is None:
        return Survey(None, {}, None, History())
    # A missing object of a partial clone ends the command instead of starting a download (git >= 2.45).
    git = repository.git.with_env(GIT_NO_LAZY_FETCH="1")
    partial = _partial_filter(repository)
    tree, scripts = read_tree(git, commit, sizes=partial is None), read_scripts(git, commit)
    if partial == "trees":
        return Survey(commit, tree, scripts, History(cut="this clone has no older trees"))
    history = read_history(git, commit)
    if not history.cut and (repository.common_dir / "shallow").exists():
        history = replace(history, cut="as far as this shallow clone goes")
    return Survey(commit, tree, scripts, history)


def read_tree(git: Git, commit: str, *, sizes: bool = True) -> dict[str, int | None]:
    """Return every tracked path -> its bytes (0: a submodule, None: a lost object); without ``sizes`` all None."""
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", *(["-l"] if sizes else []), commit)
    tree: dict[str, int | None] = {}
    for entry in listed.fields:
        about, _, path = entry.partition("\t")
        size = about.split()[-1] if sizes else ""
        tree[path] = 0 if size == "-" else int(size) if size.isdecimal() else None
    return tree


def read_scripts(git: Git, commit: str) -> frozenset[str] | None:
    """Return the script names of package.json at the root of ``commit``; None where it is unreadable."""
    if not git.text("ls-tree", "--name-only", commit, "--", "package.json"):
        return frozenset()
    blob = git.run("cat-file", "blob", f"{commit}:package.json", ok=(0, 128))
    try:
        document = json.loads(blob.stdout)
    except ValueError:
        return None
    scripts = document.get("scripts", {}) if isinstance(document, dict) else None
    return frozenset(scripts) if isinstance(scripts, dict) else None


def read_history(
    git: Git, commit: str, *, most_commits: int = MOST_COMMITS, most_seconds: float = MOST_SECONDS
) -> History:
    """Read the paths that each commit up to ``commit`` changed, newest first, until either limit is reached."""
    # %x00 and the terminator make two empty fields before each commit's names; a name is never empty.
    arguments = [
        *"--root --no-merges --no-renames --name-only -z --format=tformat:%x00".split(),
        f"-n{most_commits + 1}",
    ]
    data = bytearray()
    ended = False
    until = time.monotonic() + most_seconds
    with git.conversation("log", *arguments, "--no-ext-diff", "--no-textconv", commit, "--") as process:
        pipe = process.stdout
        while pipe and not ended and time.monotonic() < until:
            chunk = os.read(pipe.fileno(), _CHUNK)
            data += chunk
            ended = not chunk
        if not ended:
            process.kill()
    changes = list(split_log(os.fsdecode(bytes(data))))
    if not ended or process.returncode:
        # The last commit read may lack some of its names.
        failed = f"git log failed with {process.returncode}"
        return _history(changes[:-1], failed if ended else f"the newest, as far as {most_seconds:g} s allowed")
    if len(changes) > most_commits:
        return _history(changes[:most_commits], "the newest")
    return _history(changes, "")


def split_log(output: str) -> Iterator[frozenset[str]]:
    """Yield the paths of each commit in the output of the ``git log`` above, also none."""
    fields = iter(output.split("\0")[:-1])
    names: list[str] | None = None
    for field in fields:
        if field and names is not None:
            names.append(field if names else field[1:])  # the first one follows a newline that git prints
            continue
        next(fields, None)
        if names is not None:
            yield frozenset(names)
        names = []
    if names is not None:
        yield frozenset(names)


def _history(changes: Sequence[frozenset[str]], cut: str) -> History:
    telling_changes = tuple(change for change in changes if 0 < len(change) <= MOST_FILES_A_COMMIT)
    bulk = sum(1 for change in changes if len(change) > MOST_FILES_A_COMMIT)
    return History(telling_changes, len(changes), bulk, cut)


def _partial_filter(repository: Repository) -> str | None:
    """Return what a partial clone left out: ``trees`` or ``blobs`` (or only big ones); None for a whole clone."""
    configured = repository.git.run("config", "--get-regexp", r"^remote\..*\.partialclonefilter$", ok=(0, 1))
    filters = [line.partition(" ")[2] for line in configured.lines]
    if not any(filters):
        return None
    return "trees" if any(f.startswith(("tree:", "combine:", "sparse:")) for f in filters) else "blobs"
