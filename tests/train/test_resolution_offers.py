"""Proposals on the way: made after an eviction, tested, offered, taken by a person, and landed like any other work."""

from __future__ import annotations

import json
import random
import secrets
from pathlib import Path

import jsonschema
import pytest

from orchestra.blueprint.model import Forbid, Limits, Proposer, RunGate, Strategy
from orchestra.cli import proposal_screen, review_screen
from orchestra.engine.local import LocalEngine
from orchestra.errors import UsageError
from orchestra.review.agent_review import review_agent
from orchestra.review.approval import approve
from orchestra.review.branch_status import read_branch_statuses
from orchestra.review.proposal_review import review_proposal
from orchestra.review.verdicts import Verdict, discard, request_changes
from orchestra.status import read_status
from orchestra.train.events import TrainEvent
from orchestra.train.merge import rebase_and_test
from orchestra.train.train_report import MergeReport, Offer
from orchestra.workspace.clean import clean
from tests.conftest import MakeRepository
from tests.train.mergiraf import GIVES_UP, stand_in
from tests.train.test_killed import KILLS, KILLS_TIMEOUT_S, collect_garbage, pickled, run
from tests.train.train_fixture import TrainFixture, landed, make_train, reasons

SCHEMAS = Path(__file__).parents[2] / "schemas"
MERGE, EVENT = (json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8")) for name in ("merge", "train-event"))
BASE = "".join(f"line {n}\n" for n in range(1, 31))


def said(text: str) -> str:
    """The file with two lines changed."""
    return BASE.replace("line 5\n", f"line 5 {text}\n").replace("line 20\n", f"line 20 {text}\n")


@pytest.fixture
def train(make_repository: MakeRepository) -> TrainFixture:
    """Two agents whose work conflicts in one file; rerere and mergiraf may propose."""
    train = make_train(make_repository({"f.txt": BASE, "other": "x\n"}), "one", "two")
    train.merge_settings(proposals=(Proposer.RERERE, Proposer.MERGIRAF))
    return train.approved(one={"f.txt": said("one"), "a": "1\n"}, two={"f.txt": said("two"), "b": "2\n"})


def remember(train: TrainFixture, text: str = said("both"), path: str = "f.txt") -> None:
    """A person has merged the two by hand, elsewhere, and git remembers how."""
    checkout = train.checkout
    checkout.git("config", "rerere.enabled", "true")
    checkout.git("switch", "--quiet", "--detach", "agent/demo/one")
    checkout.git("merge", "--quiet", "agent/demo/two", ok=False)
    checkout.write({path: text})
    checkout.git("commit", "--quiet", "--all", "--message", "by hand")
    checkout.git("switch", "--quiet", "main")


def offer(report: MergeReport, name: str = "two") -> Offer:
    (found,) = [item.proposal for item in report.evicted if item.agent == name]
    assert found is not None
    return found


def take(train: TrainFixture, name: str = "two") -> None:
    approve(train.fleet, train.fleet.require_agent(name), proposal=True)


def test_a_proposal_is_tested_offered_taken_and_lands(train: TrainFixture) -> None:
    remember(train)
    head = train.tip("agent/demo/two")
    report = train.merge()
    jsonschema.validate(report.to_json(), MERGE)
    assert (landed(report), reasons(report)) == (["one"], {"two": "conflict"})
    found = offer(report)
    assert found.detail == (
        "a proposal by rerere resolves f.txt; its gates passed; see: orchestra review two --proposal; "
        "take it: orchestra approve two --proposal"
    )
    assert found.commit == train.world.refs()["demo/two/proposed"]
    checkout = train.checkout
    assert checkout.git("rev-parse", f"{found.commit}^@").split() == [head, train.tip()]
    assert checkout.read("f.txt", found.commit) == said("both").rstrip()
    assert train.tip("agent/demo/two") == head
    again = train.merge(accept_finished=True)
    assert (landed(again), offer(again)) == ([], found)
    take(train)
    last = train.merge()
    assert landed(last) == ["two"]
    assert checkout.read("f.txt", "main") == said("both").rstrip()
    assert checkout.read("b", "main") == "2"
    assert "demo/two/proposed" not in train.world.refs()
    assert train.tip("agent/demo/two") == head


def verdict(train: TrainFixture, name: str = "two") -> Verdict:
    (standing,) = read_branch_statuses(train.fleet, [train.fleet.require_agent(name)])
    return standing.verdict


def test_without_a_word_in_the_blueprint_there_are_none(train: TrainFixture) -> None:
    remember(train)
    report = train.merge_settings(proposals=()).merge()
    assert reasons(report) == {"two": "conflict"}
    assert report.evicted[0].proposal is None
    assert report.to_json()["evicted"][0]["proposal"] is None  # type: ignore[index,call-overload]
    assert "demo/two/proposed" not in train.world.refs()


def test_nobody_who_can_resolve_it_is_said(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = train.merge()
    said = "no proposal: rerere leaves a conflict in f.txt; mergiraf is not installed here"
    assert offer(report) == Offer(None, {}, said)
    assert f"two: {said}" in report.render_lines()
    stand_in(tmp_path / "bin", monkeypatch, GIVES_UP)
    assert offer(train.merge()).detail == "no proposal: rerere and mergiraf leave a conflict in f.txt"
    assert "demo/two/proposed" not in train.world.refs()


def test_mergiraf_resolves_what_rerere_does_not(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(tmp_path / "bin", monkeypatch)
    found = offer(train.merge())
    assert found.detail.startswith("a proposal by mergiraf resolves f.txt; its gates passed; see: orchestra review two")
    take(train)
    assert landed(train.merge()) == ["two"]
    assert train.checkout.read("f.txt", "main") == said("one").replace("one\n", "one\n", 1).rstrip().replace(
        "line 5 one", "line 5 one\nline 5 two"
    ).replace("line 20 one", "line 20 one\nline 20 two")


def test_a_red_proposal_is_not_offered(train: TrainFixture) -> None:
    remember(train, said("RED"))
    report = train.merge()
    jsonschema.validate(report.to_json(), MERGE)
    found = offer(report)
    assert found.commit is None
    assert found.detail == (
        "a proposal by rerere resolves f.txt, but it is not offered: tests failed (exit code 1) on it"
    )
    assert found.log is not None
    assert found.log.exists()
    assert found.gates == {"tests": "failed"}
    assert any(line.endswith(f"(log: {found.log})") for line in report.render_lines())
    assert "demo/two/proposed" not in train.world.refs()
    with pytest.raises(UsageError, match="there is no proposal for two"):
        take(train)


def test_a_flaky_gate_is_asked_again(train: TrainFixture, tmp_path: Path) -> None:
    remember(train)
    flaky = f"! grep -q both f.txt || {{ test -e {tmp_path}/second || ! touch {tmp_path}/second; }}"
    train.gates(RunGate("flaky", flaky, retries=1))
    assert offer(train.merge()).commit is not None


def test_what_could_not_be_tested_is_not_offered_and_nothing_is_dropped(train: TrainFixture) -> None:
    remember(train)
    before = offer(train.merge()).commit
    train.gates(RunGate("tests", "grep -q both f.txt && kill -9 $$; true"))
    found = offer(train.merge())
    assert found.commit is None
    assert "it is not offered: tests broken" in found.detail
    assert train.world.refs()["demo/two/proposed"] == before


@pytest.mark.parametrize("strategy", list(Strategy))
def test_it_lands_whatever_the_strategy(train: TrainFixture, strategy: Strategy) -> None:
    remember(train)
    train.merge_settings(strategy=strategy)
    assert landed(train.merge()) == ["one"]
    take(train)
    train.checkout.commit("a person's, meanwhile", {"other": "y\n"})
    assert landed(train.merge()) == ["two"]
    assert train.checkout.read("f.txt", "main") == said("both").rstrip()
    assert train.checkout.read("other", "main") == "y"
    shape = "--format=%(trailers:key=Orchestra-Agent,valueonly,separator=%x2C)"
    assert train.checkout.git("log", "-1", shape, "main") == "two"


def test_commits_that_conflict_one_by_one_but_not_together(make_repository: MakeRepository) -> None:
    """Rebase conflicts in a commit that the next one takes back; as a whole the branch merges."""
    train = make_train(make_repository({"f.txt": BASE}), "one", "two").merge_settings(proposals=(Proposer.RERERE,))
    train.approved(one={"f.txt": said("one")})
    train.commit("two", {"f.txt": said("two")})
    train.commit("two", {"f.txt": BASE, "b": "2\n"})
    train.approve("two")
    found = offer(train.merge())
    assert found.detail.startswith("a proposal: the branch merges as a whole, though not commit by commit; its gates")
    take(train)
    assert landed(train.merge()) == ["two"]
    assert (train.checkout.read("f.txt", "main"), train.checkout.read("b", "main")) == (said("one").rstrip(), "2")


def test_a_file_that_a_rule_forbids(train: TrainFixture) -> None:
    remember(train)
    train.merge_settings(conflicts={"f.txt": Forbid()})
    assert "a rule forbids it" in offer(train.merge()).detail


def test_a_rehearsal_proposes_on_the_target_as_it_is(train: TrainFixture) -> None:
    """Not on work that has not landed, which a proposal would bring along."""
    remember(train)
    report = train.rehearse()
    assert offer(report).detail == "no proposal: it conflicts with work that has not landed on main"
    train.merge(agents=["one"])
    target = train.tip()
    found = offer(train.rehearse())
    assert found.commit is not None
    assert train.tip() == target
    assert offer(rebase_and_test(train.fleet, [train.fleet.require_agent("two").name])) == found


def test_an_agent_that_commits_afterwards_makes_it_stale(train: TrainFixture) -> None:
    remember(train)
    first = offer(train.merge()).commit
    take(train)
    assert verdict(train) is Verdict.APPROVED
    train.commit("two", {"b": "more\n"})
    assert verdict(train) is Verdict.STALE
    with pytest.raises(UsageError, match="its branch has moved"):
        take(train)
    with pytest.raises(UsageError, match="its branch has moved"):
        review_proposal(train.fleet, train.fleet.require_agent("two"))
    report = train.merge()
    assert reasons(report) == {"two": "its approval is stale: the branch has new commits"}
    assert "demo/two/proposed" not in train.world.refs()
    train.approve("two")
    second = offer(train.merge()).commit
    assert second not in (None, first)


def test_a_proposal_that_conflicts_again_is_replaced_and_must_be_taken_again(train: TrainFixture) -> None:
    remember(train)
    first = offer(train.merge()).commit
    take(train)
    train.checkout.commit("a person's, meanwhile", {"f.txt": said("one").replace("line 21\n", "line 21 of main\n")})
    report = train.merge()
    assert reasons(report) == {"two": "conflict"}
    assert offer(report).commit is None
    assert verdict(train) is Verdict.APPROVED  # of what does not fit today, as with any other approval
    assert train.world.refs()["demo/two/proposed"] == first


def test_what_was_approved_is_not_approved_any_more_once_another_is_proposed(train: TrainFixture) -> None:
    remember(train)
    offer(train.merge())
    take(train)
    text = said("one").replace("line 30\n", "line 30 of main\n")
    train.checkout.commit("a person's", {"f.txt": text.replace("line 20 one", "line 20 main")})
    train.checkout.git("merge", "--quiet", "agent/demo/two", ok=False)
    train.checkout.write({"f.txt": said("all three")})
    train.checkout.git("commit", "--quiet", "--all", "--message", "by hand")
    train.checkout.git("reset", "--quiet", "--hard", "HEAD^")
    found = offer(train.merge())
    assert found.detail.endswith("; it replaces the one that was approved")
    assert verdict(train) is Verdict.STALE
    take(train)
    assert landed(train.merge()) == ["two"]
    assert train.checkout.read("f.txt", "main") == said("all three").rstrip()


def test_other_verdicts_on_one_with_a_proposal(train: TrainFixture) -> None:
    remember(train)
    offer(train.merge())
    two = train.fleet.require_agent("two")
    take(train)
    request_changes(train.fleet, two, "not like this")
    assert (verdict(train), reasons(train.merge())) == (Verdict.CHANGES_REQUESTED, {"two": "changes were requested"})
    take(train)
    assert verdict(train) is Verdict.APPROVED
    train.approve("two")
    assert (verdict(train), train.world.refs()["demo/two/approved"]) == (Verdict.APPROVED, train.tip("agent/demo/two"))
    assert offer(train.merge()).commit is not None
    discard(train.fleet, two, "not wanted")
    train.merge()
    assert "demo/two/proposed" not in train.world.refs()
    with pytest.raises(UsageError, match="was discarded"):
        take(train)


def test_taken_while_the_train_runs_it_waits_for_the_next(train: TrainFixture) -> None:
    """Somebody takes a proposal while the branch itself is being tested: what was tested may not land for it."""
    remember(train)
    train.merge()
    train.checkout.commit("main comes to agree", {"f.txt": BASE})

    def listen(event: TrainEvent) -> None:
        if event.kind == "gate.started" and "two" in event.agents:
            take(train)

    report = train.merge(progress=listen)
    assert reasons(report) == {"two": "a proposal for it was accepted while the train ran"}


def test_after_landing_clean_takes_the_branch_and_nothing_is_lost(train: TrainFixture) -> None:
    remember(train)
    train.merge()
    take(train)
    head = train.tip("agent/demo/two")
    train.merge()
    with LocalEngine(1) as engine:
        report = clean(train.fleet, engine=engine)
    assert report.skipped == ()
    assert "agent/demo/two" not in train.checkout.git("branch")
    assert train.checkout.git("merge-base", head, train.world.refs()["demo/two/approved"]) == head


def test_it_is_shown_for_review(train: TrainFixture, capsys: pytest.CaptureFixture[str]) -> None:
    remember(train)
    train.agent("two", scope=None, may_edit=())
    train.blueprint(protected=("b",))
    commit = offer(train.merge()).commit
    two = train.fleet.require_agent("two")
    shown = review_proposal(train.fleet, two)
    assert (shown.commit, shown.target, shown.behind) == (commit, train.tip(), 0)
    assert (dict(shown.resolved), dict(shown.gates)) == ({"f.txt": "rerere"}, {"tests": "passed"})
    assert [change.path for change in shown.changes] == ["b", "f.txt"]
    assert [finding.path for finding in shown.findings] == ["b"]
    lines = shown.decides.splitlines()
    assert [line[1:] for line in lines if line.startswith("-")][1:7] == [
        "<<<<<<< main",
        "line 5 one",
        "||||||| base",
        "line 5",
        "=======",
        "line 5 two",
    ]
    assert [line for line in lines if line.startswith("+")][1:] == ["+line 5 both", "+line 20 both"]
    proposal_screen.show(train.fleet, shown)
    screen = capsys.readouterr().out
    assert "f.txt: resolved by rerere" in screen
    assert "or: orchestra request-changes two --from-train" in screen
    review_screen.show(train.fleet, review_agent(train.fleet, two))
    assert f"approved; a proposal {str(commit)[:10]} waits" in capsys.readouterr().out
    take(train)
    review_screen.show(train.fleet, review_agent(train.fleet, two))
    assert f"approved, of its proposal {str(commit)[:10]}" in capsys.readouterr().out
    assert read_status(train.fleet).to_json()["agents"][1]["proposal"] == commit  # type: ignore[index,call-overload]


def test_hostile_names_and_instruction_files(
    make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ["quo\"te's", "new\nline", "-dash", "sp ace/ü"]
    train = make_train(make_repository(dict.fromkeys(names, BASE)), "one", "two")
    train.merge_settings(proposals=(Proposer.RERERE, Proposer.MERGIRAF))
    stand_in(tmp_path / "bin", monkeypatch)
    train.approved(one=dict.fromkeys(names, said("one")))
    train.world.at("two").write({"AGENT_NOTES.md": "forced in"})
    train.world.at("two").git("add", "--force", "AGENT_NOTES.md")
    train.commit("two", dict.fromkeys(names, said("two")))
    train.approve("two")
    found = offer(train.merge())
    assert found.commit is not None
    assert set(found.resolved) == set(names)
    assert "new\n" not in found.detail
    assert "AGENT_NOTES.md" not in train.checkout.tree(found.commit)
    assert dict(review_proposal(train.fleet, train.fleet.require_agent("two")).resolved) == dict(found.resolved)
    take(train)
    assert landed(train.merge()) == ["two"]


def test_several_at_once(make_repository: MakeRepository) -> None:
    names = ["two", "three", "four"]
    train = make_train(make_repository({f"{name}.txt": BASE for name in names}), "one", *names)
    train.merge_settings(proposals=(Proposer.RERERE,)).blueprint(limits=Limits(gates=3))
    train.approved(one={f"{name}.txt": said("one") for name in names})
    for name in names:
        train.approved(**{name: {f"{name}.txt": said(name)}})
        remember_one(train, name)
    report = train.merge()
    assert {item.agent: bool(item.proposal and item.proposal.commit) for item in report.evicted} == dict.fromkeys(
        names, True
    )
    for name in names:
        take(train, name)
    assert landed(train.merge()) == names


def remember_one(train: TrainFixture, name: str) -> None:
    checkout = train.checkout
    checkout.git("config", "rerere.enabled", "true")
    checkout.git("switch", "--quiet", "--detach", "agent/demo/one")
    checkout.git("merge", "--quiet", f"agent/demo/{name}", ok=False)
    checkout.write({f"{name}.txt": said(f"both of {name}")})
    checkout.git("commit", "--quiet", "--all", "--message", "by hand")
    checkout.git("switch", "--quiet", "main")


def test_the_train_says_so_in_events(train: TrainFixture) -> None:
    remember(train)
    seen: list[TrainEvent] = []
    train.merge(progress=seen.append)
    about = [event for event in seen if event.kind == "proposal"]
    for event in seen:
        jsonschema.validate(event.to_json(), EVENT)
    assert [event.data["stage"] for event in about] == ["tried", "offered"]
    assert {event.agents for event in about} == {("two",)}
    assert about[0].text == "trying a proposal for two: a proposal by rerere resolves f.txt"


@pytest.mark.timeout(KILLS_TIMEOUT_S)
@pytest.mark.parametrize("group", [(), ("group",)], ids=["alone", "with-its-group"])
def test_killed_while_it_proposes(make_repository: MakeRepository, group: tuple[str, ...]) -> None:
    """Whatever a kill leaves, the next merge offers the same proposal, and what lands is what was taken."""

    def start(name: str) -> tuple[TrainFixture, Path]:
        train = make_train(make_repository({"f.txt": BASE}, name=f"{name}/repo"), "one", "two")
        train.merge_settings(proposals=(Proposer.RERERE,))
        train.approved(one={"f.txt": said("one"), "a": "1\n"}, two={"f.txt": said("two"), "b": "2\n"})
        remember(train)
        train.merge(agents=["one"])
        train.world.refs()
        return train, pickled(train, train.checkout.path.parent / "fleet")

    counted, fleet = start("counted")
    total = int(run(fleet, 0).stdout)
    expected = counted.checkout.git("rev-parse", f"{counted.world.refs()['demo/two/proposed']}^{{tree}}")
    seed = secrets.randbelow(1 << 30)
    for step in random.Random(seed).sample(range(1, total + 1), min(total, KILLS)):  # noqa: S311 - a draw
        print(f"seed {seed}: step {step} of {total}")
        train, fleet = start(f"killed-{step}")
        target, head = train.tip(), train.tip("agent/demo/two")
        assert run(fleet, step, *group).returncode == -9
        assert (train.tip(), train.tip("agent/demo/two")) == (target, head)
        left = train.world.refs().get("demo/two/proposed")
        collect_garbage(train.checkout)
        found = offer(train.merge())
        assert found.commit is not None
        assert left in (None, found.commit)
        assert train.checkout.git("rev-parse", f"{found.commit}^{{tree}}") == expected
        assert "demo/two/candidate" not in train.world.refs()
        take(train)
        assert landed(train.merge()) == ["two"]
        assert train.checkout.git("fsck", "--strict", "--no-dangling") == ""
        assert not list((train.checkout.path / ".git").rglob("MERGE_RR"))


def test_objects_that_are_lost_meanwhile_are_no_answer(train: TrainFixture) -> None:
    """What is proposed already stays, and the next train finds it again."""
    remember(train)
    found = offer(train.merge())
    blob = train.checkout.git("rev-parse", "agent/demo/two:f.txt")
    place = train.checkout.path / ".git/objects" / blob[:2] / blob[2:]
    kept = place.read_bytes()

    def lose(event: TrainEvent) -> None:
        if event.kind == "evicted":
            place.unlink(missing_ok=True)

    report = train.merge(progress=lose)
    place.write_bytes(kept)
    assert offer(report).commit is None
    assert offer(report).detail.startswith("no proposal could be made: ")
    assert train.world.refs()["demo/two/proposed"] == found.commit
    assert offer(train.merge()) == found


def test_what_keeps_it_from_being_offered_is_said_and_the_report_comes(train: TrainFixture) -> None:
    """A lock that a dead git left; an agent that commits while the gates of its proposal run."""
    remember(train)
    lock = train.checkout.path / ".git/refs/orchestra/demo/two/proposed.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    assert "but it could not be stored: " in offer(train.merge()).detail
    lock.unlink()

    def commit_more(event: TrainEvent) -> None:
        if event.kind == "proposal" and event.data["stage"] == "tried":
            train.commit("two", {"b": "more\n"})

    found = offer(train.merge(progress=commit_more))
    assert (found.commit, found.detail.endswith("but two got new commits meanwhile")) == (None, True)
    assert "demo/two/proposed" not in train.world.refs()
    train.approve("two")
    assert offer(train.merge()).commit is not None
    train.commit("two", {"c": "stale now\n"})
    lock.touch()
    train.merge()
    lock.unlink()
    assert train.world.refs()["demo/two/proposed"]
    train.merge()
    assert "demo/two/proposed" not in train.world.refs()
