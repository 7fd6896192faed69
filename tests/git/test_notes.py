"""Notes of landed commits."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestra.git.git_process import Git
from orchestra.git.notes import write_notes
from orchestra.git.refs import CommitId, update
from tests.conftest import Checkout


def add_notes(repository: Checkout, notes: Mapping[CommitId, str]) -> None:
    git = Git(repository.path)
    update(git, [write_notes(git, notes)], reason="add notes")


def test_notes_of_several_commits_are_kept(repository: Checkout) -> None:
    first = CommitId(repository.git("rev-parse", "main"))
    second = CommitId(repository.commit("second"))
    add_notes(repository, {first: "one\n", second: "two\n"})
    add_notes(repository, {first: "one, changed\n"})
    assert repository.git("notes", "--ref=orchestra", "show", first) == "one, changed"
    assert repository.git("notes", "--ref=orchestra", "show", second) == "two"
    assert repository.git("for-each-ref", "--format=%(refname)", "refs/notes/") == "refs/notes/orchestra"


def test_notes_that_a_person_added_are_kept(repository: Checkout) -> None:
    first = CommitId(repository.git("rev-parse", "main"))
    repository.git("notes", "--ref=orchestra", "add", "-m", "by hand", first)
    second = CommitId(repository.commit("second"))
    add_notes(repository, {second: "without a newline at the end"})
    assert repository.git("notes", "--ref=orchestra", "show", first) == "by hand"
    assert repository.git("notes", "--ref=orchestra", "show", second) == "without a newline at the end"


def test_a_symbolic_notes_ref_does_not_move_what_it_points_to(repository: Checkout) -> None:
    head = CommitId(repository.git("rev-parse", "main"))
    repository.git("symbolic-ref", "refs/notes/orchestra", "refs/heads/main")
    add_notes(repository, {head: "text\n"})
    assert repository.git("rev-parse", "main") == head
    assert repository.git("notes", "--ref=orchestra", "show", head) == "text"


def test_a_notes_ref_that_holds_no_commit_is_replaced(repository: Checkout) -> None:
    head = CommitId(repository.git("rev-parse", "main"))
    repository.git("update-ref", "refs/notes/orchestra", repository.git("rev-parse", "main^{tree}"))
    add_notes(repository, {head: "text\n"})
    assert repository.git("notes", "--ref=orchestra", "show", head) == "text"
    assert not list((repository.path / ".git").glob("fast_import_crash*"))


def test_the_committer_alone_is_enough(repository: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for key in ("user.name", "user.email"):
        repository.git("config", "--unset-all", key, ok=False)
    repository.git("config", "user.useConfigOnly", "true")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "A B")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ab@example.org")
    head = CommitId(repository.git("rev-parse", "main"))
    add_notes(repository, {head: "text\n"})
    shape = "--format=%an <%ae>, %cn <%ce>"
    assert repository.git("log", "-1", shape, "refs/notes/orchestra") == "A B <ab@example.org>, A B <ab@example.org>"
