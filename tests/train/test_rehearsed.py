"""A merge after a rehearsal runs nothing whose answer is known (docs/replay.md, fault 6)."""

from __future__ import annotations

import json

import pytest

from orchestra.blueprint.model import Guarantee, Limits, RunGate
from orchestra.train.train_report import MergeReport
from tests.conftest import MakeRepository
from tests.train.train_fixture import TESTS, Path, Strategy, Train, TrainFixture, landed, make_train, reasons

NAMES = tuple(f"a{number}" for number in range(6))
POLICIES = [
    (Train.SERIAL, Guarantee.TIP_GREEN),
    (Train.SPECULATIVE, Guarantee.TIP_GREEN),
    (Train.BATCH, Guarantee.TIP_GREEN),
    (Train.AUTO, Guarantee.TIP_GREEN),
    (Train.AUTO, Guarantee.STEP_GREEN),
]


def six(make_repository: MakeRepository, policy: Train, guarantee: Guarantee, **changed: str) -> TrainFixture:
    train = make_train(make_repository({"README.md": "# sample\n"}), *NAMES)
    train.merge_settings(train=policy, guarantee=guarantee).blueprint(limits=Limits(gates=2))
    return train.approved(**{name: {f"{name}.txt": changed.get(name, "fine\n")} for name in NAMES})


def runs(report: MergeReport, log: Path) -> int:
    """How many runs the report counts; as many as the gate itself noted, which then forgets them."""
    noted = len(log.read_text("utf-8").splitlines()) if log.exists() else 0
    log.unlink(missing_ok=True)
    assert report.tests_run == noted
    return noted


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def noting(train: TrainFixture, log: Path, test: str = TESTS) -> TrainFixture:
    return train.gates(RunGate("tests", f"echo run >> '{log}'; {test}", timeout_s=60.0))


@pytest.mark.parametrize(("policy", "guarantee"), POLICIES)
def test_after_an_all_green_rehearsal_nothing_is_run(
    make_repository: MakeRepository, log: Path, policy: Train, guarantee: Guarantee
) -> None:
    train = noting(six(make_repository, policy, guarantee), log)
    assert runs(train.rehearse(), log) > 0
    report = train.merge()
    assert landed(report) == list(NAMES)
    assert runs(report, log) == 0
    moves = train.checkout.git("reflog", "show", "main").splitlines()
    assert len(moves) == 2, "all that is known lands at once"


@pytest.mark.parametrize(("policy", "guarantee"), POLICIES)
def test_after_a_rehearsal_with_red_branches_nothing_is_run_either(
    make_repository: MakeRepository, log: Path, policy: Train, guarantee: Guarantee
) -> None:
    train = noting(six(make_repository, policy, guarantee, a1="RED\n", a4="RED\n"), log)
    rehearsed = train.rehearse()
    assert runs(rehearsed, log) > 0
    report = train.merge()
    assert (landed(report), reasons(report)) == (landed(rehearsed), {"a1": "gate", "a4": "gate"})
    assert runs(report, log) == 0
    assert "as the rehearsal found; another merge tests it again" in report.evicted[0].detail
    assert all(out.log is not None and out.log.is_file() for out in report.evicted)


def test_what_explains_a_conflict_of_meaning_is_known_too(make_repository: MakeRepository, log: Path) -> None:
    train = noting(make_train(make_repository({"f": "\n"}), "one", "left", "two", "right"), log)
    train.approved(one={"1": "1\n"}, left={"left.txt": "\n"}, two={"2": "2\n"}, right={"right.txt": "\n"})
    assert runs(train.rehearse(), log) > 0
    report = train.merge()
    assert runs(report, log) == 0
    assert [(out.agent, out.reason, out.with_) for out in report.evicted] == [("right", "logical-conflict", ("left",))]


def test_a_red_is_believed_once(make_repository: MakeRepository, log: Path) -> None:
    train = noting(make_train(make_repository({"f": "\n"}), "one"), log).approved(one={"f.txt": "RED\n"})
    assert [runs(train.rehearse(), log), runs(train.merge(), log)] == [3, 0], "the branch twice, the target once"
    again = train.merge()
    assert runs(again, log) == 2, "the pass of the target alone stays known"
    assert "rehearsal" not in again.evicted[0].detail
    train.rehearse()
    log.unlink()
    assert runs(train.rehearse(), log) == 2, "a rehearsal asks again"


