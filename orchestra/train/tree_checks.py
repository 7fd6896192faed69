"""Check the new trees of a branch as a server does before it accepts them (git fsck), and its links to repositories.

git itself builds, merges and lands trees that ``git fsck`` calls broken; a server with ``receive.fsckObjects`` then
refuses the target, and a checkout shows something else than what was tested.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from orchestra.errors import GroundError
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import changes

_MODES = frozenset((b"100644", b"100755", b"100664", b"120000", b"40000", b"160000"))
_FOLDER, _LINK, _REPOSITORY = b"40000", b"120000", b"160000"
_REPOSITORY_MODE = "160000"
# Characters that HFS+ ignores in names (utf8.c of git, next_hfs_char).
_HFS_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF], None)
_GIT_FOLDER = re.compile(r"(\.git|git~[0-9]+)[ .]*(:.*)?", re.IGNORECASE | re.DOTALL)  # also as NTFS reads it


def malformed_trees(git: Git, base: CommitId, tips: Collection[CommitId]) -> tuple[str, ...]:
    """Return what is wrong with the trees that ``tips`` add to ``base``, as sentences; nothing when they are sound."""
    if not tips:
        return ()
    walk = git.run("rev-list", "--objects", "--no-object-names", "--filter=blob:none", *tips, f"^{base}", "--")
    batch = git.run("cat-file", "--batch", stdin=walk.stdout).stdout
    problems: list[str] = []
    place = 0
    while place < len(batch):
        end = batch.index(b"\n", place)
        name, kind, size = batch[place:end].decode("ascii").split(" ")
        data, place = batch[end + 1 : end + 1 + int(size)], end + 2 + int(size)
        if kind == "tree":
            problems += [f"tree {name[:10]} {problem}" for problem in tree_problems(data, len(name))]
    return tuple(dict.fromkeys(problems))


def tree_problems(data: bytes, id_digits: int = 40) -> Iterator[str]:
    """Yield what ``git fsck`` would find in a tree object. Pure."""
    names: set[bytes] = set()
    previous: bytes | None = None
    for mode, name in _entries(data, id_digits // 2):
        shown = ascii(name.decode("utf-8", "replace"))
        if mode not in _MODES:
            yield f"has the unknown mode {mode.decode('latin-1')!a} for {shown}"
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            yield f"has an entry with the name {shown}, which no checkout can have"
        elif is_git_folder_name(name):
            yield f"has an entry {shown}, which is .git on some file systems"
        elif mode == _LINK and name.lower() == b".gitmodules":
            yield "has .gitmodules as a symbolic link"
        if name in names:
            yield f"has two entries with the name {shown}"
        names.add(name)
        key = name + (b"/" if mode == _FOLDER else b"")
        if previous is not None and key < previous:
            yield "is not sorted"
        previous = key


def is_git_folder_name(name: bytes) -> bool:
    """Return whether a file system may take the name for ``.git``: HFS+ ignores characters, NTFS drops an ending."""
    text = name.decode("utf-8", "replace").translate(_HFS_IGNORED)
    return any(_GIT_FOLDER.fullmatch(part) for part in re.split(r"[\\/]", text))


def _entries(data: bytes, id_size: int) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(data):
        end = data.find(b"\0", place)
        mode, space, name = data[place:end].partition(b" ")
        if end < 0 or not space or end + 1 + id_size > len(data):
            raise GroundError("a tree object is cut short")
        yield mode, name
        place = end + 1 + id_size


def undeclared_repositories(git: Git, fork: CommitId, tip: CommitId) -> tuple[str, ...]:
    """Return links to other repositories that the branch adds without an entry in .gitmodules.

    ``git add`` makes one of a repository or worktree nested in the folder; no other clone can fill it.
    """
    added = [
        path
        for path, change in changes(git, fork, tip).items()
        if change.new is not None and change.new.mode == _REPOSITORY_MODE
    ]
    if not added:
        return ()
    blob = f"{tip}:.gitmodules"
    listing = git.run("config", "--blob", blob, "-z", "--get-regexp", r"^submodule\..*\.path$", ok=(0, 1, 128))
    declared = {field.partition("\n")[2] for field in listing.fields} if listing.code == 0 else set()
    return tuple(path for path in added if path not in declared)
