"""Trees compared through an open reader give what ``git diff-tree`` gives."""

from __future__ import annotations

import pytest

from orchestra.git import tree_diff
from orchestra.git.git_process import Git
from orchestra.git.objects import Commit, Objects, TreeId, our_ident
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import changes
from tests.conftest import Checkout


def commit_tree(repository: Checkout, rows: list[tuple[bytes, bytes, str]]) -> CommitId:
    """Commit a tree with exactly these (mode, name, id), even where git would not write it so."""
    data = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(id_) for mode, name, id_ in rows)
    place = repository.path.parent / "tree"
    place.write_bytes(data)
    tree = TreeId(repository.git("hash-object", "-t", "tree", "-w", "--literally", str(place)))
    with Objects(Git(repository.path)) as objects:
        return objects.write_commit(Commit(tree, (), our_ident(), our_ident(), b"tree\n"))


def test_comparing_through_a_reader_gives_what_diff_tree_gives(
    repository: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = CommitId(repository.commit("old", {"a": "1\n", "b/c": "1\n", "b/d/e": "1\n", "run": "#!/bin/sh\n"}))
    blob, tree = repository.git("rev-parse", f"{old}:a"), repository.git("rev-parse", f"{old}:b")
    commits = [
        commit_tree(repository, [(b"100664", b"a", blob), (b"040000", b"b", tree), (b"100700", b"run", blob)]),
        commit_tree(repository, [(b"100644", b"a", blob), (b"40000", b"b", tree), (b"100755", b"run", blob)]),
        commit_tree(repository, [(b"120777", b"a", blob), (b"100644", b"b", blob), (b"160000", b"run", "1" * 40)]),
        commit_tree(repository, [(b"120000", b"a", blob), (b"160000", b"b", "2" * 40), (b"40000", b"run", tree)]),
        commit_tree(repository, []),
        old,
    ]
    git = Git(repository.path)
    with Objects(git) as objects:
        for first in commits:
            for second in commits:
                monkeypatch.setattr(tree_diff, "_KNOWN", {})
                expected = dict(changes(git, first, second))
                monkeypatch.setattr(tree_diff, "_KNOWN", {})
                assert dict(changes(git, first, second, objects)) == expected, (first, second)
