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


def test_our_own_include_is_no_reason_to_list_the_configuration(
    repository: Checkout, proof: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = repository.path / ".git"
    fleet = git / "orchestra" / "fleets" / "web"
    fleet.mkdir(parents=True)
    repository.git("config", "includeIf.gitdir:./.path", "orchestra/worktrees.config")
    (git / "orchestra" / "worktrees.config").write_text(
        '[includeIf "gitdir:../"]\n\tpath = "fleets/web/worktree.config"\n'
    )
    (fleet / "worktree.config").write_text('[core]\n\texcludesFile = "/nowhere"\n')
    trace = tmp_path / "trace"
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))
    Git(repository.path).run("status")
    assert '"--list"' not in trace.read_text()
    monkeypatch.delenv("GIT_TRACE2_EVENT")
    repository.commit("attributes", {".gitattributes": "*.x filter=f\n"})
    for config in (fleet / "worktree.config", git / "orchestra" / "worktrees.config", git / "config"):
        before = config.read_text()
        config.write_text(f'{before}[filter "f"]\n\tclean = "{program(proof)}"\n')
        repository.write({"a.x": f"{config}\n"})
        take_snapshot(repository.path)
        assert not proof.exists(), config
        config.write_text(before)


@pytest.mark.parametrize("more", ["\tpath = ../more\n", '[includeIf "gitdir:./"]\n\tpath = fleets/../more\n'])
def test_another_path_in_our_include_is_looked_at(repository: Checkout, proof: Path, more: str) -> None:
    repository.commit("attributes", {".gitattributes": "*.x filter=f\n"})
    repository.git("config", "includeIf.gitdir:./.path", "orchestra/worktrees.config")
    with (repository.path / ".git" / "config").open("a") as config:
        config.write(more)
    for place in (repository.path / "more", repository.path / ".git" / "more"):
        place.write_text(f'[filter "f"]\n\tclean = "{program(proof)}"\n')
    repository.write({"a.x": "content\n"})
    take_snapshot(repository.path)
    assert not proof.exists()
