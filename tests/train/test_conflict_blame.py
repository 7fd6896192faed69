"""Whom a text conflict is with: those whose work does not fit, and nobody else (docs/replay.md, fault 5)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.errors import GroundError
from orchestra.git.git_process import Git, Output
from orchestra.git.refs import Kind, agent_ref
from orchestra.train import conflict_sides
from orchestra.train.eviction_report import LandedChange, OtherSide
from tests.conftest import MakeRepository
from tests.train.train_fixture import Strategy, TrainFixture, landed, make_train

LINES = "".join(f"line {n}\n" for n in range(1, 41))


def changed(number: int, text: str, lines: str = LINES) -> str:
    return lines.replace(f"line {number}\n", f"{text}\n")


@pytest.fixture
def train(make_repository: MakeRepository) -> TrainFixture:
    return make_train(make_repository({"f": LINES}), "top", "middle", "bottom", "last")


@pytest.mark.parametrize("strategy", list(Strategy))
def test_who_changed_the_same_file_elsewhere_is_not_named(train: TrainFixture, strategy: Strategy) -> None:
    train.merge_settings(strategy=strategy)
    train.approved(top={"f": changed(1, "top")}, middle={"f": changed(20, "middle")}, last={"f": changed(20, "last")})
    (out,) = train.merge().evicted
    assert (out.agent, out.reason, out.with_) == ("last", "conflict", ("middle",))
    assert "top says" not in (out.log.read_text("utf-8") if out.log else "")


def test_everybody_who_conflicts_is_named(train: TrainFixture) -> None:
    train.approved(top={"f": changed(1, "top")}, middle={"f": changed(20, "m")}, bottom={"f": changed(40, "b")})
    train.approved(last={"f": changed(1, "mine", changed(40, "mine"))})
    (out,) = train.merge().evicted
    assert out.with_ == ("top", "bottom")


def test_what_landed_in_an_earlier_train_and_in_a_rehearsal(train: TrainFixture) -> None:
    train.approved(top={"f": changed(1, "top")}, middle={"f": changed(20, "middle")}, last={"f": changed(20, "last")})
    assert {out.agent: out.with_ for out in train.rehearse().evicted}[AgentName("last")] == ("middle",)
    assert landed(train.merge(agents=["top", "middle"])) == ["top", "middle"]
    assert [out.with_ for out in train.merge(agents=["last"]).evicted] == [("middle",)]


def test_a_persons_commit_is_said_and_nobody_is_named_instead(train: TrainFixture) -> None:
    train.approved(top={"f": changed(1, "top")}, last={"f": changed(20, "last")})
    train.merge(agents=["top"])
    train.checkout.commit("Ada tidies", {"f": changed(1, "top", changed(20, "ada"))})
    (out,) = train.merge(agents=["last"]).evicted
    assert out.with_ == ()
    assert "(Ada Test: Ada tidies)" in out.detail


def test_work_that_the_branch_was_begun_on_and_that_the_target_lacks_is_said(train: TrainFixture) -> None:
    """Chai's #1005: begun on a commit that nobody lands; who else changed the file has nothing to do with it."""
    place = train.world.at("last")
    below = place.commit("what nobody lands", {"f": changed(20, "below")})
    train.checkout.git("update-ref", agent_ref(train.fleet.name, AgentName("last"), Kind.BASE), below)
    train.approved(top={"f": changed(1, "top")}, last={"f": changed(20, "last")})
    (out,) = train.merge().evicted
    assert (out.agent, out.with_) == ("last", ())
    assert f"based on {below[:10]} (what nobody lands), which the target does not contain" in out.detail


def test_those_who_conflict_only_together_are_named_together(train: TrainFixture) -> None:
    """``top`` moves the file, which is no conflict; ``middle`` goes on with it at its new place."""
    train.world.at("top").git("mv", "f", "g")
    train.approved(top={})
    train.merge(agents=["top"])
    train.world.at("middle").git("reset", "-q", "--hard", "main")
    train.approved(middle={"g": changed(20, "middle")}, last={"f": changed(20, "last")})
    (out,) = train.merge().evicted
    assert (out.agent, out.with_) == ("last", ("top", "middle"))


