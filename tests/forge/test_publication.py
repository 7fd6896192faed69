"""A train that ends in a pull request: what is pushed and opened, and how merged work is recognised."""

from __future__ import annotations

import pytest

from orchestra.engine.local import LocalEngine
from orchestra.errors import GroundError, UsageError
from orchestra.train.events import TrainEvent
from orchestra.workspace.clean import clean
from tests.forge.conftest import BRANCH, ForgeWorld
from tests.train.train_fixture import NOTES, landed, reasons


def in_request(report: object) -> list[str]:
    return [item.agent for item in report.in_pull_request]  # type: ignore[attr-defined]


def test_what_passed_is_pushed_and_one_pull_request_is_opened(forge: ForgeWorld) -> None:
    before = forge.train.tip()
    forge.train.notes("one")
    forge.train.approved(one={"a": "1\n"}, two={"b.txt": "RED\n"}, three={"c": "3\n"})
    report = forge.train.merge()
    assert (in_request(report), landed(report), reasons(report)) == (["one", "three"], [], {"two": "gate"})
    assert forge.server.tip(BRANCH) == report.pull_request.commit == report.in_pull_request[-1].commit  # type: ignore[union-attr]
    assert forge.server.tip("main") == before == forge.train.tip() == report.after
    assert forge.server.pushed_refs() == {f"refs/heads/{BRANCH}"}
    (request,) = forge.requests
    assert (request["head"], request["base"], request["title"]) == (BRANCH, "main", "demo: one and three")
    assert "A thing that works." in request["body"]
    assert "<code>two</code> evicted (gate): <code>tests failed" in request["body"]
    assert forge.server.bare.git("log", "--format=%s", f"main..{BRANCH}").splitlines() == ["three works", "one works"]
    assert "opened pull request 12: https://forge.example/acme/shop/pull/12" in "\n".join(report.render_lines())
    assert report.exit_code == 1