def test_what_was_red_by_chance_lands_when_it_is_asked_again(make_repository: MakeRepository, tmp_path: Path) -> None:
    train = make_train(make_repository({"f": "\n"}), "one").approved(one={"g": "1\n"})
    train.gates(RunGate("tests", f"test ! -e g || test -e '{tmp_path}/mended'", timeout_s=60.0))
    train.rehearse()
    (tmp_path / "mended").touch()
    assert reasons(train.merge()) == {"one": "gate"}
    assert landed(train.merge()) == ["one"]


@pytest.mark.parametrize("test", ["kill -9 $$", "sleep 60", "exit 125"], ids=["signal", "timeout", "no-verdict"])
def test_what_only_the_machine_says_is_not_believed(make_repository: MakeRepository, log: Path, test: str) -> None:
    train = make_train(make_repository({"f": "\n"}), "one").approved(one={"g": "1\n"})
    command = f"echo run >> '{log}'; test ! -e g || {{ {test}; }}"
    train.gates(RunGate("tests", command, timeout_s=2.0 if test == "sleep 60" else 60.0))
    assert landed(train.rehearse()) == []
    log.unlink()
    assert runs(train.merge(), log) > 0


def test_a_red_counts_only_when_its_retries_are_used_up(make_repository: MakeRepository, log: Path) -> None:
    train = make_train(make_repository({"f": "\n"}), "one").approved(one={"f.txt": "RED\n"})
    train.gates(RunGate("tests", f"echo run >> '{log}'; {TESTS}", timeout_s=60.0, retries=1))
    assert runs(train.rehearse(), log) == 3
    assert runs(train.merge(), log) == 0
    train.rehearse()
    log.unlink()
    for kept in (train.fleet.repository.state_folder / "gates/reds").glob("*.json"):
        kept.write_text(kept.read_text("utf-8").replace('"times": 2', '"times": 1'), "utf-8")
    assert runs(train.merge(), log) == 2


@pytest.mark.parametrize(("hours", "asked"), [(23, 0), (25, 2)])
def test_a_red_of_yesterday_is_asked_again(make_repository: MakeRepository, log: Path, hours: int, asked: int) -> None:
    train = noting(make_train(make_repository({"f": "\n"}), "one"), log).approved(one={"f.txt": "RED\n"})
    train.rehearse()
    log.unlink()
    (kept,) = (train.fleet.repository.state_folder / "gates/reds").glob("*.json")
    red = json.loads(kept.read_text("utf-8"))
    kept.write_text(json.dumps({**red, "at": red["at"] - hours * 3600}), "utf-8")
    assert runs(train.merge(), log) == asked


@pytest.mark.parametrize("poison", ["", "[]", '{"key": "x"}', '{"times": "a"}'])
def test_a_damaged_red_counts_as_none(make_repository: MakeRepository, log: Path, poison: str) -> None:
    train = noting(make_train(make_repository({"f": "\n"}), "one"), log).approved(one={"f.txt": "RED\n"})
    train.rehearse()
    log.unlink()
    for kept in (train.fleet.repository.state_folder / "gates/reds").glob("*.json"):
        kept.write_text(poison, "utf-8")
    assert runs(train.merge(), log) == 2


def test_one_changed_branch_and_only_what_it_touches_is_tested(make_repository: MakeRepository, log: Path) -> None:
    train = noting(six(make_repository, Train.SERIAL, Guarantee.TIP_GREEN), log)
    train.rehearse()
    log.unlink()
    train.commit("a4", {"more": "1\n"})
    train.approve("a4")
    report = train.merge()
    assert landed(report) == list(NAMES)
    assert runs(report, log) == 2, "a4 on the four before it, and a5 on that"


@pytest.mark.parametrize("strategy", list(Strategy))
def test_every_strategy(make_repository: MakeRepository, log: Path, strategy: Strategy) -> None:
    train = noting(six(make_repository, Train.AUTO, Guarantee.TIP_GREEN), log).merge_settings(strategy=strategy)
    train.rehearse()
    log.unlink()
    assert runs(train.merge(), log) == 0
