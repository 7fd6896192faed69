"""Candidates against real git: what ``git rebase`` and ``git merge`` give, ours gives, without a worktree."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from orchestra.blueprint.model import AgentName, ConflictRule, FleetName, Forbid, Regenerate, Strategy, Union
from orchestra.candidates.builder import Branch, BuiltCandidate, Candidate, NothingToMerge, build_chain, open_builder
from orchestra.candidates.containment import LandingStep, audit
from orchestra.candidates.text_conflict import Conflict, conflict_hunks
from orchestra.candidates.trailers import trailer_values
from orchestra.git.git_process import Git
from orchestra.git.merge_tree import MergeTreeMode, installed
from orchestra.git.objects import Objects, TreeId
from orchestra.git.refs import CommitId
from tests.conftest import Checkout, Content, MakeRepository

LINES = "".join(f"line {n}\n" for n in range(1, 21))
KEPT_OUT = ("CLAUDE.md", "TASK.md", "AGENT_NOTES.md")


def branch(
    checkout: Checkout, agent: str, strategy: Strategy = Strategy.REBASE, *, base: str = "main", kept: bool = False
) -> Branch:
    tip = CommitId(checkout.git("rev-parse", agent))
    start = CommitId(checkout.git("merge-base", base, agent, ok=False) or checkout.git("rev-parse", base))
    kept_out = KEPT_OUT if kept else ()
    return Branch(AgentName(agent), FleetName("demo"), start, tip, agent.title(), strategy, kept_out)


def build(
    checkout: Checkout, *branches: Branch, rules: dict[str, ConflictRule] | None = None
) -> dict[AgentName, Candidate]:
    target = CommitId(checkout.git("rev-parse", "main"))
    return build_chain(Git(checkout.path), target, branches, (rules or {}).get)


def one(checkout: Checkout, of: Branch, rules: dict[str, ConflictRule] | None = None) -> Candidate:
    return build(checkout, of, rules=rules)[of.agent]


def built(candidate: Candidate) -> BuiltCandidate:
    assert isinstance(candidate, BuiltCandidate), candidate
    return candidate


def conflict(candidate: Candidate) -> Conflict:
    assert isinstance(candidate, Conflict), candidate
    return candidate


def cut(checkout: Checkout, name: str, *commits: Mapping[str, Content | None], at: str = "main") -> None:
    """A branch with one commit for each mapping, and back on main."""
    checkout.git("switch", "-q", "-c", name, at)
    for number, files in enumerate(commits, 1):
        checkout.commit(f"{name} {number}", files)
    checkout.git("switch", "-q", "main")


def rebased(checkout: Checkout, name: str, onto: str = "main") -> str:
    """The tree that ``git rebase`` gives, in a worktree of its own."""
    place = checkout.path.parent / f"rebase-{name}"
    checkout.git("worktree", "add", "-q", "--detach", str(place), name)
    there = Checkout(place)
    there.git("rebase", "-q", "--no-keep-empty", "--empty=drop", onto)
    return there.git("rev-parse", "HEAD^{tree}")


@pytest.fixture
def moved(make_repository: MakeRepository) -> Checkout:
    """main has moved on (its first line) since branch ``work`` was cut, which changed the last line twice."""
    checkout = make_repository({"f": LINES, "other": "x\n"})
    cut(checkout, "work", {"f": LINES + "end\n"}, {"new": "1\n"})
    checkout.commit("main moves", {"f": "start\n" + LINES})
    return checkout


def test_rebase_gives_what_git_rebase_gives(moved: Checkout) -> None:
    made = built(one(moved, branch(moved, "work")))
    assert made.tree == rebased(moved, "work")
    assert moved.git("log", "--format=%s", f"main..{made.commit}").splitlines() == ["work 2", "work 1"]
    assert moved.git("rev-parse", f"{made.commit}~2") == moved.git("rev-parse", "main")


def test_nothing_but_objects_is_written(moved: Checkout) -> None:
    before = moved.git("for-each-ref"), moved.git("status", "--porcelain"), moved.git("worktree", "list")
    built(one(moved, branch(moved, "work")))
    assert before == (moved.git("for-each-ref"), moved.git("status", "--porcelain"), moved.git("worktree", "list"))


def test_the_same_question_gives_the_same_commit(moved: Checkout) -> None:
    first = built(one(moved, branch(moved, "work")))
    assert built(one(moved, branch(moved, "work"))).commit == first.commit


def test_authors_dates_messages_and_encodings_are_kept(moved: Checkout) -> None:
    moved.git("switch", "-q", "work")
    moved.write({"other": "y\n"})
    moved.git("config", "i18n.commitEncoding", "ISO-8859-1")
    message = moved.path.parent / "message"
    message.write_bytes("caf\xe9\n\nbody\n\nSigned-off-by: A <a@x>\n".encode("latin-1"))
    author = ("--author=Zo\u00eb <zoe@x>", "--date=2001-02-03T04:05:06+0700")
    moved.git("commit", "-q", "-a", *author, "-F", str(message))
    moved.git("switch", "-q", "main")
    made = built(one(moved, branch(moved, "work"))).commit
    shape = "--format=%an|%ae|%ad|%e|%B"
    old, new = (moved.git("log", "-1", shape, "--date=raw", ref) for ref in ("work", made))
    assert new.startswith(old.rstrip("\n"))
    assert new.rstrip().endswith("Signed-off-by: A <a@x>\nOrchestra-Agent: work\nOrchestra-Fleet: demo")


def test_every_landed_commit_carries_the_trailers(moved: Checkout) -> None:
    made = built(one(moved, branch(moved, "work"))).commit
    with Objects(Git(moved.path)) as objects:
        for name in (made, moved.git("rev-parse", f"{made}~1")):
            message = objects.commit(name).message
            assert trailer_values(message, "Orchestra-Agent") == ("work",)
            assert trailer_values(message, "Orchestra-Fleet") == ("demo",)


def test_committer_dates_never_run_backwards(moved: Checkout) -> None:
    made = built(one(moved, branch(moved, "work"))).commit
    dates = [int(at) for at in moved.git("log", "--format=%ct", made).splitlines()]
    assert dates == sorted(dates, reverse=True)


def test_a_conflict_names_paths_commit_and_both_sides(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\nb\nc\n"})
    cut(checkout, "work", {"g": "fine\n"}, {"f": "a\nWORK\nc\n"})
    checkout.commit("main moves", {"f": "a\nMAIN\nc\n"})
    found = conflict(one(checkout, branch(checkout, "work")))
    assert found.paths == ("f",)
    assert found.commit == checkout.git("rev-parse", "work")
    assert "work 2" in found.sentence
    with Objects(Git(checkout.path)) as objects:
        shown = conflict_hunks(Git(checkout.path), objects, found, "work")
    assert "<<<<<<< target\nMAIN\n||||||| base\nb\n=======\nWORK\n>>>>>>> work" in shown


def test_a_chain_goes_on_without_what_does_not_fit(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n", "g": "a\n"})
    for name, files in {"one": {"f": "1\n"}, "two": {"f": "2\n"}, "three": {"g": "3\n"}}.items():
        cut(checkout, name, files)
    made = build(checkout, *(branch(checkout, name) for name in ("one", "two", "three")))
    assert isinstance(made[AgentName("two")], Conflict)
    last = built(made[AgentName("three")]).commit
    assert checkout.read("f", last) == "1"
    assert checkout.read("g", last) == "3"


def test_squash_is_one_commit_with_every_subject_and_author(moved: Checkout) -> None:
    moved.git("switch", "-q", "work")
    moved.git("commit", "-q", "--allow-empty", "--author=Other <o@x>", "-m", "third")
    moved.git("switch", "-q", "main")
    made = built(one(moved, branch(moved, "work", Strategy.SQUASH))).commit
    assert moved.git("rev-parse", f"{made}^") == moved.git("rev-parse", "main")
    text = moved.git("log", "-1", "--format=%B", made)
    assert text.startswith("Work\n\n* work 1\n* work 2\n* third\n\nCo-authored-by: Other <o@x>\n")
    assert moved.git("log", "-1", "--format=%an", made) == "Ada Test"
    assert moved.git("rev-parse", f"{made}^{{tree}}") == rebased(moved, "work")


def test_squash_keeps_bodies_and_trailers_once(moved: Checkout) -> None:
    moved.git("switch", "-q", "work")
    for text in (
        "third\n\nWhy it is so.\n\nSigned-off-by: Ada <a@x>\nCo-authored-by: Bo <b@x>\n",
        "fourth\n\nSigned-off-by: Ada <a@x>",
    ):
        moved.git("commit", "-q", "--allow-empty", "-m", text)
    moved.git("switch", "-q", "main")
    made = built(one(moved, branch(moved, "work", Strategy.SQUASH))).commit
    text = moved.git("log", "-1", "--format=%B", made)
    assert "* third\n\n  Why it is so.\n* fourth\n\nSigned-off-by: Ada <a@x>\nCo-authored-by: Bo <b@x>\nOrch" in text


@pytest.mark.parametrize("strategy", list(Strategy))
def test_no_date_of_a_built_commit_is_later_than_now(
    moved: Checkout, monkeypatch: pytest.MonkeyPatch, strategy: Strategy
) -> None:
    moved.git("switch", "-q", "work")
    with monkeypatch.context() as patch:
        for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
            patch.setenv(name, "4000000000 +0200")
        moved.commit("from a machine whose clock is wrong", {"late": "1\n"})
    moved.git("switch", "-q", "main")
    made = built(one(moved, branch(moved, "work", strategy))).commit
    latest = int(time.time())
    author, committer = map(int, moved.git("log", "-1", "--format=%at %ct", made).split())
    assert author <= latest and committer <= latest


def test_merge_keeps_the_branch_as_second_parent(moved: Checkout) -> None:
    made = built(one(moved, branch(moved, "work", Strategy.MERGE))).commit
    assert moved.git("rev-parse", f"{made}^2") == moved.git("rev-parse", "work")
    assert moved.git("rev-parse", f"{made}^1") == moved.git("rev-parse", "main")
    assert "Orchestra-Agent: work" in moved.git("log", "-1", "--format=%B", made)


# -- what branches may look like ---------------------------------------------------------------------------------


def test_a_branch_that_merged_the_target_into_itself(moved: Checkout) -> None:
    moved.git("switch", "-q", "work")
    moved.git("merge", "-q", "--no-edit", "main")
    moved.commit("after", {"late": "1\n"})
    moved.git("switch", "-q", "main")
    moved.commit("main again", {"other": "main\n"})
    made = built(one(moved, branch(moved, "work")))
    moved.git("switch", "-q", "-c", "check", "main")
    moved.git("merge", "-q", "--no-edit", "work")
    assert made.tree == moved.git("rev-parse", "HEAD^{tree}")
    assert not made.squashed
    assert "main moves" not in moved.git("log", "--format=%s", f"main..{made.commit}")


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_merge_that_resolved_something_keeps_its_resolution(
    make_repository: MakeRepository, strategy: Strategy
) -> None:
    checkout = make_repository({"f": "a\nb\nc\n"})
    cut(checkout, "work", {"f": "a\nWORK\nc\n"})
    checkout.commit("main moves", {"f": "a\nMAIN\nc\n"})
    checkout.git("switch", "-q", "work")
    checkout.git("merge", "-q", "main", ok=False)
    checkout.commit("resolved", {"f": "a\nBOTH\nc\n"})
    checkout.git("switch", "-q", "main")
    checkout.commit("main again", {"g": "1\n"})
    made = built(one(checkout, branch(checkout, "work", strategy)))
    assert checkout.read("f", made.commit) == "a\nBOTH\nc"
    assert checkout.read("g", made.commit) == "1"
    assert made.squashed == (strategy is Strategy.REBASE)


def test_a_branch_that_merged_another_agents_branch(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n"})
    cut(checkout, "one", {"one": "1\n"})
    cut(checkout, "two", {"two": "2\n"})
    checkout.git("switch", "-q", "two")
    checkout.git("merge", "-q", "--no-edit", "one")
    checkout.git("switch", "-q", "main")
    made = build(checkout, branch(checkout, "one"), branch(checkout, "two"))
    last = built(made[AgentName("two")]).commit
    assert checkout.git("log", "--format=%s", f"main..{last}").splitlines() == ["two 1", "one 1"]


@pytest.mark.parametrize("strategy", list(Strategy))
def test_empty_branches(make_repository: MakeRepository, strategy: Strategy) -> None:
    checkout = make_repository({"f": "a\n"})
    cut(checkout, "nothing")
    cut(checkout, "void", {})
    cut(checkout, "undone", {"f": "b\n"}, {"f": "a\n"})
    cut(checkout, "merged", {"g": "1\n"})
    checkout.git("merge", "-q", "--no-ff", "--no-edit", "merged")
    cut(checkout, "twin", {"g": "1\n"}, at="main~1")
    for name in ("nothing", "void", "merged", "twin"):
        assert isinstance(one(checkout, branch(checkout, name, strategy)), NothingToMerge), name
    undone = one(checkout, branch(checkout, "undone", strategy))
    assert isinstance(undone, NothingToMerge) or built(undone).tree == checkout.git("rev-parse", "main^{tree}")


def test_empty_commits_are_left_out(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n"})
    cut(checkout, "work", {}, {"f": "b\n"}, {})
    made = built(one(checkout, branch(checkout, "work"))).commit
    assert checkout.git("log", "--format=%s", f"main..{made}") == "work 2"


def test_unrelated_history_is_no_conflict_of_lines(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n"})
    checkout.git("switch", "-q", "--orphan", "work")
    checkout.commit("root", {"z": "1\n"})
    checkout.git("switch", "-q", "main")
    assert "shares no history" in conflict(one(checkout, branch(checkout, "work"))).sentence


def test_a_rewritten_target_does_not_get_its_dropped_commits_back(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n"}, {"secret": "key\n"})
    cut(checkout, "work", {"g": "1\n"})
    found = branch(checkout, "work")
    checkout.git("reset", "-q", "--hard", "main~1")
    checkout.commit("another history", {"h": "1\n"})
    made = built(one(checkout, found))
    assert checkout.tree(made.commit) == ["f", "g", "h"]


def test_modes_links_binaries_and_renames_survive(make_repository: MakeRepository) -> None:
    checkout = make_repository({"run": "#!/bin/sh\n", "plain": LINES, "old/name": LINES, "bin": b"\0\1\2"})
    checkout.git("switch", "-q", "-c", "work")
    (checkout.path / "plain").chmod(0o755)
    (checkout.path / "link").symlink_to("plain")
    checkout.git("mv", "old/name", "renamed")
    checkout.commit("work", {"bin": b"\0\1\3", "na\u00efve name\t.txt": "x\n"})
    checkout.git("switch", "-q", "main")
    checkout.commit("main edits what was renamed", {"old/name": "first\n" + LINES})
    made = built(one(checkout, branch(checkout, "work")))
    assert made.tree == rebased(checkout, "work")
    listing = checkout.git("ls-tree", "-r", made.commit)
    assert "120000" in listing
    assert checkout.read("renamed", made.commit).startswith("first")


def test_a_submodule_bump_lands_and_two_bumps_conflict(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n"})
    pin = "1" * 40
    checkout.git("update-index", "--add", "--cacheinfo", f"160000,{pin},lib")
    checkout.git("commit", "-q", "-m", "a submodule")
    for name, digit in (("one", "2"), ("two", "3")):
        checkout.git("switch", "-q", "-c", name, "main")
        checkout.git("update-index", "--cacheinfo", f"160000,{digit * 40},lib")
        checkout.git("commit", "-q", "-m", name)
        checkout.git("switch", "-q", "main")
    made = build(checkout, branch(checkout, "one"), branch(checkout, "two"))
    assert "2" * 40 in checkout.git("ls-tree", built(made[AgentName("one")]).commit)
    assert conflict(made[AgentName("two")]).paths == ("lib",)


def test_attributes_come_from_the_target_and_not_from_the_branch(make_repository: MakeRepository) -> None:
    checkout = make_repository({"log": "a\n", "free": "a\n", ".gitattributes": "log merge=union\n"})
    cut(checkout, "work", {"log": "a\nwork\n"})
    cut(checkout, "sly", {"free": "sly\n", ".gitattributes": "* merge=union\n"})
    checkout.commit("main moves", {"log": "a\nmain\n", "free": "main\n"})
    checkout.git("switch", "-q", "-c", "elsewhere")
    checkout.commit("no attributes here", {".gitattributes": None})
    made = build(checkout, branch(checkout, "work"), branch(checkout, "sly"))
    assert checkout.read("log", built(made[AgentName("work")]).commit) == "a\nmain\nwork"
    assert conflict(made[AgentName("sly")]).paths == ("free",)


def test_attributes_that_a_person_has_only_staged_do_not_count(make_repository: MakeRepository) -> None:
    """Before git 2.43 merge-tree falls back to the main checkout's index, where no file of the target's speaks."""
    checkout = make_repository({"f": "base\n", "dir/g": "base\n"})
    cut(checkout, "work", {"f": "theirs\n", "dir/g": "theirs\n"})
    checkout.commit("main moves", {"f": "ours\n", "dir/g": "ours\n"})
    checkout.write({".gitattributes": "f merge=union\n", "dir/.gitattributes": "g merge=union\n"})
    checkout.git("add", "--all")
    assert conflict(one(checkout, branch(checkout, "work"))).paths == ("dir/g", "f")


def test_a_new_file_in_a_folder_that_the_target_renamed_is_a_conflict(make_repository: MakeRepository) -> None:
    checkout = make_repository({"old/a": LINES, "old/b": LINES + "b\n"})
    cut(checkout, "work", {"old/new": "1\n"})
    checkout.git("mv", "old", "fresh")
    checkout.commit("main renames the folder")
    assert conflict(one(checkout, branch(checkout, "work"))).stages


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_missing_object_is_an_error_and_no_conflict(moved: Checkout, strategy: Strategy) -> None:
    blob = moved.git("rev-parse", "work~1:f")
    (moved.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Exception, match=r"git|missing"):
        one(moved, branch(moved, "work", strategy))


# -- instruction files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", list(Strategy))
def test_instruction_files_never_land(make_repository: MakeRepository, strategy: Strategy) -> None:
    checkout = make_repository({"f": "a\n"})
    cut(checkout, "work", {"TASK.md": "t\n", "g": "1\n"}, {"AGENT_NOTES.md": "n\n"}, {"g": "2\n"})
    made = built(one(checkout, branch(checkout, "work", strategy, kept=True)))
    assert checkout.tree(made.commit) == ["f", "g"]
    for commit in checkout.git("rev-list", f"main..{made.commit}").splitlines():
        assert not {"TASK.md", "AGENT_NOTES.md"} & set(checkout.tree(commit))


@pytest.mark.parametrize("change", ["edited\n", None], ids=["edited", "deleted"])
def test_a_tracked_claude_md_stays_the_targets(make_repository: MakeRepository, change: str | None) -> None:
    checkout = make_repository({"CLAUDE.md": "team\n", "f": "a\n"})
    cut(checkout, "work", {"CLAUDE.md": change}, {"g": "1\n"})
    checkout.commit("the team edits it", {"CLAUDE.md": "team, newer\n"})
    made = built(one(checkout, branch(checkout, "work", kept=True)))
    assert checkout.read("CLAUDE.md", made.commit) == "team, newer"
    assert checkout.git("log", "--format=%s", f"main..{made.commit}") == "work 2"


def test_a_branch_of_instruction_files_only_is_empty(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n"})
    cut(checkout, "work", {"TASK.md": "t\n"})
    assert isinstance(one(checkout, branch(checkout, "work", kept=True)), NothingToMerge)


def test_merge_rewrites_only_commits_that_hold_instruction_files(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n"})
    cut(checkout, "work", {"g": "1\n"}, {"TASK.md": "t\n", "h": "1\n"})
    made = built(one(checkout, branch(checkout, "work", Strategy.MERGE, kept=True))).commit
    assert checkout.git("rev-parse", f"{made}^2~1") == checkout.git("rev-parse", "work~1")
    assert checkout.git("log", "--format=%an %s", "-1", f"{made}^2") == "Ada Test work 2"


# -- rules -------------------------------------------------------------------------------------------------------


@pytest.fixture
def both_append(make_repository: MakeRepository) -> Checkout:
    checkout = make_repository({"CHANGELOG.md": "# Changes\n"})
    cut(checkout, "work", {"CHANGELOG.md": "# Changes\n- work\n"})
    checkout.commit("main moves", {"CHANGELOG.md": "# Changes\n- main\n"})
    return checkout


def test_union_keeps_both(both_append: Checkout) -> None:
    made = built(one(both_append, branch(both_append, "work"), {"CHANGELOG.md": Union()}))
    assert both_append.read("CHANGELOG.md", made.commit) == "# Changes\n- main\n- work"


def test_forbid_stays_a_conflict_and_so_does_what_no_rule_names(both_append: Checkout) -> None:
    assert conflict(one(both_append, branch(both_append, "work"), {"CHANGELOG.md": Forbid()}))
    assert conflict(one(both_append, branch(both_append, "work"), {"other": Union()}))


def test_union_never_glues_binaries(make_repository: MakeRepository) -> None:
    checkout = make_repository({"b": b"\0a"})
    cut(checkout, "work", {"b": b"\0b"})
    checkout.commit("main moves", {"b": b"\0c"})
    assert conflict(one(checkout, branch(checkout, "work"), {"b": Union()}))


def test_regenerate_runs_on_the_tree_with_the_targets_version(both_append: Checkout) -> None:
    asked: list[tuple[str, str, str]] = []

    def remake(tree: TreeId, path: str, command: str) -> bytes | None:
        asked.append((both_append.read(path, tree), path, command))
        return b"made anew\n"

    target = CommitId(both_append.git("rev-parse", "main"))
    rules = {"CHANGELOG.md": Regenerate("make log")}
    with open_builder(Git(both_append.path), target, rules.get, remake) as builder:
        made = built(builder.build(target, branch(both_append, "work")))
    assert asked == [("# Changes\n- main", "CHANGELOG.md", "make log")]
    assert both_append.read("CHANGELOG.md", made.commit) == "made anew"


def test_regenerate_that_fails_stays_a_conflict(both_append: Checkout) -> None:
    target = CommitId(both_append.git("rev-parse", "main"))
    rules = {"CHANGELOG.md": Regenerate("false")}
    with open_builder(Git(both_append.path), target, rules.get, lambda *_: None) as builder:
        assert conflict(builder.build(target, branch(both_append, "work")))


# -- every rung of the ladder ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", [rung for rung in MergeTreeMode if rung <= MergeTreeMode.of(installed())])
def test_every_rung_gives_the_same(moved: Checkout, rung: MergeTreeMode) -> None:
    cut(moved, "clash", {"f": "clash\n" + LINES}, at="main~1")
    target = CommitId(moved.git("rev-parse", "main"))
    with open_builder(Git(moved.path), target, rung=rung) as builder:
        assert built(builder.build(target, branch(moved, "work"))).tree == rebased(moved, "work")
        assert conflict(builder.build(target, branch(moved, "clash"))).paths == ("f",)


def test_the_ladder_by_version() -> None:
    assert [MergeTreeMode.of(v) for v in ((2, 38, 1), (2, 44), (2, 45), (2, 48, 9), (2, 49), (3, 0))] == [
        1,
        1,
        2,
        2,
        3,
        3,
    ]


# -- the audit ---------------------------------------------------------------------------------------------------


def step(checkout: Checkout, commit: str, tip: str = "work") -> LandingStep:
    onto, fork = CommitId(checkout.git("rev-parse", "main")), CommitId(checkout.git("merge-base", "main", tip))
    return LandingStep(onto, CommitId(commit), fork, CommitId(checkout.git("rev-parse", tip)), KEPT_OUT)


def test_the_audit_passes_what_was_built_well(moved: Checkout) -> None:
    made = built(one(moved, branch(moved, "work"))).commit
    assert audit(Git(moved.path), step(moved, made)) == ()


def test_the_audit_stops_a_squash_on_a_wrong_base(moved: Checkout) -> None:
    """The incident of 23 April 2026: the branch's own tree on today's target puts back what others landed."""
    moved.commit("somebody lands", {"landed": "1\n"})
    wrong = moved.git("commit-tree", "work^{tree}", "-p", "main", "-m", "squash")
    paths = [finding.path for finding in audit(Git(moved.path), step(moved, wrong))]
    assert "landed" in paths


def test_the_audit_stops_a_candidate_that_drops_the_branchs_work(moved: Checkout) -> None:
    lossy = moved.git("commit-tree", "main^{tree}", "-p", "main", "-m", "nothing")
    assert [finding.path for finding in audit(Git(moved.path), step(moved, lossy))] == ["new"]


def test_the_audit_stops_instruction_files(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n"})
    cut(checkout, "work", {"TASK.md": "t\n", "g": "1\n"})
    found = audit(Git(checkout.path), step(checkout, checkout.git("rev-parse", "work")))
    assert [finding.path for finding in found] == ["TASK.md"]


@pytest.mark.parametrize("side", ["target", "branch"])
def test_the_audit_follows_renames_on_either_side(make_repository: MakeRepository, side: str) -> None:
    checkout = make_repository({"old/f": LINES})
    edit: dict[str, Content | None] = {"old/f": LINES + "edited\n"}
    move: dict[str, Content | None] = {"old/f": None, "fresh/f": LINES}
    cut(checkout, "work", edit if side == "target" else move)
    checkout.commit("main moves", move if side == "target" else edit)
    made = built(one(checkout, branch(checkout, "work"))).commit
    assert checkout.read("fresh/f", made).endswith("edited")
    assert audit(Git(checkout.path), step(checkout, made)) == ()


def test_the_audit_stops_names_that_reach_into_git(make_repository: MakeRepository) -> None:
    checkout = make_repository({"f": "a\n"})
    git = Git(checkout.path)
    plain = checkout.git("rev-parse", "main:f")
    inner = checkout.git("mktree", stdin=f"100644 blob {plain}\tconfig\n".encode())
    tree = checkout.git("mktree", stdin=f"040000 tree {inner}\t.GIT\n100644 blob {plain}\tf\n".encode())
    tip = checkout.git("commit-tree", tree, "-p", "main", "-m", "hostile")
    checkout.git("branch", "work", tip)
    assert [finding.path for finding in audit(git, step(checkout, tip))] == [".GIT/config"]
