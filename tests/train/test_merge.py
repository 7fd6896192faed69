"""The train on real repositories, with real gates: what lands, what does not, and what is said about it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from orchestra.blueprint.model import (
    Builtin,
    BuiltinGate,
    Forbid,
    Limits,
    Policy,
    Regenerate,
    Review,
    RunGate,
    Scope,
    Train,
    Union,
)
from orchestra.errors import GroundError, LockHeld, UsageError
from orchestra.git.lock import exclusive
from orchestra.git.refs import NOTES as NOTES_REF
from orchestra.review.approval import approve
from orchestra.review.verdicts import discard, request_changes
from orchestra.train.events import TrainEvent
from orchestra.train.merge import rebase_and_test
from orchestra.train.train_report import MergeReport
from orchestra.workspace.paths import slots_root
from tests.conftest import Checkout, MakeRepository
from tests.gates.branches import github_token
from tests.train.train_fixture import NOTES, Strategy, TrainFixture, landed, make_train, reasons

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/merge.schema.json").read_text("utf-8"))


def check_json(report: MergeReport) -> None:
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(report.to_json())))


# -- what lands --------------------------------------------------------------------------------------------------


def test_approved_work_lands_in_order_with_its_trailers(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "2\n"}, three={"c": "3\n"})
    before = train.tip()
    report = train.merge()
    assert landed(report) == ["one", "two", "three"]
    assert report.exit_code == 0
    shape = "--format=%s|%(trailers:key=Orchestra-Agent,valueonly,separator=%x2C)"
    assert train.checkout.git("log", "--reverse", shape, f"{before}..main").splitlines() == [
        "one works|one",
        "two works|two",
        "three works|three",
    ]
    assert (report.before, report.after) == (before, train.tip())
    assert {str(item.agent): dict(item.gates) for item in report.landed}["one"] == {"tests": "passed"}
    check_json(report)


def test_refs_say_what_landed_and_nothing_is_left_over(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    report = train.merge()
    refs = train.world.refs()
    assert refs["demo/one/landed"] == report.landed[0].commit == train.tip()
    assert not [name for name in refs if name.endswith("candidate")]
    state = train.fleet.repository.state_folder
    assert not (state / "train/intent.json").exists()
    assert train.checkout.git("fsck", "--strict", "--no-dangling") == ""


def test_the_checkout_is_brought_along_and_the_agents_are_not_touched(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    tips = train.tip("agent/demo/one"), train.tip("agent/demo/two")
    train.checkout.write({"mine": "untracked\n"})
    train.merge()
    assert (train.checkout.path / "b").read_text() == "2\n"
    assert train.checkout.git("status", "--porcelain") == "?? mine"
    assert tips == (train.tip("agent/demo/one"), train.tip("agent/demo/two"))
    assert train.world.at("one").git("status", "--porcelain") == ""


def test_the_notes_stay_with_the_commit_that_landed(train: TrainFixture) -> None:
    train.notes("one")
    train.approved(one={"a": "1\n"})
    report = train.merge()
    assert train.checkout.git("notes", f"--ref={NOTES_REF}", "show", report.landed[0].commit) == NOTES.strip()
    assert "AGENT_NOTES.md" not in train.checkout.tree()


def test_a_second_merge_has_nothing_to_do(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    train.merge()
    again = train.merge()
    assert (landed(again), again.tests_run) == ([], 0)
    assert again.before == again.after
    assert reasons(again) == {"two": "no verdict", "three": "no verdict"}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_every_strategy(train: TrainFixture, strategy: Strategy) -> None:
    train.merge_settings(strategy=strategy)
    train.commit("one", {"a": "1\n"})
    train.approved(one={"a": "2\n"}, two={"b": "1\n"})
    assert landed(train.merge()) == ["one", "two"]
    assert train.checkout.read("a") == "2"
    assert train.checkout.git("status", "--porcelain") == ""


# -- what does not -----------------------------------------------------------------------------------------------


def test_a_red_gate_evicts_with_its_log_and_the_rest_goes_on(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b.txt": "RED\n"}, three={"c": "3\n"})
    report = train.merge()
    assert landed(report) == ["one", "three"]
    (out,) = report.evicted
    assert (out.agent, out.reason, out.gate) == ("two", "gate", "tests")
    assert "tests failed (exit code 1)" in out.detail
    assert out.log is not None
    assert out.log.is_file()
    assert report.exit_code == 1
    check_json(report)


def test_a_conflict_evicts_with_the_hunks_and_with_whom(train: TrainFixture) -> None:
    train.approved(one={"README.md": "# one\n"}, two={"README.md": "# two\n"})
    (out,) = train.merge().evicted
    assert (out.agent, out.reason, out.with_) == ("two", "conflict", ("one",))
    assert out.log is not None
    text = out.log.read_text("utf-8")
    assert "<<<<<<< target\n# one\n||||||| base\n# sample\n=======\n# two\n>>>>>>> two" in text


def test_an_empty_branch_is_evicted(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    train.commit("two", {})
    train.approve("two")
    assert reasons(train.merge())["two"] == "empty"


def test_what_must_land_after_is_blocked_and_says_by_whom(train: TrainFixture) -> None:
    train.after(two=("one",), three=("one", "two"))
    train.approved(one={"a.txt": "RED\n"}, two={"b": "2\n"}, three={"c": "3\n"})
    report = train.merge()
    assert reasons(report) == {"one": "gate", "two": "blocked by one", "three": "blocked by one"}
    check_json(report)


def test_a_discarded_predecessor_holds_nobody_up(train: TrainFixture) -> None:
    train.after(two=("one",))
    train.approved(two={"b": "2\n"})
    train.commit("one", {"a": "1\n"})
    discard(train.fleet, train.fleet.require_agent("one"), "not wanted")
    assert landed(train.merge()) == ["two"]


def test_a_predecessor_that_is_not_asked_for_holds_its_followers_up(train: TrainFixture) -> None:
    train.after(two=("one",))
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    report = train.merge(agents=["two"])
    assert reasons(report) == {"two": "blocked by one"}


# -- verdicts ----------------------------------------------------------------------------------------------------


def test_only_what_is_approved_at_its_very_tip_lands(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    train.commit("one", {"a": "later\n"})
    train.commit("three", {"c": "3\n"})
    request_changes(train.fleet, train.fleet.require_agent("three"), "more tests")
    report = train.merge(accept_finished=True)
    assert landed(report) == ["two"]
    assert reasons(report) == {
        "one": "its approval is stale: the branch has new commits",
        "three": "changes were requested",
    }
    train.commit("three", {"c": "4\n"})
    again = train.merge(accept_finished=True)
    assert reasons(again)["three"] == "it has new commits since changes were requested: orchestra review three"


def test_yes_approves_what_is_finished_and_green_at_the_commit_that_landed(train: TrainFixture) -> None:
    tip = train.commit("one", {"a": "1\n"})
    train.commit("two", {"b.txt": "RED\n"})
    train.commit("three", {"c": "3\n"})
    train.world.at("three").write({"c": "unsaved\n"})
    report = train.merge(accept_finished=True, unfinished=dict)
    assert landed(report) == ["one"]
    assert train.world.refs()["demo/one/approved"] == tip
    assert "demo/two/approved" not in train.world.refs()
    assert "1 uncommitted file in" in reasons(report)["three"]


def test_who_is_still_at_work_is_not_taken(train: TrainFixture) -> None:
    train.commit("one", {"a": "1\n"})
    report = train.merge(accept_finished=True, agents=["one"], unfinished=lambda: {"one": "working"})
    assert reasons(report) == {"one": "not finished: working"}


def test_review_none_lands_what_is_green(train: TrainFixture) -> None:
    train.merge_settings(review=Review.NONE)
    train.commit("one", {"a": "1\n"})
    assert landed(train.merge(agents=["one"])) == ["one"]
    assert "demo/one/approved" not in train.world.refs()


def test_an_agent_that_commits_while_the_train_runs_does_not_land(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})

    def commit_more(event: TrainEvent) -> None:
        if event.kind == "gate.started" and event.agents == ("one",):
            train.commit("one", {"a": "sneaked in\n"})

    report = train.merge(progress=commit_more)
    assert landed(report) == ["two"]
    assert reasons(report)["one"] == "it got new commits while the train ran"
    assert "a" not in train.checkout.tree()


def test_a_verdict_that_is_withdrawn_while_the_train_runs_counts(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})

    def think_again(event: TrainEvent) -> None:
        if event.kind == "gate.started":
            request_changes(train.fleet, train.fleet.require_agent("one"), "wait")

    report = train.merge(progress=think_again, agents=["one"])
    assert reasons(report) == {"one": "its verdict changed to changes-requested while the train ran"}


# -- rehearsing ---------------------------------------------------------------------------------------------------


def everything(train: TrainFixture) -> tuple[str, ...]:
    checkout = train.checkout
    return checkout.git("for-each-ref"), checkout.git("status", "--porcelain"), checkout.git("rev-parse", "HEAD")


def test_rehearse_lands_nothing_and_merge_reuses_what_it_found(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    train.commit("three", {"c": "3\n"})
    before = everything(train)
    told = train.rehearse()
    assert landed(told) == ["one", "two", "three"]
    assert told.rehearsed
    assert everything(train) == before
    check_json(told)
    report = train.merge()
    assert landed(report) == ["one", "two"]
    assert report.tests_run == 0
    assert report.after == told.landed[1].commit


def test_rebase_and_test_takes_whom_it_is_told_to_whatever_the_verdict(train: TrainFixture) -> None:
    train.after(two=("one",))
    train.commit("one", {"a.txt": "RED\n"})
    train.commit("two", {"b": "2\n"})
    before = everything(train)
    names = [agent.name for agent in train.fleet.blueprint.agents]
    assert landed(rebase_and_test(train.fleet, names[1:2])) == ["two"]
    assert reasons(rebase_and_test(train.fleet, names[:1])) == {"one": "gate"}
    assert everything(train) == before


# -- gates -------------------------------------------------------------------------------------------------------


def test_gates_run_in_order_and_a_red_one_ends_the_candidate(train: TrainFixture, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    train.gates(RunGate("lint", f"echo lint >>{ran}; test ! -e bad"), RunGate("tests", f"echo tests >>{ran}"))
    train.approved(one={"bad": "1\n"}, two={"good": "1\n"})
    report = train.merge()
    assert landed(report) == ["two"]
    assert report.evicted[0].gate == "lint"
    assert dict(report.landed[0].gates) == {"lint": "passed", "tests": "passed"}
    # red: lint on one, then both on the target alone, and lint on one again; green: both on two
    assert ran.read_text().split() == ["lint", "lint", "tests", "lint", "lint", "tests"]


def test_a_gate_is_tried_again_as_often_as_it_says(train: TrainFixture, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    flaky = f"test ! -e a || test -e {seen} || {{ touch {seen}; exit 1; }}"
    train.gates(RunGate("tests", flaky, retries=1))
    train.approved(one={"a": "1\n"})
    assert landed(train.merge()) == ["one"]


def test_a_timeout_counts_as_red(train: TrainFixture) -> None:
    train.gates(RunGate("tests", "test ! -e a || exec tail -f /dev/null", timeout_s=2.0))
    train.approved(one={"a": "1\n"})
    (out,) = train.merge(agents=["one"]).evicted
    assert "timed-out" in out.detail


def test_all_built_in_gates_report_in_one_round(train: TrainFixture) -> None:
    train.agent("one", scope=Scope(("src/**",)))
    train.gates(
        BuiltinGate("scope", Builtin.SCOPE),
        BuiltinGate("notes", Builtin.NOTES),
        BuiltinGate("keys", Builtin.SECRETS),
        BuiltinGate("packages", Builtin.DEPENDENCIES),
    )
    secret = github_token()
    train.notes("one", "## What I Built\n\n")
    train.commit("one", {"elsewhere": f"{secret}\n", "requirements.txt": "evil==1\n"})
    train.approve("one")
    (out,) = train.merge().evicted
    assert out.reason == "scope"
    for words in (
        "scope: elsewhere is outside the agent's scope",
        "notes: AGENT_NOTES.md is not filled in",
        "keys: elsewhere:1 holds a GitHub token",
        "packages: requirements.txt:1 adds evil ==1, which AGENT_NOTES.md does not name",
    ):
        assert words in out.detail
    assert secret not in out.detail


def test_a_secret_that_a_later_commit_deletes_does_not_land(train: TrainFixture) -> None:
    train.agent("one").gates(BuiltinGate("keys", Builtin.SECRETS))
    train.commit("one", {"a.env": f"{github_token()}\n"})
    train.commit("one", {"a.env": None, "a": "a\n"})
    train.approve("one")
    assert train.merge().evicted[0].gate == "keys"
    train.merge_settings(strategy=Strategy.SQUASH)
    assert [landed.agent for landed in train.merge().landed] == ["one"]


def test_scope_blocks_warns_and_asks_for_a_reason(train: TrainFixture) -> None:
    train.agent("one", scope=Scope(("src/**",))).blueprint(protected=("*.lock",))
    train.commit("one", {"src/a": "1\n", "elsewhere": "1\n", "x.lock": "1\n"})
    train.approve("one")

    def with_policy(policy: Policy) -> MergeReport:
        train.gates(BuiltinGate("scope", Builtin.SCOPE, policy))
        return train.rehearse(agents=["one"])

    (out,) = with_policy(Policy.BLOCK).evicted
    assert out.reason == "scope"
    assert "elsewhere is outside the agent's scope; x.lock is protected" in out.detail
    assert reasons(with_policy(Policy.JUSTIFY)) == {"one": "scope"}
    train.notes("one", NOTES + "\n`elsewhere` had to change, and so had x.lock\n")
    assert reasons(with_policy(Policy.JUSTIFY)) == {"one": "scope"}  # the notes were approved with the commit
    train.approve("one")
    assert dict(with_policy(Policy.JUSTIFY).landed[0].gates) == {"scope": "warned"}
    assert dict(with_policy(Policy.WARN).landed[0].gates) == {"scope": "warned"}
    train.agent("one", may_edit=("*.lock", "elsewhere"))
    assert dict(with_policy(Policy.BLOCK).landed[0].gates) == {"scope": "passed"}


def test_the_notes_gate_wants_them_filled(train: TrainFixture) -> None:
    train.gates(BuiltinGate("notes", Builtin.NOTES))
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})
    train.notes("two")
    train.approve("two")
    report = train.merge()
    assert landed(report) == ["two"]
    assert (report.evicted[0].reason, report.evicted[0].gate) == ("gate", "notes")


def test_gates_see_an_allow_list_and_no_secret(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train.gates(RunGate("tests", f"env >{tmp_path}/env", env={"MODE": "gate"}))
    train.setup(env={"PORT": "{{ 3000 + agent.number }}"}).approved(one={"a": "1\n"})
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert landed(train.merge()) == ["one"]
    monkeypatch.undo()
    seen = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert not {"AWS_SECRET_ACCESS_KEY", "GIT_DIR"} & set(seen)
    assert (seen["MODE"], seen["CI"], seen["PORT"]) == ("gate", "true", "3005")
    assert Path(seen["TMPDIR"]).parent == Path(tempfile.gettempdir())


# -- conflicts by rule --------------------------------------------------------------------------------------------


def test_conflict_rules_of_the_blueprint(train: TrainFixture) -> None:
    rules = {"CHANGES": Union(), "*.lock": Regenerate("cat *.in >made.lock"), "README.md": Forbid()}
    train.merge_settings(conflicts=rules)
    train.approved(
        one={"CHANGES": "one\n", "made.lock": "1\n", "1.in": "1\n"},
        two={"CHANGES": "two\n", "made.lock": "2\n", "2.in": "2\n"},
    )
    report = train.merge()
    assert landed(report) == ["one", "two"]
    assert train.checkout.read("CHANGES") == "one\ntwo"
    assert train.checkout.read("made.lock") == "1\n2"
    assert report.advice == (), "nobody goes back for what a rule settles"
    assert train.checkout.git("status", "--porcelain") == ""


# -- ground ------------------------------------------------------------------------------------------------------


def test_a_dirty_checkout_in_the_way_is_refused_before_anything_runs(train: TrainFixture) -> None:
    train.approved(one={"README.md": "# one\n"})
    train.checkout.write({"README.md": "# mine\n"})
    with pytest.raises(GroundError, match=r"local changes in files that would be updated: README\.md") as refused:
        train.merge()
    assert "stash" in str(refused.value.hint)
    assert not slots_root(train.fleet).exists()
    assert landed(train.rehearse()) == ["one"]


def test_a_dirty_file_stops_only_the_agents_that_change_it(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"README.md": "# two\n"}, three={"c": "1\n"})
    train.checkout.write({"README.md": "# mine\n", "a.txt": "mine\n"})
    report = train.merge()
    assert landed(report) == ["one", "three"]
    assert (
        f"{train.checkout.path} has local changes in files that would be updated: README.md" in reasons(report)["two"]
    )
    assert "stash --include-untracked" in reasons(report)["two"]
    assert (train.checkout.path / "README.md").read_text() == "# mine\n"
    assert (train.checkout.path / "a").read_text() == "1\n"
    assert train.checkout.git("status", "--porcelain").split() == ["M", "README.md", "??", "a.txt"]
    train.checkout.git("checkout", "-q", "README.md")
    assert landed(train.merge()) == ["two"]


def test_what_depends_on_an_agent_that_waits_for_a_dirty_file_is_blocked(train: TrainFixture) -> None:
    train.approved(one={"README.md": "# one\n"}, two={"b": "1\n"}, three={"c": "1\n"}).after(two=("one",))
    train.checkout.write({"README.md": "# mine\n"})
    report = train.merge()
    assert landed(report) == ["three"]
    assert "local changes" in reasons(report)["one"]
    assert [(blocked.agent, blocked.by) for blocked in report.blocked] == [("two", "one")]


def test_an_untracked_file_where_a_branch_adds_one_stops_only_that_branch(train: TrainFixture) -> None:
    train.approved(one={"new.txt": "theirs\n"}, two={"b": "1\n"})
    train.checkout.write({"new.txt": "mine\n"})
    report = train.merge()
    assert landed(report) == ["two"]
    assert "new.txt" in reasons(report)["one"]
    assert (train.checkout.path / "new.txt").read_text() == "mine\n"


def test_a_checkout_that_gets_in_the_way_later_stops_the_agent_whose_file_it_is(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"README.md": "# two\n"}, three={"c": "1\n"})

    def edit(event: TrainEvent) -> None:
        if event.kind == "landed":
            train.checkout.write({"README.md": "# mine\n"})

    report = train.merge(progress=edit)
    assert landed(report) == ["one", "three"]
    assert "local changes in files" in reasons(report)["two"]
    assert (train.checkout.path / "README.md").read_text() == "# mine\n"


def test_a_person_who_commits_in_the_middle_is_built_upon(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})

    def commit(event: TrainEvent) -> None:
        if event.kind == "gate.started" and event.agents == ("one",) and "by hand" not in train.checkout.git("log"):
            train.checkout.commit("by hand", {"hand": "1\n"})

    report = train.merge(progress=commit)
    assert landed(report) == ["one", "two"]
    log = train.checkout.git("log", "--format=%s", "main").splitlines()
    assert log == ["two works", "one works", "by hand", "commit 1"]


def test_two_trains_at_once(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    with (
        exclusive(train.fleet.repository.state_folder / "train", "rehearse"),
        pytest.raises(LockHeld, match="orchestra rehearse"),
    ):
        train.merge()
    assert landed(train.merge()) == ["one"]


def test_a_red_target_ends_the_train_with_one_headline(train: TrainFixture) -> None:
    train.checkout.commit("broken", {"broken.txt": "RED\n"})
    train.gates(
        RunGate("tests", "grep -rqs RED --include=*.txt . || exit 0; echo 'FAILED tests/test_a.py::test_b'; exit 1")
    )
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})
    report = train.merge()
    assert report.evicted == ()
    assert "the target itself is red" in reasons(report)["one"]
    first = "main itself fails `tests` (exit code 1): FAILED tests/test_a.py::test_b"
    lines = report.render_lines()
    assert lines[0].startswith(first)
    assert [line for line in lines[1:] if "red" in line] == ["one and two: waiting: " + reasons(report)["one"]]
    assert "log:" not in reasons(report)["one"], "the headline names it"
    check_json(report)
    train.world.at("three").git("rebase", "-q", "main")
    train.commit("three", {"broken.txt": None})
    train.approve("three")
    assert landed(train.merge(agents=["three"])) == ["three"], "the branch that repairs it, by its name"
    assert landed(train.merge()) == ["one", "two"]


def test_a_gate_that_cannot_be_run_is_no_verdict(train: TrainFixture) -> None:
    train.gates(RunGate("tests", "test ! -e a || kill -9 $$"))
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})
    report = train.merge()
    assert landed(report) == ["two"]
    assert report.evicted == ()
    assert "could not be run to an end" in reasons(report)["one"]


def test_a_bare_repository_and_a_linked_worktree(make_repository: MakeRepository, tmp_path: Path) -> None:
    source = make_repository({"README.md": "x\n"}, name="source")
    bare = Checkout(tmp_path / "hub" / "bare.git")
    bare.path.parent.mkdir()
    source.git("clone", "-q", "--bare", str(source.path), str(bare.path))
    bare.git("remote", "remove", "origin")
    train = make_train(bare, "one")
    train.approved(one={"a": "1\n"})
    assert landed(train.merge()) == ["one"]
    assert train.checkout.tree("main") == ["README.md", "a"]


def test_paths_with_spaces_and_letters_of_all_kinds(make_repository: MakeRepository) -> None:
    train = make_train(make_repository({"README.md": "x\n"}, name="a repo \u00e9\u00df"), "one")
    train.approved(one={"da\u00df geht\t.md": "1\n"})
    assert landed(train.merge()) == ["one"]
    assert train.checkout.git("status", "--porcelain") == ""


def test_hooks_signing_and_odd_settings_of_the_user_do_not_matter(train: TrainFixture) -> None:
    for hook in ("reference-transaction", "post-checkout", "pre-commit", "post-index-change"):
        path = train.checkout.path / ".git/hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    settings = {
        "commit.gpgSign": "true",
        "merge.renames": "false",
        "core.autocrlf": "true",
        "rebase.autosquash": "true",
    }
    train.checkout.git("config", "core.hooksPath", "/dev/null")
    train.approved(one={"a": "1\n"})
    train.checkout.git("config", "--unset", "core.hooksPath")
    for key, value in settings.items():
        train.checkout.git("config", key, value)
    assert landed(train.merge()) == ["one"]
    assert train.checkout.git("status", "--porcelain") == ""


def test_an_unknown_agent_is_a_usage_error(train: TrainFixture) -> None:
    with pytest.raises(UsageError, match="no agent 'on'"):
        train.merge(agents=["on"])


def test_approve_works_beside_a_running_train(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    train.commit("two", {"b": "1\n"})

    def judge(event: TrainEvent) -> None:
        if event.kind == "gate.started":
            with exclusive(train.fleet.repository.state_folder, "approve"):
                approve(train.fleet, train.fleet.require_agent("two"))

    assert landed(train.merge(progress=judge)) == ["one"]
    assert train.world.refs()["demo/two/approved"] == train.tip("agent/demo/two")


def test_a_gate_that_is_red_once_and_then_green_is_flaky_and_evicts_no_agent(
    train: TrainFixture, tmp_path: Path
) -> None:
    red = tmp_path / "red"
    train.gates(RunGate("tests", f'test ! -e a || test -e "{red}" || {{ touch "{red}"; exit 1; }}'))
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})
    report = train.merge(agents=["one", "two"])
    assert landed(report) == ["one", "two"] and report.evicted == ()
    assert any(line.startswith("tests is flaky: it failed once and passed") for line in report.advice)
    (event,) = train.fleet.ledger.events("flaky")
    assert event.data["gate"] == "tests"


def test_a_red_is_confirmed_by_a_second_run_before_an_agent_is_evicted(train: TrainFixture, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    train.gates(RunGate("tests", f'test ! -e a || {{ echo . >>"{runs}"; exit 1; }}')).approved(one={"a": "1\n"})
    assert reasons(train.merge(agents=["one"])) == {"one": "gate"}
    assert len(runs.read_text("utf-8").split()) == 2


def test_a_red_in_two_groups_needs_no_further_run(train: TrainFixture, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    train.gates(RunGate("tests", f'test ! -e a || {{ echo . >>"{runs}"; exit 1; }}'))
    train.merge_settings(train=Train.BATCH).blueprint(limits=Limits(gates=1))
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})
    report = train.merge(agents=["one", "two"])
    assert landed(report) == ["two"] and reasons(report) == {"one": "gate"}
    assert len(runs.read_text("utf-8").split()) == 2


def test_fresh_gates_run_whatever_passed_before(train: TrainFixture, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    train.gates(RunGate("tests", f'echo . >>"{runs}"')).approved(one={"a": "1\n"})

    def count() -> int:
        return len(runs.read_text("utf-8").split())

    train.rehearse(agents=["one"])
    assert count() == 1
    train.rehearse(agents=["one"])
    assert count() == 1
    assert landed(train.merge(agents=["one"], fresh_gates=True)) == ["one"]
    assert count() == 2


def test_merge_is_done_when_all_that_was_approved_has_landed(train: TrainFixture) -> None:
    train.commit("two", {"b": "2\n"})
    train.approved(one={"a": "1\n"})
    report = train.merge()
    assert (landed(report), reasons(report)["two"], report.exit_code) == (["one"], "no verdict", 0)
    assert train.merge(agents=["two"]).exit_code == 1, "it was asked for by its name"


def test_the_result_comes_before_the_explanations_and_an_interrupt_ends_only_these(train: TrainFixture) -> None:
    """On one slot, which the train needs until everything is decided."""
    train.blueprint(limits=Limits(gates=1))
    train.approved(one={"left.txt": "1\n"}, two={"right.txt": "1\n"}, three={"c": "1\n"})
    events: list[TrainEvent] = []

    def listen(event: TrainEvent) -> None:
        events.append(event)
        if event.data.get("purpose") == "explain":
            raise KeyboardInterrupt

    report = train.merge(progress=listen)
    assert landed(report) == ["one", "three"]
    assert reasons(report) == {"two": "gate"}
    result = next(event for event in events if event.kind == "train.result")
    assert result.text.startswith(
        f"2 landed, 1 evicted; main is at {train.tip()[:10]}; looking for what two failed with"
    )
    assert "interrupted before all evictions were explained" in report.advice[-1]
    assert landed(train.merge(agents=["two"])) == []


def test_a_gate_that_takes_ten_times_longer_than_usual_is_reported(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestra.train.tester._SLOW_FROM_S", 0.5)
    train.gates(RunGate("tests", "test ! -e slow || sleep 3")).approved(one={"a": "1\n"}, two={"slow": "1\n"})
    texts: list[str] = []
    train.merge(agents=["one"])
    for _ in range(5):  # the run above may be slow on a loaded machine
        train.fleet.ledger.record("gate", "one", gate="tests", outcome="passed", seconds=0.01, cached=False)
    report = train.merge(agents=["two"], progress=lambda event: texts.append(event.text))
    assert landed(report) == ["two"]
    assert len([text for text in texts if "takes more than 10 times as long as usual" in text]) == 1


def test_notes_that_cannot_be_attached_are_reported_and_stop_nothing(train: TrainFixture) -> None:
    train.checkout.git("update-ref", f"{NOTES_REF}/in-the-way", "HEAD")
    train.notes("one")
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    report = train.merge()
    assert set(landed(report)) == {"one", "two"}
    assert any("the notes of one are not attached" in line for line in report.advice)
    assert train.merge().landed == ()


def test_a_foreign_ref_of_one_agent_stops_only_that_agent(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    train.checkout.git("update-ref", f"refs/orchestra/{train.fleet.name}/one/landed/x", "HEAD")
    report = train.merge()
    assert set(landed(report)) == {"two"}
    assert "landed/x" in next(waiting.reason for waiting in report.waiting if waiting.agent == "one")
