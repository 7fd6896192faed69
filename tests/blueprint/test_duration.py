"""Durations: what a person writes, in seconds; never nothing, never for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.duration import LONGEST_S, parse_duration
from orchestra.blueprint.schema import load_schema


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172800), ("1d1h1m1.5s", 90061.5), ("45", 45), ("0.5", 0.5)],
)
def test_reads(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "5 m", "-5m", "1m1h", "1.5h", "m", "1e3", "5M", "٣s", "15m\n", "0", "0s", "31d"]
)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|is out of range"):
        parse_duration(text)


@given(st.text(alphabet="0123456789dhms. ", max_size=12))
def test_the_schema_and_the_parser_agree_on_what_is_written(text: str) -> None:
    from jsonschema import Draft202012Validator

    schema = load_schema()["$defs"]["gate"]["properties"]["timeout"]
    valid = Draft202012Validator(schema).is_valid(text)
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        assert valid == ("is out of range" in str(error)), "the schema knows the form, the parser the range too"
    else:
        assert valid and 0 < seconds <= LONGEST_S
