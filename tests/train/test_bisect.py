"""Conflicts of meaning: found with the fewest culprits, proven by tests, and told so that a person can decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.blueprint.model import RunGate
from orchestra.train.eviction_report import failed_tests
from tests.conftest import MakeRepository
from tests.train.train_fixture import NOTES, Train, TrainFixture, landed, make_train, reasons

# Red when any call names a function that nobody defines.
CALLS = """
for name in $(cat *.py | grep -o 'call [a-z_]*' | cut -d' ' -f2); do
  grep -qs "def $name" *.py || { echo "FAILED test_calls.py::test_$name"; exit 1; }
done
"""
LIBRARY = "def parse_config\ndef other\n"


@pytest.fixture
def renamed(make_repository: MakeRepository) -> TrainFixture:
    """One renames a function, another calls it by its old name, a third has nothing to do with it."""
    train = make_train(make_repository({"library.py": LIBRARY, "x.py": "\n"}), "renames", "stranger", "calls")
    train.gates(RunGate("tests", CALLS))
    train.notes("renames", NOTES.replace("A thing that works.", "parse_config is read_settings now."))
    return train.approved(
        renames={"library.py": LIBRARY.replace("parse_config", "read_settings")},
        stranger={"y.py": "def y\n"},
        calls={"caller.py": "call parse_config\n"},
    )


@pytest.mark.parametrize("policy", [Train.SERIAL, Train.AUTO])
def test_a_rename_and_a_new_caller(renamed: TrainFixture, policy: Train) -> None:
    renamed.merge_settings(train=policy)
    report = renamed.merge()
    assert landed(report) == ["renames", "stranger"]
    (out,) = report.evicted
    assert (out.agent, out.reason, out.with_, out.gate) == ("calls", "logical-conflict", ("renames",), "tests")
    assert "tests passes without renames and fails with it" in out.detail
    assert "test_calls.py::test_parse_config" in out.detail
    assert "both touch parse_config" in out.detail
    assert out.log is not None
    text = out.log.read_text("utf-8")
    assert "parse_config is read_settings now." in text
    assert "The last lines of the gate's log:\n" in text
    assert "The whole log: /" in text


def test_a_branch_that_is_red_alone_is_no_conflict(renamed: TrainFixture) -> None:
    renamed.commit("calls", {"caller.py": "call nobody\n"})
    renamed.approve("calls")
    assert reasons(renamed.merge()) == {"calls": "gate"}


def test_two_culprits_that_are_needed_both(make_repository: MakeRepository) -> None:
    train = make_train(make_repository({"f": "\n"}), "one", "two", "three", "four", "late")
    train.gates(RunGate("tests", "! { test -e 1 && test -e 3 && test -e late; }"))
    train.approved(one={"1": "\n"}, two={"2": "\n"}, three={"3": "\n"}, four={"4": "\n"}, late={"late": "\n"})
    (out,) = train.merge().evicted
    assert (out.reason, out.with_) == ("logical-conflict", ("one", "three"))


def test_a_persons_commit_is_named_as_the_cause(renamed: TrainFixture) -> None:
    renamed.checkout.commit("a person renames it", {"library.py": LIBRARY.replace("parse_config", "load")})
    (out,) = renamed.merge(agents=["calls"]).evicted
    assert (out.reason, out.with_) == ("gate", ())
    assert "(Ada Test: a person renames it)" in out.detail


def test_what_landed_in_an_earlier_train_counts(renamed: TrainFixture) -> None:
    renamed.merge(agents=["renames", "stranger"])
    (out,) = renamed.merge(agents=["calls"]).evicted
    assert (out.reason, out.with_) == ("logical-conflict", ("renames",))


def test_what_a_branch_builds_on_is_not_taken_for_the_culprit(make_repository: MakeRepository) -> None:
    """Red without its predecessor, green with it, red with another: only the other is to blame."""
    train = make_train(make_repository({"f": "\n"}), "base", "breaks", "user")
    train.gates(RunGate("tests", "test ! -e user || { test -e base && test ! -e breaks; }"))
    train.after(user=("base",)).approved(base={"base": "\n"}, breaks={"breaks": "\n"}, user={"user": "\n"})
    (out,) = train.merge().evicted
    assert (out.agent, out.reason, out.with_) == ("user", "logical-conflict", ("breaks",))


def test_what_it_must_land_after_may_be_what_it_fails_with(make_repository: MakeRepository) -> None:
    """Green where the branch began, as the demo's integration tests are: then only the two together are wrong."""
    train = make_train(make_repository({"f": "\n"}), "other", "api", "tests")
    train.gates(RunGate("tests", "! { test -e api && test -e tests; }"))
    train.after(tests=("other", "api")).approved(other={"o": "\n"}, api={"api": "\n"}, tests={"tests": "\n"})
    (out,) = train.merge().evicted
    assert (out.agent, out.reason, out.with_) == ("tests", "logical-conflict", ("api",))


