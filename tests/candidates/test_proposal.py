"""A proposal is the mechanical merge but for the conflicted paths, all of them or none, and the same every time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.blueprint.model import AgentName, ConflictRule, FleetName, Forbid, Regenerate, Strategy, Union
from orchestra.candidates.builder import Branch, BuiltCandidate, CandidateBuilder, open_builder
from orchestra.candidates.resolution.proposal import Method, Proposal, Proposer, Question, Unresolved, resolved_by
from orchestra.candidates.text_conflict import RuleOf, by_path
from orchestra.git.git_process import Git
from orchestra.git.objects import Commit, Entry, Objects, TreeId
from orchestra.git.refs import CommitId
from tests.conftest import MakeRepository

Files = Mapping[bytes, bytes]
WHO = b"Ada <ada@example.org> 1700000000 +0000"
BASE, OURS, THEIRS = (f"top\n{text}\nend\n".encode() for text in ("base", "ours", "theirs"))


def take(text: bytes) -> Method:
    return lambda question: dict.fromkeys(question.sides, text)


def nothing(_: Question) -> Mapping[str, bytes]:
    return {}


def commit(objects: Objects, files: Files, *parents: CommitId, modes: Mapping[bytes, bytes] | None = None) -> CommitId:
    at = objects.write_tree({})
    entries = {
        path: Entry((modes or {}).get(path, b"100644"), objects.write_blob(data)) for path, data in files.items()
    }
    return objects.write_commit(Commit(objects.with_entries(at, entries), parents, WHO, WHO, b"a commit\n"))


def fork(git: Git, base: Files, ours: Files, theirs: Files) -> tuple[CommitId, Branch]:
    """The target, and the branch beside it."""
    with Objects(git) as objects:
        start = commit(objects, base)
        target, tip = commit(objects, ours, start), commit(objects, theirs, start)
    return target, Branch(AgentName("one"), FleetName("demo"), start, tip, "One", kept_out=("AGENT_NOTES.md",))


@contextmanager
def proposer(
    git: Git, target: CommitId, *methods: tuple[str, Method], rule_of: RuleOf = lambda _: None
) -> Iterator[tuple[Proposer, CandidateBuilder]]:
    with ExitStack() as stack:

        def styled(style: str) -> CandidateBuilder:
            return stack.enter_context(open_builder(git, target, rule_of, lambda *_: b"made anew\n", style=style))

        build = styled("merge")
        yield Proposer(build, styled, methods), build


def propose(
    git: Git, target: CommitId, branch: Branch, *methods: tuple[str, Method], rule_of: RuleOf = lambda _: None
) -> Proposal | Unresolved:
    with proposer(git, target, *methods, rule_of=rule_of) as (makes, _):
        return makes.propose(branch, "Merge main into one")


def files(git: Git, tree: str) -> dict[bytes, tuple[str, bytes]]:
    found = {}
    for row in git.run("ls-tree", "-r", "-z", tree).fields:
        facts, _, path = row.partition("\t")
        mode, _, blob = facts.split(" ")
        found[os.fsencode(path)] = (mode, git.run("cat-file", "blob", blob).stdout)
    return found


@pytest.fixture
def git(make_repository: MakeRepository) -> Git:
    return Git(make_repository().path)


NAMES = st.sampled_from([b"a", b"d/b", b'q"uote', b"new\nline", b"dr\xffl", b"d/e/f.py"])
LINES = st.lists(st.sampled_from([b"one\n", b"two\n", b"three\n", b"four\n"]), max_size=4).map(b"".join)
TREES = st.dictionaries(NAMES, LINES, min_size=1)


@settings(max_examples=25)
@given(base=TREES, ours=TREES, theirs=TREES, answers=st.dictionaries(NAMES, LINES))
def test_it_differs_from_the_merge_at_conflicted_paths_only(
    git: Git, base: Files, ours: Files, theirs: Files, answers: Files
) -> None:
    target, branch = fork(git, base, ours, theirs)

    def method(question: Question) -> Mapping[str, bytes]:
        return {path: answers[os.fsencode(path)] for path in question.sides if os.fsencode(path) in answers}

    with proposer(git, target, ("rerere", method)) as (makes, build):
        found = makes.propose(branch, "Merge main into one")
        mechanical = build.whole(target, branch)
        assert mechanical is not None
        if isinstance(found, Unresolved):
            return
        conflicted = set(by_path(mechanical))
        plain, proposed = files(git, mechanical.tree), files(git, found.commit.tree)
        for path in set(plain) | set(proposed):
            if os.fsdecode(path) in conflicted:
                assert proposed[path][1] == answers[path]
            else:
                assert proposed.get(path) == plain.get(path)
        assert set(found.resolved) == conflicted
        assert found.commit.parents == (branch.tip, target)
        assert resolved_by(found.commit) == found.resolved
        assert makes.propose(branch, "Merge main into one") == found
        made = build.objects.write_commit(found.commit)
        for strategy in Strategy:
            again = build.build(target, Branch(branch.agent, branch.fleet, branch.base, made, "One", strategy))
            assert not isinstance(again, BuiltCandidate) or again.tree == found.commit.tree


def test_all_or_nothing_and_the_first_that_answers(git: Git) -> None:
    base, ours, theirs = ({b"a": text, b"b": text, b"c": b"c\n"} for text in (BASE, OURS, THEIRS))
    target, branch = fork(git, base, ours, theirs)
    only_a = ("rerere", lambda _: {"a": b"a of rerere\n", "c": b"nobody asked\n"})
    found = propose(git, target, branch, only_a)
    assert found == Unresolved("rerere leaves a conflict in b", asked=True)
    found = propose(git, target, branch, only_a, ("mergiraf", take(b"of mergiraf\n")))
    assert isinstance(found, Proposal)
    assert found.resolved == {"a": "rerere", "b": "mergiraf"}
    contents = {path: data for path, (_, data) in files(git, found.commit.tree).items()}
    assert contents == {b"a": b"a of rerere\n", b"b": b"of mergiraf\n", b"c": b"c\n"}
    assert found.commit.message.endswith(b'\nOrchestra-Resolved: rerere "a"\nOrchestra-Resolved: mergiraf "b"\n')


def test_an_answer_with_markers_in_it_is_none(git: Git) -> None:
    target, branch = fork(git, {b"a": BASE}, {b"a": OURS}, {b"a": THEIRS})
    marked = take(b"<<<<<<< x\nours\n=======\ntheirs\n>>>>>>> y\n")
    found = propose(git, target, branch, ("rerere", marked), ("mergiraf", take(b"ok\n")))
    assert isinstance(found, Proposal)
    assert found.resolved == {"a": "mergiraf"}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "why"),
    [
        ({b"a": b"\0base"}, {b"a": b"\0ours"}, {b"a": b"\0theirs"}, "a is binary"),
        ({b"a": BASE, b"x": b""}, {b"x": b""}, {b"a": THEIRS, b"x": b""}, "no plain file"),
        ({b"a": BASE, b"x": b""}, {b"a": OURS, b"x": b""}, {b"x": b""}, "no plain file"),
        ({b"x": b""}, {b"x": b"", b"a": b"file\n"}, {b"x": b"", b"a/b": b"folder\n"}, "no plain file"),
        ({b"a": BASE}, {b"a": OURS, b"new": b"1"}, {b"a": OURS + b"more\n", b"new": b"1"}, None),
    ],
    ids=["binary", "deleted by main", "deleted by the agent", "file against folder", "clean"],
)
def test_what_is_more_than_text_is_not_proposed_for(
    git: Git, base: Files, ours: Files, theirs: Files, why: str | None
) -> None:
    target, branch = fork(git, base, ours, theirs)
    found = propose(git, target, branch, ("rerere", take(b"an answer\n")))
    if why is None:
        assert isinstance(found, Proposal)
        assert found.resolved == {}
    else:
        assert isinstance(found, Unresolved)
        assert why in found.sentence


def test_a_conflict_inside_a_conflict_is_a_question_about_files(git: Git) -> None:
    """A file that one side renamed and both changed meets another of that name: git writes markers into a side."""
    one, two = (b"".join(b"%s %d\n" % (word, n) for n in range(20)) for word in (b"one", b"two"))
    ours, theirs = one.replace(b"one 7\n", b"ours\n"), one.replace(b"one 7\n", b"theirs\n")
    target, branch = fork(git, {b"1": one, b"2": two}, {b"3": ours, b"2": two}, {b"1": theirs, b"3": two})
    found = propose(git, target, branch, ("rerere", take(b"an answer\n")))
    assert isinstance(found, Unresolved)
    assert "not a conflict of text alone: CONFLICT (rename involved in collision)" in found.sentence


def test_both_added_a_file_and_one_made_it_executable(git: Git) -> None:
    with Objects(git) as objects:
        start = commit(objects, {b"x": b"", b"b": BASE})
        target = commit(objects, {b"x": b"", b"a": OURS, b"b": OURS}, start)
        tip = commit(objects, {b"x": b"", b"a": THEIRS, b"b": THEIRS}, start, modes={b"b": b"100755"})
    branch = Branch(AgentName("one"), FleetName("demo"), start, tip, "One")
    seen: list[bytes] = []

    def method(question: Question) -> Mapping[str, bytes]:
        seen.append(question.sides["a"][0].data)
        return dict.fromkeys(question.sides, b"both\n")

    found = propose(git, target, branch, ("rerere", method))
    assert isinstance(found, Proposal), found
    assert seen == [b""]
    assert {p: mode for p, (mode, _) in files(git, found.commit.tree).items()}[b"b"] == "100755"


def rules(**by_name: ConflictRule) -> RuleOf:
    return by_name.get


def test_rules_come_first_and_what_they_forbid_is_forbidden(git: Git) -> None:
    names = (b"free", b"united", b"made")
    target, branch = fork(git, *(dict.fromkeys(names, text) for text in (BASE, OURS, THEIRS)))
    asked: list[str] = []

    def method(question: Question) -> Mapping[str, bytes]:
        asked.extend(question.sides)
        return dict.fromkeys(question.sides, b"resolved\n")

    found = propose(git, target, branch, ("rerere", method), rule_of=rules(united=Union(), made=Regenerate("make")))
    assert isinstance(found, Proposal), found
    assert (asked, found.resolved) == (["free"], {"free": "rerere"})
    contents = {path: data for path, (_, data) in files(git, found.commit.tree).items()}
    assert contents == {b"free": b"resolved\n", b"united": b"top\nours\ntheirs\nend\n", b"made": b"made anew\n"}
    forbidden = propose(git, target, branch, ("rerere", method), rule_of=rules(made=Forbid()))
    assert isinstance(forbidden, Unresolved)
    assert "forbids" in forbidden.sentence


def test_instruction_files_are_the_targets(git: Git) -> None:
    theirs = {b"a": THEIRS, b"AGENT_NOTES.md": b"forced in\n"}
    target, branch = fork(git, {b"a": BASE}, {b"a": OURS}, theirs)
    found = propose(git, target, branch, ("rerere", take(b"both\n")))
    assert isinstance(found, Proposal)
    assert set(files(git, found.commit.tree)) == {b"a"}


def test_resolving_to_what_the_target_has_leaves_nothing(git: Git) -> None:
    target, branch = fork(git, {b"a": BASE}, {b"a": OURS}, {b"a": THEIRS})
    found = propose(git, target, branch, ("rerere", take(OURS)))
    assert found == Unresolved("with the conflicts resolved nothing of the branch is left")


def test_nobody_to_ask(git: Git) -> None:
    target, branch = fork(git, {b"a": BASE}, {b"a": OURS}, {b"a": THEIRS})
    assert propose(git, target, branch) == Unresolved("there is still a conflict in a", asked=True)
    assert propose(git, target, branch, ("rerere", nothing)) == Unresolved("rerere leaves a conflict in a", asked=True)


def test_a_history_of_its_own(git: Git) -> None:
    target, branch = fork(git, {b"a": BASE}, {b"a": OURS}, {b"a": THEIRS})
    with Objects(git) as objects:
        branch = replace(branch, tip=commit(objects, {b"a": b"more\n"}))
    found = propose(git, target, branch, ("rerere", take(b"x\n")))
    assert found == Unresolved("the branch shares no history with the target")


def test_a_message_of_anybody_else_tells_of_no_method() -> None:
    message = b"x\n\nOrchestra-Resolved: rerere not json\nOrchestra-Resolved: mergiraf 3\n"
    assert resolved_by(Commit(TreeId(""), (), WHO, WHO, message)) == {}
