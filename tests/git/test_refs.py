"""Refs are the truth: they move by compare-and-swap, and a spurious failure is not believed."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.errors import GitError, GroundError, MovedError
from orchestra.git.git_process import Git
from orchestra.git.refs import (
    AgentRefs,
    CommitId,
    Kind,
    RefName,
    RefUpdate,
    agent_ref,
    find_odd_refs,
    read_fleet,
    read_refs,
    resolve,
    saved_ref,
    update,
)
from tests.conftest import Checkout, MakeRepository

FLEET, SCHEMA = FleetName("mvp5"), AgentName("schema")
APPROVED = agent_ref(FLEET, SCHEMA, Kind.APPROVED)


@pytest.fixture
def commits(make_repository: MakeRepository) -> tuple[Checkout, CommitId, CommitId]:
    repository = make_repository({"a": "1"}, {"a": "2"})
    return (
        repository,
        CommitId(repository.git("rev-parse", "HEAD~1")),
        CommitId(repository.git("rev-parse", "HEAD")),
    )


def test_create_move_and_delete(commits: tuple[Checkout, CommitId, CommitId]) -> None:
    repository, one, two = commits
    git = Git(repository.path)
    update(git, [RefUpdate(APPROVED, one, None)], reason="test")
    update(git, [RefUpdate(APPROVED, two, one)], reason="test")
    assert resolve(git, APPROVED) == two
    update(git, [RefUpdate(APPROVED, None, two)], reason="test")
    assert resolve(git, APPROVED) is None


@pytest.mark.parametrize("expected", ["one", "none"])
def test_a_ref_that_moved_is_left_where_it_is(commits: tuple[Checkout, CommitId, CommitId], expected: str) -> None:
    repository, one, two = commits
    git = Git(repository.path)
    update(git, [RefUpdate(APPROVED, two, None)], reason="test")
    with pytest.raises(MovedError) as caught:
        update(
            git,
            [RefUpdate(APPROVED, None if expected == "one" else one, one if expected == "one" else None)],
            reason="x",
        )
    assert caught.value.actual == two
    assert resolve(git, APPROVED) == two


def test_nothing_of_a_transaction_happens_when_one_ref_moved(commits: tuple[Checkout, CommitId, CommitId]) -> None:
    repository, one, two = commits
    git = Git(repository.path)
    other = agent_ref(FLEET, AgentName("api"), Kind.BASE)
    update(git, [RefUpdate(APPROVED, two, None)], reason="test")
    with pytest.raises(MovedError):
        update(git, [RefUpdate(other, one, None), RefUpdate(APPROVED, two, one)], reason="test")
    assert resolve(git, other) is None


def test_a_stale_lock_file_is_named_with_its_mend(commits: tuple[Checkout, CommitId, CommitId]) -> None:
    repository, one, _ = commits
    lock = repository.path / ".git" / f"{APPROVED}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    git = Git(repository.path).with_env(
        GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="core.filesRefLockTimeout", GIT_CONFIG_VALUE_0="0"
    )
    with pytest.raises(GitError) as caught:
        update(git, [RefUpdate(APPROVED, one, None)], reason="test")
    assert caught.value.hint is not None
    assert "lock" in caught.value.stderr


def test_sixteen_writers_lose_no_update(commits: tuple[Checkout, CommitId, CommitId]) -> None:
    """Every increment is a compare-and-swap on what was read: the chain is as long as there were successes."""
    repository, one, _ = commits
    git = Git(repository.path)
    counter = RefName("refs/orchestra/mvp5/schema/counter")
    update(git, [RefUpdate(counter, one, None)], reason="test")
    tree = repository.git("rev-parse", "HEAD^{tree}")

    def increment(number: int) -> int:
        own, landed = Git(repository.path), 0
        while landed < 3:
            tip = resolve(own, counter)
            assert tip is not None
            new = CommitId(own.text("commit-tree", tree, "-p", tip, "-m", f"{number}.{landed}"))
            try:
                update(own, [RefUpdate(counter, new, tip)], reason="test")
            except (MovedError, GitError):
                continue
            landed += 1
        return landed

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(increment, range(8))) == 24
    assert repository.git("rev-list", "--count", f"{one}..{counter}") == "24"


def test_a_fleet_is_read_in_one_piece_and_other_refs_are_ignored(commits: tuple[Checkout, CommitId, CommitId]) -> None:
    repository, one, two = commits
    git = Git(repository.path)
    tag = git.text("mktag", stdin=f"object {two}\ntype commit\ntag t\ntagger A <a@b> 1 +0000\n\nplease\n".encode())
    for ref, value in {
        agent_ref(FLEET, SCHEMA, Kind.BASE): one,
        agent_ref(FLEET, SCHEMA, Kind.CHANGES_REQUESTED): tag,
        saved_ref(FLEET, SCHEMA, 10): two,
        saved_ref(FLEET, SCHEMA, 9): one,
        "refs/orchestra/mvp5/schema/from-a-newer-orchestra": two,
        "refs/orchestra/mvp5x/schema/base": two,
    }.items():
        repository.git("update-ref", ref, value)
    assert read_fleet(git, FLEET) == {SCHEMA: AgentRefs(base=one, changes_requested=two, saved=(one, two))}


def test_no_refs_at_all(repository: Checkout) -> None:
    assert read_refs(Git(repository.path), ["refs/orchestra/"]) == {}


def test_a_name_that_looks_like_an_option_is_no_option(repository: Checkout) -> None:
    assert resolve(Git(repository.path), "--all") is None


def test_packing_refs_at_the_same_time_is_not_mistaken_for_a_move(
    commits: tuple[Checkout, CommitId, CommitId], tmp_path: Path
) -> None:
    """git 2.39 reports a moved ref when pack-refs runs beside it (facts/merge.md 3.5): every update must succeed."""
    repository, one, two = commits
    loop = "import subprocess,sys\nwhile True: subprocess.run(['git','pack-refs','--all'],cwd=sys.argv[1],stderr=-3)"
    packer = subprocess.Popen([sys.executable, "-c", loop, str(repository.path)])
    try:
        git, old = Git(repository.path), None
        for turn in range(60):
            new = (one, two)[turn % 2]
            update(git, [RefUpdate(APPROVED, new, old)], reason="test")
            old = new
    finally:
        packer.kill()
        packer.wait()
    assert resolve(git, APPROVED) == two


def test_a_symbolic_ref_is_deleted_itself(repository: Checkout) -> None:
    head = CommitId(repository.git("rev-parse", "main"))
    repository.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    update(Git(repository.path), [RefUpdate(RefName("refs/heads/alias"), None, head)], reason="clean")
    assert repository.git("rev-parse", "main") == head
    assert repository.git("for-each-ref", "refs/heads/alias") == ""


def test_a_symbolic_ref_is_replaced_not_followed(repository: Checkout) -> None:
    old = CommitId(repository.git("rev-parse", "main"))
    new = CommitId(repository.git("commit-tree", "-p", old, "-m", "new", f"{old}^{{tree}}"))
    repository.git("symbolic-ref", "refs/orchestra/demo/a/approved", "refs/heads/main")
    update(Git(repository.path), [RefUpdate(RefName("refs/orchestra/demo/a/approved"), new, old)], reason="approve")
    assert repository.git("rev-parse", "main") == old
    assert repository.git("rev-parse", "refs/orchestra/demo/a/approved") == new


def test_odd_refs_of_one_agent_are_ignored(repository: Checkout) -> None:
    head = repository.git("rev-parse", "main")
    blob, tree = repository.git("rev-parse", "main:README.md"), repository.git("rev-parse", "main^{tree}")
    repository.git("update-ref", "refs/orchestra/demo/a/approved", blob)
    repository.git("update-ref", "refs/orchestra/demo/a/landed", tree)
    repository.git("update-ref", "refs/orchestra/demo/a/saved/x", head)
    repository.git("symbolic-ref", "refs/orchestra/demo/a/discarded", "refs/heads/main")
    repository.git("update-ref", "refs/orchestra/demo/b/base", head)
    assert read_fleet(Git(repository.path), FleetName("demo")) == {
        "a": AgentRefs(),
        "b": AgentRefs(base=CommitId(head)),
    }


@pytest.mark.parametrize("content", ["", "garbage", "1" * 40 + "\n"])
def test_a_damaged_ref_of_one_agent_leaves_the_others_readable(repository: Checkout, content: str) -> None:
    head = repository.git("rev-parse", "main")
    repository.git("update-ref", "refs/orchestra/demo/b/base", head)
    repository.write({".git/refs/orchestra/demo/a/approved": content})
    assert read_fleet(Git(repository.path), FleetName("demo"))[AgentName("b")] == AgentRefs(base=CommitId(head))


def test_refs_that_orchestra_cannot_have_written_are_named_by_agent(repository: Checkout) -> None:
    git, tip = Git(repository.path), repository.git("rev-parse", "HEAD")
    for name in ("good/base", "good/saved/1", "good/newer-kind", "below/landed/x"):
        repository.git("update-ref", f"refs/orchestra/mvp5/{name}", tip)
    repository.git("update-ref", "refs/orchestra/mvp5/tree/landed", repository.git("rev-parse", "HEAD^{tree}"))
    repository.git("symbolic-ref", "refs/orchestra/mvp5/symbolic/candidate", "refs/heads/main")
    damaged = repository.path / ".git/refs/orchestra/mvp5/damaged/base"
    damaged.parent.mkdir()
    damaged.write_bytes(b"")
    odd = find_odd_refs(git, FLEET, read_refs(git, ["refs/orchestra/mvp5/"]))
    assert set(odd) == {"below", "tree", "symbolic", "damaged"}
    for name in ("below", "tree", "symbolic", "damaged"):  # the advice helps, and moves nothing else
        command = odd[AgentName(name)].rpartition("to remove it: ")[2]
        subprocess.run(command, shell=True, cwd=repository.path, check=True)
    assert find_odd_refs(git, FLEET, read_refs(git, ["refs/orchestra/mvp5/"])) == {}
    assert repository.git("rev-parse", "main") == tip


@pytest.mark.parametrize("kind", ["blob", "tree", "symbolic", "below", "above"])
def test_a_ref_in_the_way_is_named_with_the_command_that_removes_it(
    commits: tuple[Checkout, CommitId, CommitId], kind: str
) -> None:
    repository, commit, _ = commits
    name = {"below": f"{APPROVED}/x", "above": APPROVED.removesuffix("/approved")}.get(kind, APPROVED)
    if kind == "symbolic":
        repository.git("symbolic-ref", name, "refs/heads/main")
    else:
        named = {"blob": "HEAD:a", "tree": "HEAD^{tree}"}.get(kind, "HEAD")
        repository.git("update-ref", name, repository.git("rev-parse", named))
    with pytest.raises(GroundError, match="which orchestra did not write") as refused:
        update(Git(repository.path), [RefUpdate(APPROVED, commit, None)], reason="test")
    assert refused.value.message.startswith(f"{name} is a ")
    assert refused.value.hint is not None
    repository.git(*refused.value.hint.removeprefix("to remove it: git ").split())
    update(Git(repository.path), [RefUpdate(APPROVED, commit, None)], reason="test")
    assert repository.git("rev-parse", "main") != ""
