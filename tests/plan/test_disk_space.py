"""The disk that worktrees will need, estimated from the index and the tree without a download."""

from __future__ import annotations

from pathlib import Path

from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository
from orchestra.plan.disk_space import (
    estimate_disk,
    is_partial_clone,
    read_free_space,
    read_index_sizes,
    worktree_bytes,
)
from tests.conftest import Checkout, MakeRepository
from tests.plan.conftest import Written
from tests.plan.test_plan import fleet


def test_files_take_whole_blocks() -> None:
    assert worktree_bytes({"a": 0, "b": 1, "c": 4096, "d": 4097}, {}, 4096) == 4 * 4096
    assert worktree_bytes({}, {}, 4096) == 0


def test_the_index_outranks_the_object_and_an_unknown_file_takes_one_block() -> None:
    assert worktree_bytes({"pointer": 130, "absent": 9}, {"pointer": 10_000, "absent": 0}, 4096) == 3 * 4096
    assert worktree_bytes({"known": None, "unknown": None}, {"known": 5_000}, 4096) == 3 * 4096
    assert worktree_bytes({"unknown": None}, {"other": 1}, 4096) is None


def test_the_index_knows_what_a_filter_expands(make_repository: MakeRepository) -> None:
    made = make_repository({"big.dat": "pointer\n", ".gitattributes": "*.dat filter=grow\n", "näme with\ttab": "abc"})
    made.git("config", "filter.grow.smudge", "head -c 50000 /dev/zero")
    made.git("config", "filter.grow.clean", "echo pointer")
    (made.path / "big.dat").unlink()
    made.git("checkout", "--", "big.dat")
    sizes = read_index_sizes(Repository.discover(made.path))
    assert sizes == {"big.dat": 50_000, ".gitattributes": 18, "näme with\ttab": 3}


def test_paths_that_a_sparse_checkout_leaves_out_take_nothing(make_repository: MakeRepository) -> None:
    made = make_repository({"kept/a": "a", "left/b": "b" * 9_000, "c": "c"})
    made.git("sparse-checkout", "set", "--cone", "--sparse-index", "kept")
    repository = Repository.discover(made.path)
    assert read_index_sizes(repository) == {"kept/a": 1, "left/b": 0, "c": 1}


def test_the_estimate_of_a_partial_clone_downloads_nothing(
    make_repository: MakeRepository, written: Written, tmp_path: Path
) -> None:
    made = make_repository({"small": "s", "big": "b" * 9_000})
    made.git("config", "uploadpack.allowFilter", "true")
    made.git("clone", "-q", "--filter=blob:none", f"file://{made.path}", str(tmp_path / "partial"))
    made.commit("one more", {"new": "n" * 9_000})
    clone = Checkout(tmp_path / "partial")
    clone.git("fetch", "-q")
    clone.git("update-ref", "refs/heads/main", "origin/main")  # the index is one commit behind
    assert is_partial_clone(Repository.discover(clone.path))
    objects = clone.git("count-objects", "-v"), clone.git("rev-list", "--objects", "--missing=print", "main")
    disk = estimate_disk(fleet(clone, written("- {name: a}")), CommitId(clone.git("rev-parse", "main")), 3)
    block = read_free_space(clone.path)[1]
    assert disk.bytes_per_worktree == (1 + -(-9_000 // block) + 1) * block
    assert disk.needed_bytes == 3 * (disk.bytes_per_worktree or 0)
    assert (clone.git("count-objects", "-v"), clone.git("rev-list", "--objects", "--missing=print", "main")) == objects


def test_a_bare_repository_is_estimated_by_its_objects(
    make_repository: MakeRepository, written: Written, tmp_path: Path
) -> None:
    made = make_repository({"a": "a" * 5_000})
    made.git("clone", "-q", "--bare", str(made.path), str(tmp_path / "bare.git"))
    bare = Checkout(tmp_path / "bare.git")
    disk = estimate_disk(fleet(bare, written("- {name: a}")), CommitId(bare.git("rev-parse", "main")), 1)
    block = read_free_space(bare.path)[1]
    assert disk.bytes_per_worktree == -(-5_000 // block) * block
