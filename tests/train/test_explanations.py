"""What evicted branches fail with is tested in free slots, and never instead of a candidate."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.blueprint.model import Limits, RunGate
from orchestra.train.events import TrainEvent
from orchestra.train.eviction_report import landed_changes
from orchestra.train.suspects import rank_suspects
from orchestra.train.train_report import MergeReport
from tests.conftest import MakeRepository
from tests.train.train_fixture import Train, TrainFixture, landed, make_train, reasons

LIBRARY = "def parse_config\n    return 1\n"
CLASH = "! { test -e renamed && test -e caller.py; }"


def explaining(events: list[TrainEvent], kind: str) -> list[TrainEvent]:
    return [event for event in events if event.kind == kind and event.data.get("purpose") == "explain"]


def merge(train: TrainFixture) -> tuple[list[TrainEvent], MergeReport]:
    events: list[TrainEvent] = []
    return events, train.merge(progress=events.append)


def wait_for(path: Path) -> str:
    """A command that waits until the file exists, at most 30 s."""
    return f"n=0; until test -e '{path}'; do n=$((n+1)); test $n -lt 600 || exit 9; sleep 0.05; done"


@pytest.fixture
def clash(make_repository: MakeRepository) -> TrainFixture:
    """``calls`` is red with ``renames``; four others have nothing to do with it."""
    names = ("renames", "a1", "a2", "calls", "a3", "a4")
    train = make_train(make_repository({"library.py": LIBRARY}), *names)
    train.gates(RunGate("tests", CLASH))
    others = {name: {f"{name}.txt": f"{name}\n"} for name in names}
    others["renames"] = {"library.py": LIBRARY.replace("parse_config", "read_settings"), "renamed": "1\n"}
    others["calls"] = {"caller.py": "call parse_config\n"}
    return train.approved(**others)


def test_the_change_that_shares_a_name_is_tested_first(clash: TrainFixture) -> None:
    """On one slot: the branch where it left, and with the one change that shares a name with it."""
    clash.blueprint(limits=Limits(gates=1))
    events, report = merge(clash)
    (evicted,) = report.evicted
    assert (evicted.reason, evicted.with_) == ("logical-conflict", ("renames",))
    assert len(explaining(events, "test.started")) == 2


def test_a_free_slot_bets_on_the_suspect_in_the_first_round(clash: TrainFixture, tmp_path: Path) -> None:
    """Both runs wait for each other, so they end only if they run at once."""
    clash.merge_settings(train=Train.SERIAL).blueprint(limits=Limits(gates=2))
    alone, both = tmp_path / "alone", tmp_path / "both"
    with_caller = f"touch '{both}' && {wait_for(alone)}"
    without = f"touch '{alone}' && {wait_for(both)}"
    last_train_test = "test -e a3.txt || test -e a1.txt"
    waits = f"if test -e renamed; then {with_caller}; else {without}; fi"
    clash.gates(RunGate("tests", f"if test -e caller.py && ! {{ {last_train_test}; }}; then {waits}; fi; {CLASH}"))
    events, report = merge(clash)
    assert reasons(report) == {"calls": "logical-conflict"}
    assert len(explaining(events, "test.started")) == 2


def test_an_eviction_is_explained_while_the_train_runs(clash: TrainFixture, tmp_path: Path) -> None:
    """The last candidate is green only when the explanation of an earlier eviction has been tested."""
    clash.merge_settings(train=Train.SERIAL).blueprint(limits=Limits(gates=2))
    explained = tmp_path / "explained"
    note = f"if test -e caller.py && test ! -e a1.txt; then touch '{explained}'; fi"
    wait = f"if test -e a4.txt; then {wait_for(explained)}; fi"
    clash.gates(RunGate("tests", f"{note}; {wait}; {CLASH}"))
    events, report = merge(clash)
    assert landed(report) == ["renames", "a1", "a2", "a3", "a4"]
    assert reasons(report) == {"calls": "logical-conflict"}
    last_landing = max(event.at for event in events if event.kind == "landed")
    assert explaining(events, "test.started")[0].at < last_landing


def test_a_candidate_takes_the_slot_of_an_explanation(clash: TrainFixture, tmp_path: Path) -> None:
    """What would explain ``calls`` does not end while the train has candidates, which need both slots in between."""
    clash.merge_settings(train=Train.SPECULATIVE).blueprint(limits=Limits(gates=2))
    done = tmp_path / "done"
    finish = f"if test -e a4.txt; then touch '{done}'; fi"
    wait = f"if test -e caller.py && test ! -e a1.txt; then {wait_for(done)}; fi"
    clash.gates(RunGate("tests", f"{wait}; {CLASH} && {{ {finish}; }}"))
    _, report = merge(clash)
    assert landed(report) == ["renames", "a1", "a2", "a3", "a4"]
    assert reasons(report) == {"calls": "logical-conflict"}


def test_suspects_are_ranked_by_names_then_files(make_repository: MakeRepository) -> None:
    names = ("other", "file", "renames", "calls")
    train = make_train(make_repository({"library.py": LIBRARY, "shared.txt": "1\n2\n3\n4\n5\n6\n7\n"}), *names)
    train.approved(
        other={"other.txt": "nothing\n"},
        file={"shared.txt": "one\n2\n3\n4\n5\n6\n7\n"},
        renames={"library.py": LIBRARY.replace("parse_config", "read_settings")},
        calls={"caller.py": "call parse_config\n", "shared.txt": "1\n2\n3\n4\n5\n6\nseven\n"},
    )
    fork = train.tip()
    train.merge(agents=["other", "file", "renames"])
    git = train.fleet.repository.git
    history = landed_changes(git, train.fleet.name, fork, train.tip())
    tip = train.fleet.repository.branch_tip(train.fleet.require_agent("calls").branch)
    assert tip is not None
    ranked = rank_suspects(git, fork, tip, history)
    assert [change.agent for change in ranked] == ["renames", "file"]
