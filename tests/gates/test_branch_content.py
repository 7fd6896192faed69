"""The paths that a branch touches, as the scope gate sees them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.blueprint.model import RunGate, Scope
from orchestra.gates.branch_content import BranchSpan, compare_commits, read_branches
from orchestra.gates.judging_changes import JudgingChange, judging_changes
from orchestra.gates.scope_gate import ScopeReason, scope_findings
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from tests.conftest import Checkout, MakeRepository
from tests.fleets import make_agent, make_blueprint


@pytest.fixture
def repo(make_repository: MakeRepository) -> Checkout:
    return make_repository({"start": "s\n"})


def paths(repo: Checkout, base: CommitId, tip: CommitId, target: CommitId) -> frozenset[str]:
    with read_branches(Git(repo.path), target, [BranchSpan(base, tip)]) as (content,):
        assert content is not None
        return content.paths


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
    first = CommitId(repo.commit("one", {"b": "b\n"}))
    second = CommitId(repo.commit("two", {"c": "c\n"}))
    spans = [BranchSpan(base, first), BranchSpan(base, second), BranchSpan(first, second), BranchSpan(base, base)]
    with read_branches(Git(repo.path), base, spans) as contents:
        assert [content.paths for content in contents if content] == [{"b"}, {"b", "c"}, {"c"}, set()]
        assert [content.fork for content in contents if content] == [base, base, first, base]
    compared = compare_commits(Git(repo.path), [(first, base), (base, base), (second, base)])
    assert [set(changes) for changes in compared.values()] == [{"b"}, set(), {"b", "c"}]


def test_what_the_target_brings_into_a_branch_is_not_the_branchs(repo: Checkout) -> None:
    base = CommitId(repo.commit("base", {"a": "a\n", "both": "1\n2\n3\n4\n5\n"}))
    repo.commit("target", {"of-target": "t\n"})
    target = CommitId(repo.git("rev-parse", "HEAD"))
    repo.git("checkout", "-q", "-b", "work", base)
    repo.commit("own", {"own": "o\n"})
    repo.git("merge", "-q", "--no-commit", "--no-ff", target)
    tip = CommitId(repo.commit("merge with more", {"hidden": "only in the merge\n"}))
    assert paths(repo, base, tip, target) == {"own", "hidden"}


def test_a_branch_that_git_cannot_read_leaves_the_others(repo: Checkout) -> None:
    base = CommitId(repo.commit("base", {"a": "a\n"}))
    tip = CommitId(repo.commit("one", {"b": "b\n"}))
    missing = CommitId("1" * 40)
    with read_branches(Git(repo.path), base, [BranchSpan(base, missing), BranchSpan(base, tip)]) as contents:
        assert contents[0] is None
        assert contents[1] is not None
        assert contents[1].paths == {"b"}


def test_a_manifest_judges_where_its_sections_for_gates_change(repo: Checkout) -> None:
    base = CommitId(repo.commit("base", {"package.json": '{"scripts": {"test": "jest"}}'}))
    added = CommitId(
        repo.commit("dependency", {"package.json": '{"scripts": {"test": "jest"}, "dependencies": {"a": "1"}}'})
    )
    changed = CommitId(
        repo.commit("script", {"package.json": '{"scripts": {"test": "true"}}', "new/package.json": "{}"})
    )
    blueprint, agent = make_blueprint("schema"), make_agent("schema")
    with read_branches(Git(repo.path), base, [BranchSpan(base, added), BranchSpan(base, changed)]) as contents:
        assert contents[0] is not None
        assert contents[1] is not None
        assert judging_changes(blueprint, agent, contents[0]) == ()
        expected = (JudgingChange("package.json", ("scripts",), False),)
        assert judging_changes(blueprint, agent, contents[1]) == expected
        allowed = replace(agent, may_edit=("package.json",))
        assert [change.allowed for change in judging_changes(blueprint, allowed, contents[1])] == [True]


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
        ("true", ".orchestra/secrets-allowed", True),
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
