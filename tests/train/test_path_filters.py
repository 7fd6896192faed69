"""Gates with ``when`` and ``inputs``: what a branch does not touch costs nothing, and nothing lands unproven by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.blueprint.model import Limits, RunGate, Shell, Train
from orchestra.train.train_report import MergeReport
from tests.conftest import MakeRepository
from tests.train.train_fixture import Guarantee, TrainFixture, landed, make_train, reasons

FILES = {"README.md": "# sample\n", "web/a.txt": "a\n", "api/a.txt": "a\n", "docs/a.md": "a\n"}


@pytest.fixture
def train(make_repository: MakeRepository) -> TrainFixture:
    return make_train(make_repository(FILES), "one", "two", "three", "four")


def counted(name: str, log: Path, **keys: object) -> RunGate:
    """A gate that is red while a file of its folder says RED, and that writes each run to ``log``."""
    command = f"echo {name} >>{log}; ! grep -rqs RED {name}"
    return RunGate(name, command, 60.0, **keys)  # type: ignore[arg-type]


def runs(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def outcomes(report: MergeReport) -> dict[str, dict[str, str]]:
    return {str(item.agent): dict(item.gates) for item in report.landed}


def test_a_gate_that_no_branch_touches_is_not_run(train: TrainFixture, tmp_path: Path) -> None:
    log = tmp_path / "runs"
    train.gates(counted("web", log, when=("web/**",)), counted("api", log, when=("api/**",)))
    report = train.approved(one={"web/b.txt": "b\n"}, two={"docs/b.md": "b\n"}).merge()
    assert landed(report) == ["one", "two"]
    assert runs(log) == ["web"]
    assert outcomes(report) == {
        "one": {"web": "passed", "api": "not-needed"},
        "two": {"web": "not-needed", "api": "not-needed"},
    }
    assert any("api not needed: no change in api/**" in line for line in report.render_lines())
    assert report.to_json()["landed"][1]["not_needed"] == {  # type: ignore[index,call-overload]
        "web": "no change in web/**",
        "api": "no change in api/**",
    }


@pytest.mark.parametrize("policy", list(Train))
@pytest.mark.parametrize("guarantee", list(Guarantee))
def test_a_red_target_does_not_keep_out_what_does_not_touch_the_red_gate(
    train: TrainFixture, tmp_path: Path, policy: Train, guarantee: Guarantee
) -> None:
    log = tmp_path / "runs"
    train.checkout.commit("break web", {"web/broken.txt": "RED\n"})
    train.gates(counted("web", log, when=("web/**",)), counted("api", log, when=("api/**",)))
    train.merge_settings(train=policy, guarantee=guarantee)
    train.approved(one={"docs/b.md": "b\n"}, two={"api/b.txt": "b\n"}, three={"web/b.txt": "b\n"}, four={"api/c": "c"})
    report = train.merge()
    assert [name for name in landed(report) if name != "four"] == ["one", "two"]
    assert "the target itself is red" in reasons(report)["three"]  # nobody is blamed for what was red before


@pytest.mark.parametrize("policy", list(Train))
def test_a_branch_that_turns_a_filtered_gate_red_is_evicted_behind_one_that_does_not_need_it(
    train: TrainFixture, tmp_path: Path, policy: Train
) -> None:
    log = tmp_path / "runs"
    train.gates(counted("web", log, when=("web/**",)), counted("api", log, when=("api/**",)))
    train.merge_settings(train=policy).blueprint(limits=Limits(gates=3))
    train.approved(one={"docs/b.md": "b\n"}, two={"web/b.txt": "RED\n"}, three={"api/b.txt": "RED\n"}, four={"d": "d"})
    report = train.merge()
    assert landed(report) == ["one", "four"]
    assert reasons(report) == {"two": "gate", "three": "gate"}


def test_two_branches_that_undo_each_other_need_the_gate(train: TrainFixture, tmp_path: Path) -> None:
    log = tmp_path / "runs"
    train.gates(counted("web", log, when=("web/**",))).merge_settings(train=Train.SPECULATIVE)
    train.checkout.commit("break web", {"web/broken.txt": "RED\n"})
    train.world.at("one").git("reset", "--hard", "main")
    train.world.at("two").git("reset", "--hard", "main")
    train.commit("one", {"web/broken.txt": "fine\n"})
    train.world.at("two").git("merge", "--ff-only", train.tip(train.fleet.require_agent("one").branch))
    train.commit("two", {"web/broken.txt": "RED\n"})
    train.approve("one", "two")
    report = train.merge()
    assert landed(report) == ["one"]  # the second brings back what the target had, where the gate was red
    assert train.checkout.git("show", "main:web/broken.txt") == "fine"


def test_a_change_of_what_the_command_runs_counts_as_a_change_of_its_files(train: TrainFixture, tmp_path: Path) -> None:
    log = tmp_path / "runs"
    train.checkout.commit("script", {"check.sh": f"echo run >>{log}\n", "tool.mk": "x:\n"})
    train.gates(RunGate("web", "sh check.sh", 60.0, when=("web/**",)))
    changes = {"one": {"check.sh": f"echo changed >>{log}\n"}, "two": {"docs/.gitattributes": "* text\n"}}
    for name, files in changes.items():
        train.world.at(name).git("reset", "--hard", "main")
        train.approved(**{name: files})
    assert landed(train.merge()) == ["one", "two"]
    assert runs(log) == ["changed", "changed"]


def test_a_changed_set_up_counts_as_a_change(train: TrainFixture, tmp_path: Path) -> None:
    log = tmp_path / "runs"
    train.setup(run=("true",), inputs=("lock",)).gates(counted("web", log, when=("web/**",)))
    train.approved(one={"lock": "1\n"}, two={"docs/x": "x"})
    assert landed(train.merge()) == ["one", "two"]
    assert runs(log) == ["web"]


def test_a_pass_is_reused_where_the_declared_inputs_are_the_same(train: TrainFixture, tmp_path: Path) -> None:
    log = tmp_path / "runs"
    train.gates(counted("web", log, inputs=("web/**",)), counted("api", log, inputs=("api/**", "shared")))
    train.approved(one={"web/b.txt": "b\n"}, two={"docs/b.md": "b\n"}, three={"shared": "1"}, four={"x": "x"})
    report = train.merge()
    assert landed(report) == ["one", "two", "three", "four"]
    assert sorted(runs(log)) == ["api", "api", "web"]


def test_a_branch_that_breaks_another_packages_input_is_caught(train: TrainFixture, tmp_path: Path) -> None:
    log = tmp_path / "runs"
    train.gates(counted("web", log, inputs=("web/**",)))
    train.approved(one={"docs/b.md": "b\n"}, two={"web/b.txt": "RED\n"}, three={"docs/c.md": "c\n"})
    report = train.merge()
    assert landed(report) == ["one", "three"]
    assert reasons(report)["two"] == "gate"


def test_fresh_gates_still_leave_out_what_is_not_needed(train: TrainFixture, tmp_path: Path) -> None:
    log = tmp_path / "runs"
    train.gates(counted("web", log, when=("web/**",)), counted("api", log))
    assert landed(train.approved(one={"docs/b.md": "b\n"}).merge(fresh_gates=True)) == ["one"]
    assert runs(log) == ["api"]


def test_a_gate_may_be_written_for_bash(train: TrainFixture) -> None:
    train.gates(RunGate("words", "a=(1 2 3); [[ ${#a[@]} == 3 ]] && declare -p a", 60.0, shell=Shell.BASH))
    assert landed(train.approved(one={"a": "a"}).merge()) == ["one"]


@pytest.mark.parametrize(("words", "outcome"), [("test 'a b' = 'a b'", ["one"]), ("A=b true", []), ("exit 0", [])])
def test_words_of_a_command_are_not_read_by_a_shell(train: TrainFixture, words: str, outcome: list[str]) -> None:
    train.gates(RunGate("words", words, 60.0, is_argv=True))
    assert landed(train.approved(one={"a": "a"}).merge()) == outcome