def test_what_the_other_side_was_built_on_is_not_the_other_side(train: TrainFixture) -> None:
    """middle changes one of top's lines again, so it does not build without top; last meets middle alone."""
    train.approved(top={"f": changed(30, "top")})
    train.merge(agents=["top"])
    train.world.at("middle").git("reset", "-q", "--hard", "main")
    train.approved(middle={"f": changed(30, "again", changed(10, "middle"))}, last={"f": changed(10, "last")})
    (out,) = train.merge(agents=["middle", "last"]).evicted
    assert (out.agent, out.with_) == ("last", ("middle",))


@pytest.mark.parametrize("strategy", list(Strategy))
def test_git_is_not_asked_about_each_commit_of_a_long_history(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch, strategy: Strategy
) -> None:
    train.merge_settings(strategy=strategy)
    train.approved(middle={"f": changed(20, "middle")}, last={"f": changed(20, "last")})
    for number in range(20):
        train.checkout.commit("elsewhere", {"other": f"{number}\n"})
    run, find = Git.run, conflict_sides.find_other_side
    asked: list[str] = []

    def counted(git: Git, *words: str, **options: Any) -> Output:
        asked.append(words[0])
        return run(git, *words, **options)

    def watched(*about: Any) -> OtherSide:
        with monkeypatch.context() as patch:
            patch.setattr(Git, "run", counted)
            return find(*about)

    monkeypatch.setattr("orchestra.train.train_run.find_other_side", watched)
    assert [(out.agent, out.with_) for out in train.merge().evicted] == [("last", ("middle",))]
    assert 0 < len(asked) < 20, asked


def test_what_an_agent_took_back_is_no_other_side(train: TrainFixture) -> None:
    """Both of its commits touch the file; together they change nothing there."""
    place = train.world.at("top")
    place.commit("tries", {"f": changed(20, "top")})
    place.commit("takes it back", {"f": LINES, "other": "1\n"})
    train.approve("top")
    train.approved(middle={"f": changed(20, "middle")}, last={"f": changed(20, "last")})
    (out,) = train.merge().evicted
    assert out.with_ == ("middle",)


def test_a_conflict_in_more_files_than_a_command_line_takes_at_once(make_repository: MakeRepository) -> None:
    names = [f"* [{number:03}]" for number in range(120)]  # no pattern to git
    train = make_train(make_repository(dict.fromkeys(names, "base\n")), "top", "middle", "last")
    train.approved(top=dict.fromkeys(names[:-1], "top\n"), middle={names[-1]: "middle\n"})
    train.approved(last=dict.fromkeys(names, "last\n"))
    (out,) = train.merge().evicted
    assert out.with_ == ("top", "middle")


def test_a_file_that_is_deleted_on_one_side(train: TrainFixture) -> None:
    train.approved(top={"f": None}, middle={"other": "1\n"}, last={"f": changed(20, "last")})
    (out,) = train.merge().evicted
    assert out.with_ == ("top",)


def test_who_it_is_with_may_stay_unknown_but_nobody_is_kept_from_landing(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ``gc --prune=now`` beside a train takes what is built for the question, and no ref holds."""

    def missing(*_: object) -> tuple[LandedChange, ...]:
        raise GroundError("an object is missing")

    monkeypatch.setattr(conflict_sides, "landed_changes", missing)
    train.approved(top={"f": changed(1, "top")}, middle={"f": changed(1, "middle")}, last={"g": "1\n"})
    report = train.merge()
    assert landed(report) == ["top", "last"]
    assert [(out.agent, out.reason, out.with_) for out in report.evicted] == [("middle", "conflict", ())]
