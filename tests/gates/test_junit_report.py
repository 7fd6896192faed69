"""JUnit XML names failed tests, whatever a hostile report holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.gates.junit_report import FailedTest, parse_failed_tests, read_failed_tests, report_times

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="0" failures="1" tests="2">
<testcase classname="tests.test_a" name="test_good" time="0.1"/>
<testcase classname="tests.test_a" name="test_bad" file="tests/test_a.py" line="3"><failure message="assert 1 == 2
  more">def test_bad():</failure></testcase>
<testcase classname="C" name="skipped"><skipped message="later"/></testcase>
</testsuite></testsuites>"""
BAD = FailedTest("tests.test_a.test_bad", "tests/test_a.py", "assert 1 == 2 more")


def test_a_failure_names_test_file_and_message() -> None:
    assert parse_failed_tests(PYTEST) == (BAD,)
    assert str(BAD) == "tests.test_a.test_bad (tests/test_a.py): assert 1 == 2 more"


def test_the_file_may_be_the_suites_and_the_message_the_text() -> None:
    text = (
        b'<testsuite file="a.spec.ts"><testcase name="adds"><error>\n  Error: no\n at x</error></testcase></testsuite>'
    )
    assert parse_failed_tests(text) == (FailedTest("adds", "a.spec.ts", "Error: no"),)


BILLION = (
    b'<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "'
    + b"&a;" * 1000
    + b'">]><testcase name="x"><failure message="&b;"/></testcase>'
)
FILE = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><testcase name="&f;"><failure>&f;</failure></testcase>'


@pytest.mark.parametrize(
    "content",
    [
        BILLION,
        FILE,
        b"",
        b"not xml",
        PYTEST[:200],
        b"<a>" * 100_000,
        b"\xff\xfe<",
        b"<!DOCTYPE x SYSTEM 'http://x/y'><x/>",
    ],
    ids=["entities", "external", "empty", "text", "cut", "deep", "bytes", "doctype"],
)
def test_hostile_documents_count_as_absent(content: bytes) -> None:
    assert parse_failed_tests(content) == ()


def test_control_characters_and_length_are_tamed() -> None:
    many = b"".join(b'<testcase name="%d"><failure message="%s"/></testcase>' % (n, b"m" * 5000) for n in range(500))
    found = parse_failed_tests(b"<testsuite>" + many + b"</testsuite>")
    assert len(found) == 20
    assert max(len(test.message) for test in found) <= 203


def test_only_new_regular_files_that_match_are_read(tmp_path: Path) -> None:
    folder, outside = tmp_path / "slot", tmp_path / "outside"
    (folder / "reports/deep").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.xml").write_bytes(PYTEST)
    (folder / "reports/link.xml").symlink_to(outside / "secret.xml")
    (folder / "reports/linked").symlink_to(outside)
    os.mkfifo(folder / "reports/pipe.xml")
    (folder / "reports/huge.xml").write_bytes(b"<testsuite>" + b" " * (9 << 20) + PYTEST)
    (folder / "reports/committed.xml").write_bytes(PYTEST)
    (folder / "other.xml").write_bytes(PYTEST)
    before = report_times(folder, "reports/**/*.xml")
    assert read_failed_tests(folder, "reports/**/*.xml", before) == ()
    (folder / "reports/deep/new.xml").write_bytes(PYTEST)
    assert read_failed_tests(folder, "reports/**/*.xml", before) == (BAD,)
    assert read_failed_tests(folder, "reports/deep/new.xml", before) == (BAD,)
    assert read_failed_tests(folder, "missing/*.xml", before) == ()
    (folder / "reports/committed.xml").write_bytes(PYTEST.replace(b"test_bad", b"test_new"))
    assert len(read_failed_tests(folder, "reports/**/*.xml", before)) == 2
