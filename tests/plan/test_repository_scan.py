"""What is read from real repositories, odd ones too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.git.repository import Repository
from orchestra.plan.repository_scan import (
    MOST_FILES_A_COMMIT,
    History,
    Survey,
    read_history,
    read_tree,
    split_log,
    survey,
)
from tests.conftest import Checkout, MakeRepository


def surveyed(checkout: Checkout) -> Survey:
    repository = Repository.discover(checkout.path)
    return survey(repository, repository.resolve("HEAD"))


def test_tree_sizes_and_history_newest_first(make_repository: MakeRepository) -> None:
    made = make_repository({"a": "12345", "d/b": ""}, {"a": "1"}, {"d/b": None, "c": "é"})
    found = surveyed(made)
    assert found.sizes == {"a": 1, "c": 2}
    assert found.history.changes == (frozenset({"d/b", "c"}), frozenset({"a"}), frozenset({"a", "d/b"}))
    assert (found.history.commits, found.history.bulk, found.history.cut) == (3, 0, "")


def test_names_that_could_be_taken_for_something_else(repository: Checkout) -> None:
    names = {"\nnewline", "tab\t", " blank", "\x01", ":(top)", "-n", os.fsdecode(b"\xff\xfe")}
    repository.commit("odd", dict.fromkeys(names, "x"))
    found = surveyed(repository)
    assert found.history.changes == (frozenset(names), frozenset({"README.md"}))
    assert set(found.sizes) == names | {"README.md"}


def test_empty_commits_merges_and_bulk_commits_say_nothing(repository: Checkout) -> None:
    repository.git("checkout", "-q", "-b", "side")
    repository.commit("side", {"side": "x"})
    repository.git("checkout", "-q", "main")
    repository.commit("bulk", {f"many/{number}": "x" for number in range(MOST_FILES_A_COMMIT + 1)})
    repository.commit("empty")
    repository.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    history = surveyed(repository).history
    assert set(history.changes) == {frozenset({"side"}), frozenset({"README.md"})}
    assert (history.commits, history.bulk) == (4, 1)


def test_the_users_git_configuration_changes_nothing(make_repository: MakeRepository) -> None:
    made = make_repository({"a": "text\n" * 20}, {"a": None, "d/b": "text\n" * 20})
    settings = {"diff.renames": "copies", "log.follow": "true", "diff.relative": "true", "log.showRoot": "false"}
    for key, value in {**settings, "core.quotePath": "true", "log.showSignature": "true"}.items():
        made.git("config", key, value)
    assert surveyed(made).history.changes == (frozenset({"a", "d/b"}), frozenset({"a"}))


def test_old_commits_are_left_out_beyond_the_limit(make_repository: MakeRepository) -> None:
    made = make_repository(*({f"f{number}": "x"} for number in range(6)))
    git = Repository.discover(made.path).git
    limited = read_history(git, "HEAD", most_commits=4)
    assert limited.changes == tuple(frozenset({f"f{number}"}) for number in (5, 4, 3, 2))
    assert (limited.commits, limited.cut) == (4, "the newest")
    assert read_history(git, "HEAD", most_commits=6).cut == ""


def test_reading_stops_when_its_time_is_over(make_repository: MakeRepository) -> None:
    made = make_repository({"a": "x"})
    history = read_history(Repository.discover(made.path).git, "HEAD", most_seconds=0)
    assert (history.changes, history.cut) == ((), "the newest, as far as 0 s allowed")


def test_a_damaged_history_is_reported_and_not_used(make_repository: MakeRepository) -> None:
    made = make_repository({"a": "1"}, {"a": "2"}, {"a": "3"})
    tree = made.git("rev-parse", "HEAD~1^{tree}")
    (made.path / ".git/objects" / tree[:2] / tree[2:]).unlink()
    assert surveyed(made).history.cut.startswith("git log failed")


@pytest.mark.parametrize(
    ("package", "scripts"),
    [
        ('{"scripts": {"test": "vitest", "lint": "eslint"}}', {"test", "lint"}),
        ('{"name": "x"}', set()),
        ('{"scripts": ["test"]}', None),
        ("[1]", None),
        ("{not json", None),
        (b"\xff\xfe\x00", None),
        (None, set()),
    ],
)
def test_scripts_of_package_json(make_repository: MakeRepository, package: str | bytes | None, scripts: object) -> None:
    files: dict[str, str | bytes | None] = {"README.md": "x", "web/package.json": '{"scripts": {"no": "no"}}'}
    if package is not None:
        files["package.json"] = package
    assert surveyed(make_repository(files)).scripts == scripts


def test_a_submodule_is_a_path_without_bytes(repository: Checkout) -> None:
    head = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    repository.git("commit", "-q", "-m", "submodule")
    assert surveyed(repository).sizes["vendor/lib"] == 0


def test_a_file_with_a_lost_object_has_no_size(make_repository: MakeRepository) -> None:
    checkout = make_repository({"a": "gone\n", "b": "here\n"})
    blob = checkout.git("rev-parse", "HEAD:a")
    (checkout.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    assert read_tree(Repository.discover(checkout.path).git, "HEAD") == {"a": None, "b": 5}


def test_without_a_commit_there_is_nothing(tmp_path: Path) -> None:
    Checkout(tmp_path).git("init", "-q")
    assert survey(Repository.discover(tmp_path), None) == Survey(None, {}, None, History())


def clone(source: Checkout, target: Path, *options: str) -> Checkout:
    source.git("config", "uploadpack.allowFilter", "true")
    source.git("clone", "-q", "--no-checkout", *options, f"file://{source.path}", str(target))
    return Checkout(target)


def objects(checkout: Checkout) -> str:
    return checkout.git("count-objects", "-v")


def test_a_blobless_clone_is_not_filled_up(make_repository: MakeRepository, tmp_path: Path) -> None:
    made = make_repository({"a": "1" * 50, "b": "x"}, {"a": "2" * 60})
    partial = clone(made, tmp_path / "partial", "--filter=blob:none")
    before = objects(partial)
    found = surveyed(partial)
    assert found.sizes == {"a": None, "b": None}
    assert found.history.changes == (frozenset({"a"}), frozenset({"a", "b"}))
    assert objects(partial) == before


def test_the_history_of_a_treeless_clone_is_not_read(make_repository: MakeRepository, tmp_path: Path) -> None:
    made = make_repository({"a": "1"}, {"a": "2"})
    partial = clone(made, tmp_path / "partial", "--filter=tree:0")
    partial.git("checkout", "-q", "main")
    before = objects(partial)
    history = surveyed(partial).history
    assert (history.changes, history.cut) == ((), "this clone has no older trees")
    assert objects(partial) == before


def test_a_shallow_clone_gives_the_history_it_has(make_repository: MakeRepository, tmp_path: Path) -> None:
    made = make_repository({"a": "1"}, {"b": "2"}, {"b": "3"})
    shallow = clone(made, tmp_path / "shallow", "--depth=2")
    history = surveyed(shallow).history
    assert history.changes == (frozenset({"b"}), frozenset({"a", "b"}))
    assert history.cut == "as far as this shallow clone goes"


def test_split_log_of_nothing() -> None:
    assert list(split_log("")) == []


def test_a_tree_of_another_commit_can_be_read_without_sizes(make_repository: MakeRepository) -> None:
    made = make_repository({"a": "1"}, {"b": "2"})
    git = Repository.discover(made.path).git
    assert read_tree(git, "HEAD~1", sizes=False) == {"a": None}
