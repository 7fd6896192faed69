"""The paths that a branch touches, as the scope gate sees them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.blueprint.model import RunGate, Scope
from orchestra.gates.branch_changes import BranchRange, changed_paths, judging_manifests, landing_paths, own_commits
from orchestra.gates.scope_gate import ScopeReason, scope_findings
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from tests.conftest import Checkout, MakeRepository
from tests.fleets import make_agent, make_blueprint


@pytest.fixture
def repo(make_repository: MakeRepository) -> Checkout:
    return make_repository({"start": "s\n"})


def paths(repo: Checkout, base: CommitId, tip: CommitId, target: CommitId) -> frozenset[str]:
    git = Git(repo.path)
    return landing_paths(git, BranchRange(base, tip, own_commits(git, target, base, tip)), target)


def test_a_path_that_a_later_commit_takes_back_counts(repo: Checkout) -> None:
    base = CommitId(repo.commit("base", {"a": "a\n", "ci/x": "x\n"}))
    repo.commit("one", {"ci/x": "evil\n"})
    tip = CommitId(repo.commit("two", {"ci/x": "x\n", "a": "b\n"}))
    assert paths(repo, base, tip, base) == {"a", "ci/x"}


def test_a_submodule_counts_although_it_is_ignored(repo: Checkout) -> None:
    module = '[submodule "lib"]\n\tpath = lib\n\turl = x\n\tignore = all\n'
    base = CommitId(repo.commit("base", {".gitmodules": module}))
    repo.git("config", "diff.ignoreSubmodules", "all")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{base},lib")
    repo.git("commit", "-q", "--allow-empty", "-m", "move it")
    tip = CommitId(repo.git("rev-parse", "HEAD"))
    assert paths(repo, base, tip, base) == {"lib"}


def test_a_file_that_the_target_has_moved_counts_at_both_places(repo: Checkout) -> None:
    text = "".join(f"{number}\n" for number in range(30))
    base = CommitId(repo.commit("base", {"lib/a": text, "lib/b": text + "b\n"}))
    tip = CommitId(repo.commit("branch", {"lib/a": text + "more\n", "lib/new": "n\n"}))
    repo.git("checkout", "-q", "--detach", base)
    repo.git("mv", "lib", "locked")
    repo.git("commit", "-qm", "move")
    target = CommitId(repo.git("rev-parse", "HEAD"))
    assert paths(repo, base, tip, target) == {"lib/a", "lib/new", "locked/a", "locked/new"}


def test_several_branches_are_read_at_once(repo: Checkout) -> None:
    base = CommitId(repo.commit("base", {"a": "a\n"}))
    first = BranchRange(base, CommitId(repo.commit("one", {"b": "b\n"})))
    second = BranchRange(base, CommitId(repo.commit("two", {"c": "c\n"})))
    same = BranchRange(base, base)
    assert changed_paths(Git(repo.path), [first, second, same]) == {first: {"b"}, second: {"b", "c"}, same: set()}


def test_a_manifest_judges_where_its_sections_for_gates_change(repo: Checkout) -> None:
    base = CommitId(repo.commit("base", {"package.json": '{"scripts": {"test": "jest"}}'}))
    added = CommitId(
        repo.commit("dependency", {"package.json": '{"scripts": {"test": "jest"}, "dependencies": {"a": "1"}}'})
    )
    changed = CommitId(
        repo.commit("script", {"package.json": '{"scripts": {"test": "true"}}', "new/package.json": "{}"})
    )
    git, names = Git(repo.path), ("package.json", "new/package.json")
    assert judging_manifests(git, BranchRange(base, added), names) == set()
    assert judging_manifests(git, BranchRange(base, changed), names) == {"package.json"}


@pytest.mark.parametrize(
    ("command", "path", "judges"),
    [
        ("make test", "Makefile", True),
        ("pytest -q tests", "tests/unit/conftest.py", True),
        ("pytest -q tests", "tests/unit/test_a.py", False),
        ("npm test", "jest.config.js", True),
        ("sh ci/check.sh && ./run", "ci/check.sh", True),
        ("sh ci/check.sh && ./run", "run", True),
        ("cat tests/t.txt", "tests/t.txt", False),
        ("python -u tools/check.py src", "tools/check.py", True),
        ("true", ".github/workflows/ci.yml", True),
        ("true", "blueprints/demo.yaml", True),
        ("true", "Makefile", False),
    ],
)
def test_what_judges_the_branch_is_protected(command: str, path: str, judges: bool) -> None:
    blueprint = replace(make_blueprint("schema"), gates={"t": RunGate("t", command)}, protected=())
    blueprint = replace(blueprint, source=blueprint.source.parent / "blueprints/demo.yaml")
    agent = replace(make_agent("schema"), scope=Scope(("**",)))
    findings = scope_findings(blueprint, agent, [path])
    assert [finding.reason for finding in findings] == ([ScopeReason.JUDGES] if judges else [])
    assert not scope_findings(blueprint, replace(agent, may_edit=(path,)), [path])
    assert not scope_findings(blueprint, replace(agent, scope=Scope((path,))), [path])


@pytest.mark.parametrize("path", ["CI/Deploy.yml", "ci/DEPLOY.YML", "cafe\u0301/x", "ﬁle"])
def test_other_spellings_of_a_protected_name_are_protected(path: str) -> None:
    blueprint = replace(make_blueprint("schema"), protected=("ci/deploy.yml", "caf\u00e9/**", "file"))
    agent = replace(make_agent("schema"), scope=Scope(("**",)))
    assert [f.reason for f in scope_findings(blueprint, agent, [path])] == [ScopeReason.PROTECTED]
