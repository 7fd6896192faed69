"""Counts, lists, lengths of time and text that is safe in a terminal."""

from __future__ import annotations

import pytest

from orchestra.text import (
    first_error_line,
    format_clock,
    format_count,
    format_duration,
    format_list,
    last_lines,
    nearest,
    one_line,
    terminal_safe,
)


def test_counts_agree_with_their_noun() -> None:
    assert format_count(1, "file") == "1 file"
    assert format_count(1200, "file") == "1,200 files"
    assert format_count(2, "branch", "branches") == "2 branches"


@pytest.mark.parametrize(
    ("items", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_end_with_a_conjunction(items: list[str], text: str) -> None:
    assert format_list(items) == text


def test_a_long_list_counts_what_it_omits() -> None:
    assert format_list("abcde", most=2) == "a, b and 3 more"
    assert format_list("ab", most=2, conjunction="or") == "a or b"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59, "59 s"), (180, "3 min"), (7200, "2 h"), (90000, "1 d")]
)
def test_durations_use_their_largest_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (750, "12:30"), (3723, "1:02:03")])
def test_elapsed_time_reads_as_a_clock(seconds: float, text: str) -> None:
    assert format_clock(seconds) == text


def test_the_nearest_word_ignores_case_and_completes() -> None:
    assert nearest("Docz", ["docs", "api"]) == "docs"
    assert nearest("back", ["api", "backend-services"]) == "backend-services"
    assert nearest("zzz", ["api"]) is None


def test_control_characters_become_visible() -> None:
    assert terminal_safe("a\x1b[2J\r\x7f\u202eb\n\t") == "a^[[2J^M^?\\u202eb\n\t"
    assert one_line("a\n  b\x1b", most=4) == "a b^..."


def test_the_end_of_a_text_says_how_much_is_missing() -> None:
    assert last_lines("1\n2\n33333\n", 2, 3) == "... 1 lines before\n2\n333"
    assert last_lines("1\n", 2, 3) == "1"


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("npm notice\nnpm error code EUSAGE\nnpm error usage\n", "npm error code EUSAGE"),
        ("collected 2 items\n==== FAILED ====\nE   assert 1 == 2\n", "E assert 1 == 2"),
        ("\x1b[31mModuleNotFoundError: No module named 'x'\x1b[0m\n", "ModuleNotFoundError: No module named 'x'"),
        ("checked: 0 errors\nsh: 1: tsc: not found\n", "sh: 1: tsc: not found"),
        (
            "    raise TimeoutError\nE   TimeoutError\nFAILED a.py::test_b - TimeoutError\n",
            "FAILED a.py::test_b - TimeoutError",
        ),
        ("main.go:3: error in text\n--- FAIL: TestA (0.00s)\n", "--- FAIL: TestA (0.00s)"),
        (b"nothing to see\n\nbye \xff\n", "bye \ufffd"),
        ("", None),
    ],
)
def test_the_first_line_that_names_an_error_is_quoted(log: str | bytes, line: str | None) -> None:
    assert first_error_line(log) == line
