"""The whole error message of every broken blueprint."""

from __future__ import annotations

import pytest

from orchestra.blueprint.load import load_blueprint
from orchestra.errors import BlueprintError, ExitCode
from tests.blueprint.corpus import EXPECTED, blueprint_of, cases, error_text


@pytest.mark.parametrize("case", cases())
def test_problems_and_hints_are_those_of_the_corpus(case: str) -> None:
    assert error_text(case) == (EXPECTED / f"{case}.txt").read_text(encoding="utf-8")


def test_every_expectation_has_its_case() -> None:
    assert sorted(file.stem for file in EXPECTED.glob("*.txt")) == cases()


def test_the_corpus_is_broad() -> None:
    assert len(cases()) >= 60


def test_problems_are_sorted_and_exit_with_2() -> None:
    with pytest.raises(BlueprintError) as raised:
        load_blueprint(blueprint_of("many-at-once"))
    places = [(problem.line, problem.column) for problem in raised.value.problems]
    assert places == sorted(places)
    assert raised.value.exit_code is ExitCode.WRONG_INPUT