def test_a_second_run_changes_nothing(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    first = forge.train.merge()
    again = forge.train.merge()
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert str(again.pull_request.action) == "unchanged"  # type: ignore[union-attr]
    assert again.tests_run == 0
    assert len(forge.requests) == 1
    assert not [call for call in forge.calls() if "PATCH" in call]


def test_new_approvals_update_the_same_pull_request(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.train.merge()
    first = forge.server.tip(BRANCH)
    forge.train.approved(two={"b": "2\n"})
    report = forge.train.merge()
    assert (in_request(report), str(report.pull_request.action)) == (["one", "two"], "updated")  # type: ignore[union-attr]
    (request,) = forge.requests
    assert request["title"] == "demo: one and two"
    assert forge.server.bare.git("rev-list", "--count", f"{first}..{BRANCH}") == "1"


def test_what_a_person_wrote_around_the_description_stays(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.train.merge()
    (request,) = forge.requests
    request["title"] = "The first feature"
    request["body"] = f"Please look at the schema.\n\n{request['body']}\n\n- [ ] deployed".replace("\n", "\r\n")
    forge.change(requests=[request])
    forge.train.approved(two={"b": "2\n"})
    forge.train.merge()
    (request,) = forge.requests
    assert request["title"] == "The first feature"
    assert request["body"].startswith("Please look at the schema.\n\n<!-- orchestra: begin -->\n2 agents")
    assert request["body"].endswith("<!-- orchestra: end -->\n\n- [ ] deployed")


def test_a_withdrawn_approval_leaves_the_pull_request_with_the_next_push(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    forge.train.merge()
    forge.train.checkout.git("update-ref", "-d", "refs/orchestra/demo/one/approved")
    report = forge.train.merge()
    assert in_request(report) == ["two"]
    assert forge.server.bare.git("log", "--format=%s", f"main..{BRANCH}").splitlines() == ["two works"]


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_merged_work_is_recognised_by_content_and_cleaned(forge: ForgeWorld, method: str) -> None:
    train, content = forge.train, "# sample\n\nONE\n\ntwo\n\nthree\n"
    train.notes("one")
    train.approved(one={"README.md": content, "a": "1\n"}, two={"b": "2\n"})
    train.merge()
    # Others change the same file, and another one, before and after the merge.
    forge.server.commit("main", "README.md", "# sample\n\none\n\ntwo\n\nTHREE\n")
    merged = forge.merge(method)
    forge.server.commit("main", "later")
    train.approved(three={"c": "3\n"})
    report = train.merge()
    assert report.recovered[0].startswith("one and two landed on origin as ")
    assert train.tip() == forge.server.tip("main") == train.checkout.git("rev-parse", "HEAD")
    assert train.checkout.git("status", "--porcelain") == ""
    assert (train.checkout.path / "README.md").read_text() == "# sample\n\nONE\n\ntwo\n\nTHREE\n"
    refs = train.world.refs()
    for name in ("one", "two"):
        assert train.fleet.repository.is_ancestor(refs[f"demo/{name}/landed"], merged)
    assert "A thing that works." in train.checkout.git("notes", "--ref=orchestra", "show", refs["demo/one/landed"])
    assert in_request(report) == ["three"]
    with LocalEngine(1) as engine:
        cleaned = clean(train.fleet, engine=engine)
    assert not cleaned.skipped
    assert not train.world.fleet.worktree(train.fleet.require_agent("one")).exists()
    assert train.world.fleet.worktree(train.fleet.require_agent("three")).exists()


def test_two_pull_requests_one_after_the_other(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.train.merge()
    forge.merge("squash", delete=False)
    forge.train.approved(two={"b": "2\n"})
    report = forge.train.merge()
    assert (in_request(report), report.pull_request.number) == (["two"], 13)  # type: ignore[union-attr]
    forge.merge("squash", 13)
    assert forge.train.merge().recovered[0].startswith("two landed on origin as ")
    assert set(forge.train.checkout.tree("main")) == {"README.md", "a", "b"}


def test_a_closed_pull_request_lands_nothing_and_the_next_merge_opens_another(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.train.merge()
    forge.close(12)
    report = forge.train.merge()
    assert (landed(report), in_request(report), report.recovered) == ([], ["one"], ())
    assert (str(report.pull_request.action), report.pull_request.number) == ("opened", 13)  # type: ignore[union-attr]


def test_a_branch_that_was_deleted_on_the_server_is_pushed_again(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    commit = forge.train.merge().pull_request.commit  # type: ignore[union-attr]
    forge.server.bare.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    forge.close(12)
    report = forge.train.merge()
    assert forge.server.tip(BRANCH) == commit == report.pull_request.commit  # type: ignore[union-attr]


def test_commits_of_others_on_the_branch_are_never_overwritten(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.train.merge()
    theirs = forge.server.commit(BRANCH, "fix")
    forge.train.approved(two={"b": "2\n"})
    report = forge.train.merge()
    assert forge.server.tip(BRANCH) == theirs
    assert "has commits that were not pushed from this repository: " in reasons(report)["two"]
    assert "add fix" in reasons(report)["two"]
    assert report.exit_code == 1
    # The hint works as it is printed: what it keeps is there, and the next run pushes.
    hint = reasons(report)["two"].partition("(keep them: ")[2].rstrip(")")
    for command in hint.replace("; then make way: ", "\n").splitlines():
        forge.train.checkout.git(*command.removeprefix("git ").split())
    assert forge.train.tip("demo-train-kept") == theirs
    assert in_request(forge.train.merge()) == ["one", "two"]


def test_a_pull_request_that_others_added_to_is_recognised_when_it_is_merged(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.train.merge()
    forge.server.commit(BRANCH, "fix")
    forge.merge("squash", delete=False)
    forge.train.approved(two={"b": "2\n"})
    report = forge.train.merge()
    assert report.recovered[0].startswith("one landed on origin as ")
    assert in_request(report) == ["two"]


def test_a_push_of_somebody_else_in_the_middle_loses_the_lease(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.train.merge()
    forge.train.approved(two={"b": "2\n"})
    hook = forge.train.checkout.path / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    bare, first = forge.server.bare.path, forge.server.tip(BRANCH)
    forge.server.commit("other", "fix", onto=BRANCH)
    hook.write_text(f"#!/bin/sh\ngit -C {bare} update-ref refs/heads/{BRANCH} {forge.server.tip('other')}\n", "utf-8")
    hook.chmod(0o755)
    report = forge.train.merge()
    assert forge.server.tip(BRANCH) == forge.server.tip("other") != first
    assert "moved to" in reasons(report)["two"]


def test_a_target_that_moves_meanwhile_is_built_upon(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    moved: list[str] = []

    def move(event: TrainEvent) -> None:
        if event.kind == "gate.started" and not moved:
            moved.append(forge.server.commit("main", "theirs"))

    report = forge.train.merge(progress=move)
    assert in_request(report) == ["one"]
    assert forge.server.bare.git("rev-parse", f"{BRANCH}~1") == moved[0]
    assert forge.train.tip() != moved[0], "the local target moves only when the pull request was merged"


def test_a_verdict_that_changes_meanwhile_keeps_its_agent_out(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"}, two={"b": "2\n"})

    def change(event: TrainEvent) -> None:
        if event.kind == "gate.finished":
            forge.train.checkout.git("update-ref", "-d", "refs/orchestra/demo/one/approved")

    report = forge.train.merge(progress=change)
    assert (in_request(report), reasons(report)["one"]) == (["two"], "its verdict changed to none while the train ran")
    assert forge.server.bare.git("log", "--format=%s", f"main..{BRANCH}").splitlines() == ["two works"]


def test_a_rehearsal_shows_what_would_be_pushed_and_opened(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    report = forge.train.rehearse()
    (line,) = [line for line in report.render_lines() if "would push" in line]
    assert line == f"would push {report.pull_request.commit[:10]} to {BRANCH} on origin, and would open a pull request"  # type: ignore[union-attr]
    assert (forge.server.tip(BRANCH), forge.requests, forge.server.pushed_refs()) == ("", [], set())
    assert forge.train.merge().pull_request.commit == report.pull_request.commit  # type: ignore[union-attr]
    assert "would update pull request 12: " in "\n".join(forge.train.rehearse().render_lines())


def test_an_unpushed_commit_of_the_target_is_refused(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.train.checkout.commit("mine", {"mine": "1\n"})
    with pytest.raises(GroundError, match="main has 1 commit that origin/main lacks"):
        forge.train.merge()


def test_local_changes_do_not_keep_work_from_being_pushed(forge: ForgeWorld) -> None:
    forge.train.approved(one={"README.md": "changed\n"})
    forge.train.checkout.write({"README.md": "mine\n"})
    assert in_request(forge.train.merge()) == ["one"]
    forge.merge("squash")
    report = forge.train.merge()
    assert "one landed on origin, and main cannot follow: " in report.recovered[0]
    assert (forge.train.checkout.path / "README.md").read_text() == "mine\n"
    forge.train.checkout.git("checkout", "-q", "README.md")
    assert forge.train.merge().recovered[0].startswith("one landed on origin as ")
    assert (forge.train.checkout.path / "README.md").read_text() == "changed\n"


def test_push_and_pull_request_exclude_each_other(forge: ForgeWorld) -> None:
    with pytest.raises(UsageError, match="merge does not push the target"):
        forge.train.merge(push=True)


def test_new_commits_after_the_push_land_with_the_next_pull_request(forge: ForgeWorld) -> None:
    train = forge.train
    train.approved(one={"a": "1\n"})
    train.merge()
    train.commit("one", {"a2": "2\n"})
    train.approve("one")
    forge.merge("squash")
    report = train.merge()
    assert in_request(report) == ["one"]
    assert forge.server.bare.git("diff", "--name-only", "main", BRANCH).splitlines() == ["a2"]
    assert "demo/one/landed" not in train.world.refs()


def test_notes_are_those_that_were_approved(forge: ForgeWorld) -> None:
    forge.train.notes("one")
    forge.train.approved(one={"a": "1\n"})
    forge.train.notes("one", NOTES.replace("A thing that works.", "Something else."))
    forge.train.merge()
    assert "Something else." not in forge.requests[0]["body"]
