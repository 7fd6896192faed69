"""Notes of landed commits."""

from __future__ import annotations

import pytest

from orchestra.git.git_process import Git
from orchestra.git.notes import add_note
from orchestra.git.refs import CommitId
from tests.conftest import Checkout


def test_notes_of_several_commits_are_kept(repository: Checkout) -> None:
    first = CommitId(repository.git("rev-parse", "main"))
    second = CommitId(repository.commit("second"))
    add_note(Git(repository.path), first, "one\n")
    add_note(Git(repository.path), second, "two\n")
    add_note(Git(repository.path), first, "one, changed\n")
    assert repository.git("notes", "--ref=orchestra", "show", first) == "one, changed"
    assert repository.git("notes", "--ref=orchestra", "show", second) == "two"
    assert repository.git("for-each-ref", "--format=%(refname)", "refs/notes/") == "refs/notes/orchestra"


def test_a_symbolic_notes_ref_does_not_move_what_it_points_to(repository: Checkout) -> None:
    head = CommitId(repository.git("rev-parse", "main"))
    repository.git("symbolic-ref", "refs/notes/orchestra", "refs/heads/main")
    add_note(Git(repository.path), head, "text\n")
    assert repository.git("rev-parse", "main") == head
    assert repository.git("notes", "--ref=orchestra", "show", head) == "text"


def test_the_committer_alone_is_enough(repository: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for key in ("user.name", "user.email"):
        repository.git("config", "--unset-all", key, ok=False)
    repository.git("config", "user.useConfigOnly", "true")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "A B")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ab@example.org")
    head = CommitId(repository.git("rev-parse", "main"))
    add_note(Git(repository.path), head, "text\n")
    shape = "--format=%an <%ae>, %cn <%ce>"
    assert repository.git("log", "-1", shape, "refs/notes/orchestra") == "A B <ab@example.org>, A B <ab@example.org>"