def test_red_for_another_reason_proves_nothing(make_repository: MakeRepository) -> None:
    """Without what it builds on, api fails the types: that is no proof that tests and api alone fail the tests."""
    train = make_train(make_repository({"f": "\n"}), "schema", "api", "tests")
    types = RunGate("types", "! test -e api || test -e schema")
    train.gates(types, RunGate("tests", "! { test -e api && test -e tests; }"))
    train.after(api=("schema",), tests=("schema", "api"))
    train.approved(schema={"schema": "\n"}, api={"api": "\n"}, tests={"tests": "\n"})
    (out,) = train.merge().evicted
    assert (out.agent, out.reason, out.with_) == ("tests", "logical-conflict", ("api",))
    assert out.detail.startswith("tests passes without api and fails with it, together with what landed before")


def test_with_nothing_but_what_it_must_land_after_it_is_its_own_fault(make_repository: MakeRepository) -> None:
    """Red with it, and red without: nobody else is to blame."""
    train = make_train(make_repository({"f": "\n"}), "api", "tests")
    train.gates(RunGate("tests", "! test -e tests")).after(tests=("api",))
    train.approved(api={"api": "\n"}, tests={"tests": "\n"})
    report = train.merge()
    assert reasons(report) == {"tests": "gate"}


def test_a_rehearsal_says_it_too_and_lands_nothing(renamed: TrainFixture) -> None:
    before = renamed.tip()
    assert reasons(renamed.rehearse()) == {"calls": "logical-conflict"}
    assert renamed.tip() == before


def test_a_text_conflict_tells_what_the_other_side_was_after(make_repository: MakeRepository) -> None:
    train = make_train(make_repository({"f": "\n"}), "one", "two")
    train.notes("one", NOTES.replace("A thing that works.", "The frobnicator."))
    train.approved(one={"f": "1\n"}, two={"f": "2\n"})
    (out,) = train.merge().evicted
    assert out.log is not None
    assert "one says of its work:\n  The frobnicator." in out.log.read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("FAILED tests/test_a.py::test_b - assert\nERROR tests/test_c.py::test_d\n", ["tests/test_a.py::test_b"]),
        ("FAIL: test_x (tests.T.test_x)\n", ["test_x (tests.T.test_x)"]),
        ("    --- FAIL: TestThing/sub (0.00s)\n", ["TestThing/sub"]),
        ("test auth::works ... FAILED\n", ["auth::works"]),
        ("not ok 3 - it parses # time=1\n", ["it parses"]),
        ("  \x1b[31m\u25cf suite \u203a does it\x1b[0m\n", ["suite \u203a does it"]),
        ("rspec ./spec/a_spec.rb:3 # A\n", ["./spec/a_spec.rb:3"]),
        ("all is well\n", []),
    ],
)
def test_failed_tests_are_read_from_logs(tmp_path: Path, text: str, names: list[str]) -> None:
    log = tmp_path / "log"
    log.write_text(text, encoding="utf-8")
    assert list(failed_tests(log))[: len(names)] == names
    assert bool(failed_tests(log)) == bool(names)


def flaky(log: Path, *reds: int) -> str:
    """A command that is red where ``late`` is, in its first, second... run as said; it counts them in ``log``."""
    numbers = "|".join(map(str, reds))
    return f'test -e late || exit 0; echo run >>"{log}"; case $(wc -l <"{log}") in {numbers}) exit 1;; esac'


def test_a_branch_that_was_red_by_chance_is_red_with_nobody(make_repository: MakeRepository, tmp_path: Path) -> None:
    train = make_train(make_repository({"f": "\n"}), "one", "two", "late")
    train.gates(RunGate("tests", flaky(tmp_path / "runs", 1, 2)))
    train.approved(one={"1": "1\n"}, two={"2": "1\n"}, late={"late": "1\n"})
    (out,) = train.merge().evicted
    assert (out.agent, out.reason, out.with_) == ("late", "gate", ())


def test_what_is_asked_to_explain_is_asked_as_often_as_the_gate_wants(
    make_repository: MakeRepository, tmp_path: Path
) -> None:
    """Red twice with one; the first look at the branch alone is red by chance."""
    train = make_train(make_repository({"f": "\n"}), "one", "late")
    together = "if test -e 1 && test -e late; then exit 1; fi"
    train.gates(RunGate("tests", f"{together}; {flaky(tmp_path / 'runs', 1)}", retries=1))
    train.approved(one={"1": "1\n"}, late={"late": "1\n"})
    (out,) = train.merge().evicted
    assert (out.agent, out.reason, out.with_) == ("late", "logical-conflict", ("one",))
