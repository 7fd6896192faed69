"""No program that a repository's own configuration names is run; what the user set up globally is."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.errors import GroundError
from orchestra.git.git_process import Git
from orchestra.git.unsaved_work import find_unsaved, refuse_unpushed, take_snapshot
from tests.conftest import Checkout


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def program(proof: Path) -> str:
    return f"touch '{proof}'; cat"


def test_a_filter_of_the_repository_is_not_run(repository: Checkout, proof: Path) -> None:
    repository.commit("attributes", {".gitattributes": "*.x filter=f\n"})
    repository.git("config", "filter.f.clean", program(proof))
    repository.git("config", "filter.f.smudge", program(proof))
    repository.write({"a.x": "content\n"})
    snapshot = take_snapshot(repository.path)
    assert repository.git("show", f"{snapshot.files}:a.x") == "content"
    assert not proof.exists()


def test_a_filter_in_config_worktree_or_an_included_file_is_not_run(repository: Checkout, proof: Path) -> None:
    repository.commit("attributes", {".gitattributes": "*.x filter=f\n*.y filter=g\n"})
    repository.git("config", "extensions.worktreeConfig", "true")
    repository.git("worktree", "add", "-q", "-b", "work", "../work")
    work = Checkout(repository.path.parent / "work")
    work.git("config", "--worktree", "filter.f.clean", program(proof))
    (repository.path.parent / "more").write_text(f'[filter "g"] clean = "{program(proof)}"\n')
    work.git("config", "include.path", str(repository.path.parent / "more"))
    work.write({"a.x": "x", "b.y": "y"})
    take_snapshot(work.path)
    assert not proof.exists()


def test_a_global_filter_is_run_also_where_the_repository_names_another(
    repository: Checkout, proof: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "global").write_text(
        '[filter "f"]\n\tclean = tr a-z A-Z\n[user]\n\tname = A\n\temail = a@example.org\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "global"))
    repository.commit("attributes", {".gitattributes": "*.x filter=f\n"})
    repository.git("config", "filter.f.clean", program(proof))
    repository.write({"a.x": "content\n"})
    assert repository.git("show", f"{take_snapshot(repository.path).files}:a.x") == "CONTENT"
    assert not proof.exists()


def test_a_required_filter_of_the_repository_fails_instead_of_writing_something_else(
    repository: Checkout, proof: Path
) -> None:
    repository.commit("attributes", {".gitattributes": "*.x filter=f\n"})
    repository.git("config", "filter.f.clean", program(proof))
    repository.git("config", "filter.f.required", "true")
    repository.write({"a.x": "content\n"})
    with pytest.raises(GroundError, match="filter"):
        take_snapshot(repository.path)
    assert not proof.exists()


def test_a_merge_driver_of_the_repository_leaves_a_conflict(repository: Checkout, proof: Path) -> None:
    repository.commit("base", {".gitattributes": "m merge=d\n", "m": "1\n"})
    repository.git("config", "merge.d.driver", f"touch '{proof}'; true")
    repository.git("checkout", "-q", "-b", "one")
    repository.commit("one", {"m": "2\n"})
    repository.git("checkout", "-q", "main")
    repository.commit("two", {"m": "3\n"})
    output = Git(repository.path).run("merge-tree", "--write-tree", "main", "one", ok=(0, 1))
    assert output.code == 1
    assert not proof.exists()


def test_the_filter_of_a_nested_repository_is_not_run(repository: Checkout, proof: Path) -> None:
    inner = repository.path / "vendor"
    inner.mkdir()
    nested = Checkout(inner)
    nested.git("init", "--quiet")
    nested.commit("in", {"f": "1\n", ".gitattributes": "f filter=x\n"})
    repository.commit("vendor")
    nested.git("config", "filter.x.clean", program(proof))
    nested.git("config", "filter.x.process", program(proof))
    (inner / "f").write_text("2\n")
    find_unsaved(repository.path)
    for act in (take_snapshot, refuse_unpushed):
        with pytest.raises(GroundError):
            act(repository.path if act is take_snapshot else inner)
    assert not proof.exists()


def test_a_credential_helper_of_the_repository_gives_way_to_the_global_one(
    repository: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "global").write_text("[credential]\n\thelper = mine\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "global"))
    repository.git("config", "credential.helper", "theirs")
    helpers = Git(repository.path).run("config", "--get-all", "credential.helper").lines
    assert helpers[-2:] == ["", "mine"]
