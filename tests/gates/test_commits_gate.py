"""What is odd about a branch's commits, and what is not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from orchestra.blueprint.model import Builtin, Policy
from tests.conftest import Checkout, MakeRepository
from tests.gates.branches import run_gate


@pytest.fixture
def repo(make_repository: MakeRepository) -> Checkout:
    return make_repository({"start": "s\n", "docs/build/page.md": "p\n"})


def _foreign_merge(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "-q", "-b", "other")
    repo.commit("work of another", {"other": "o\n"})
    repo.git("checkout", "-q", "--detach", base)
    repo.commit("own", {"own": "o\n"})
    repo.git("merge", "-q", "--no-edit", "other")


def _deleted_binary(repo: Checkout) -> None:
    (repo.path / "film.bin").write_bytes(os.urandom(2 << 20))
    repo.commit("film")
    repo.git("rm", "-q", "film.bin")
    repo.git("commit", "-qm", "no film")


def _generated(repo: Checkout) -> None:
    repo.commit("all", {"web/node_modules/a/index.js": "a\n", "web/node_modules/b/index.js": "b\n"})


def _cache(repo: Checkout) -> None:
    repo.write({"src/__pycache__/a.pyc": "x"})
    repo.git("add", "-f", "src")
    repo.git("commit", "-qm", "cache")


def _link_out(repo: Checkout) -> None:
    (repo.path / "src").mkdir()
    (repo.path / "src/secret").symlink_to("../../etc/passwd")
    repo.commit("link")


def _link_to_git(repo: Checkout) -> None:
    (repo.path / "hooks").symlink_to(".git/hooks")
    repo.commit("link")


def _no_name(repo: Checkout) -> None:
    repo.write({"a": "a\n"})
    repo.git("add", "a")
    repo.git("commit", "-qm", "work", "--author", "root <root@build.(none)>")


def _future(repo: Checkout) -> None:
    repo.write({"a": "a\n"})
    repo.git("add", "a")
    repo.git("commit", "-qm", "work", "--date", "2099-01-01T00:00:00Z")


def _trailer(repo: Checkout) -> None:
    repo.commit("work\n\nOrchestra-Agent: someone-else\nOrchestra-Fleet: demo", {"a": "a\n"})


def _trailer_in_other_case(repo: Checkout) -> None:
    repo.commit("work\n\norchestra-agent : someone-else", {"a": "a\n"})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_foreign_merge, "which is not on the target: work of another"),
        (_deleted_binary, "film.bin in commit"),
        (_generated, "web/node_modules is made by a tool"),
        (_cache, "src/__pycache__ is made by a tool"),
        (_link_out, "src/secret is a link that leads out of the repository, to ../../etc/passwd"),
        (_link_to_git, "hooks is a link"),
        (_no_name, "has the author root <root@build.(none)>"),
        (_future, "has author dates in the future"),
        (_trailer, "has the trailer Orchestra-Agent"),
        (_trailer_in_other_case, "has the trailer Orchestra-Agent"),
    ],
)
def test_odd_commits_are_found(repo: Checkout, make: Callable[[Checkout], None], words: str) -> None:
    base = repo.git("rev-parse", "HEAD")
    make(repo)
    result = run_gate(repo, base, Builtin.COMMITS)
    assert result.outcome == "failed"
    assert words in result.detail


@pytest.mark.parametrize("make", [_no_name, _future])
def test_the_proposed_rebase_repairs_a_branch_without_an_upstream(
    repo: Checkout, make: Callable[[Checkout], None]
) -> None:
    base = repo.git("rev-parse", "HEAD")
    make(repo)
    (finding,) = run_gate(repo, base, Builtin.COMMITS).findings
    command = finding.fix.partition(", then ")[2]
    subprocess.run(command, shell=True, cwd=repo.path, check=True, capture_output=True)
    assert run_gate(repo, base, Builtin.COMMITS).findings == ()


def test_ordinary_commits_pass(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.commit("target", {"of-target": "t\n"})
    repo.git("checkout", "-q", "-b", "work", base)
    repo.commit("work\n\nCo-authored-by: A <a@example.com>", {"docs/build/page.md": "q\n", "small.png": "\0png"})
    (repo.path / "docs/link").symlink_to("build/page.md")
    repo.commit("link")
    repo.git("merge", "-q", "--no-edit", "main")
    assert run_gate(repo, base, Builtin.COMMITS, target="main").findings == ()


def test_a_reason_in_the_notes_excuses_a_file_where_the_policy_says_so(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    _generated(repo)
    notes = "`web/node_modules`: the vendored copy that the customer asked for"
    assert run_gate(repo, base, Builtin.COMMITS, notes).outcome == "failed"
    assert run_gate(repo, base, Builtin.COMMITS, notes, policy=Policy.JUSTIFY).outcome == "warned"
