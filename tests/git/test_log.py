"""Reading commits and changes."""

from __future__ import annotations

import pytest

from orchestra.git.log import FileChange, changed_paths, changes, commits, patch
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository
from tests.conftest import MakeRepository


def test_commits_come_oldest_first_with_their_trailers(make_repository: MakeRepository) -> None:
    checkout = make_repository()
    base = CommitId(checkout.git("rev-parse", "HEAD"))
    checkout.commit("First\n\nBody.\n\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n", {"a": "1"})
    head = CommitId(checkout.commit("Zweite, ünï", {"a": "2"}))
    first, second = commits(Repository.discover(checkout.path), base, head)
    assert (first.subject, second.subject) == ("First", "Zweite, ünï")
    assert first.trailers == (("Orchestra-Agent", "schema"), ("Orchestra-Fleet", "mvp5"))
    assert first.author == "Ada Test <ada@example.org>"
    assert second.id == head


def test_another_repository_in_the_environment_is_not_read(
    make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, other = make_repository(name="here"), make_repository(name="there")
    base = CommitId(checkout.git("rev-parse", "HEAD"))
    head = CommitId(checkout.commit("here", {"a": "1"}))
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    assert [commit.subject for commit in commits(Repository.discover(checkout.path), base, head)] == ["here"]


def test_changes_tell_renames_binaries_and_odd_names(make_repository: MakeRepository) -> None:
    lines = "".join(f"line {number}\n" for number in range(20))
    checkout = make_repository({"old name": lines, "bin": b"\0\1", "gone\ttab": "x\n"})
    base = CommitId(checkout.git("rev-parse", "HEAD"))
    head = CommitId(
        checkout.commit(
            "change", {"old name": None, "new\nname": lines + "more\n", "bin": b"\0\2", "gone\ttab": None, "ü": "u\n"}
        )
    )
    repository = Repository.discover(checkout.path)
    assert changes(repository, base, head) == (
        FileChange("bin", None, None),
        FileChange("gone\ttab", 0, 1),
        FileChange("new\nname", 1, 0, "old name"),
        FileChange("ü", 1, 0),
    )
    assert changed_paths(repository, base, head) == {"bin", "gone\ttab", "new\nname", "old name", "ü"}
    assert "gone" not in patch(repository, base, head, leave_out=["gone\ttab"])
    assert "+more" in patch(repository, base, head)
