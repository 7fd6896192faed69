"""The index as bytes: what is plain is read and written so that git agrees, the rest is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.git.index_file import IndexFile, parse_index
from tests.conftest import Checkout, MakeRepository


def index_of(checkout: Checkout) -> bytes:
    return (checkout.path / ".git" / "index").read_bytes()


def parsed(checkout: Checkout) -> IndexFile:
    index = parse_index(index_of(checkout), 20)
    assert index is not None
    return index


def test_paths_and_modes(make_repository: MakeRepository) -> None:
    checkout = make_repository({"a/ü.txt": "x", "run.sh": "#!/bin/sh\n", "x" * 200 + "/" + "y" * 100: "z"})
    (checkout.path / "link").symlink_to("run.sh")
    checkout.commit("link")
    index = parsed(checkout)
    listed = checkout.git("ls-files", "-z", "--format=%(objectmode) %(path)").split("\0")[:-1]
    assert [f"{mode:o} {os.fsdecode(path)}" for mode, path in zip(index.modes, index.paths, strict=True)] == listed


def test_a_path_longer_than_the_length_field(repository: Checkout) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"x")
    name = "/".join(["d" * 200] * 25)  # 5,024 bytes: the entry says 0xFFF and its end is a NUL
    repository.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    assert os.fsencode(name) in parsed(repository).paths


def test_the_same_stats_give_the_same_bytes(make_repository: MakeRepository) -> None:
    checkout = make_repository({f"d/{number}": f"{number}" for number in range(50)})
    index = parsed(checkout)
    stats = [os.lstat(checkout.path / os.fsdecode(path)) for path in index.paths]
    assert index.with_stats(stats) == index.data
    assert all(index.describes(number, stat) for number, stat in enumerate(stats))


def test_other_stats_are_told_from_its_own(make_repository: MakeRepository) -> None:
    checkout = make_repository({"a": "1", "b": "2"})
    index = parsed(checkout)
    (checkout.path / "a").write_text("22")
    assert not index.describes(0, os.lstat(checkout.path / "a"))
    assert index.describes(1, os.lstat(checkout.path / "b"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("update-index", "--assume-unchanged", "a"),
        ("update-index", "--skip-worktree", "a"),
        ("update-index", "--index-version", "4"),
        ("update-index", "--split-index"),
        ("update-index", "--untracked-cache"),
        ("update-index", "--force-remove", "a"),
    ],
)
def test_what_is_not_plain_is_refused(make_repository: MakeRepository, arguments: tuple[str, ...]) -> None:
    checkout = make_repository({"a": "1", "b": "2"})
    checkout.git(*arguments)
    plain = "--force-remove" in arguments  # a control: that one is plain
    assert (parse_index(index_of(checkout), 20) is not None) == plain


def test_intended_and_unmerged_entries_are_refused(make_repository: MakeRepository) -> None:
    checkout = make_repository({"a": "1"})
    (checkout.path / "new").write_text("n")
    checkout.git("add", "--intent-to-add", "new")
    assert parse_index(index_of(checkout), 20) is None
    checkout.git("reset", "--quiet")
    blob = checkout.git("hash-object", "-w", "a")
    checkout.git("update-index", "--index-info", stdin=f"100644 {blob} 2\tc\n".encode())
    assert parse_index(index_of(checkout), 20) is None


def test_an_index_without_checksum_keeps_none(make_repository: MakeRepository) -> None:
    """index.skipHash, since git 2.40."""
    checkout = make_repository({"a": "1"})
    data = index_of(checkout)[:-20] + bytes(20)
    index = parse_index(data, 20)
    assert index is not None
    assert index.with_stats([None])[-20:] == bytes(20)


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_read_but_never_a_crash(data: bytes) -> None:
    for head in (b"", b"DIRC\0\0\0\2\0\0\0\1", b"DIRC\0\0\0\2\0\0\0\0"):
        parse_index(head + data, 20)


def test_a_torn_index(make_repository: MakeRepository, tmp_path: Path) -> None:
    checkout = make_repository({f"{number}": "x" for number in range(5)})
    data = index_of(checkout)
    for length in range(0, len(data), 7):
        parse_index(data[:length], 20)
