"""Our trailers against git's own: ``git interpret-trailers`` reads what we wrote, and adds at the same place."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestra.candidates.trailers import add_trailers, trailer_values

OURS = {"Orchestra-Agent": "schema", "Orchestra-Fleet": "mvp5"}


def interpret(message: bytes, *options: str) -> bytes:
    command = ["git", "-c", "core.commentChar=\x01", "interpret-trailers", "--no-divider", *options]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"title\n", b"title\n\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n"),
        (b"title", b"title\n\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n"),
        (b"fix: title\n", b"fix: title\n\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n"),
        (b"", b"\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n"),
        (b"t\n\nbody: x\nmore\n", b"t\n\nbody: x\nmore\n\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n"),
        (b"t\n\nFixes: 1\n", b"t\n\nFixes: 1\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n"),
        (b"t\n\nA: 1\n  folded\n\n\n", b"t\n\nA: 1\n  folded\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n"),
        (b"t\n\nOrchestra-Agent: forged\n", b"t\n\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n"),
        (b"caf\xe9\n", b"caf\xe9\n\nOrchestra-Agent: schema\nOrchestra-Fleet: mvp5\n"),
    ],
)
def test_where_trailers_go(message: bytes, expected: bytes) -> None:
    assert add_trailers(message, OURS) == expected


LINE = st.one_of(
    st.sampled_from(
        ["Fixes: 12", "Signed-off-by: A <a@x>", "(cherry picked from commit abc)", "  folded", "note: x", ""]
    ),
    st.sampled_from(["some words", "a: b: c", "no colon", "see http://x", "-: -"]),
)


@given(st.lists(LINE, min_size=1, max_size=8))
@example(["t", "", "Signed-off-by: A <a@x>", "words", "words", "words"])
@example(["t", "", "Signed-off-by: A <a@x>", "words", "words", "words", "words"])
@example(["t", "", "  folded", "Fixes: 12"])
def test_git_adds_at_the_same_place(lines: list[str]) -> None:
    message = ("title\n" + "\n".join(lines) + "\n").encode()
    options = [part for key, value in OURS.items() for part in ("--trailer", f"{key}: {value}")]
    assert add_trailers(message, OURS) == interpret(message.rstrip() + b"\n", *options)


@given(st.lists(LINE, max_size=8))
def test_twice_is_once_and_git_reads_them(lines: list[str]) -> None:
    message = ("title\n" + "\n".join(lines) + "\n").encode()
    once = add_trailers(message, OURS)
    assert add_trailers(once, OURS) == once
    assert trailer_values(once, "orchestra-agent") == ("schema",)
    assert b"Orchestra-Agent: schema\nOrchestra-Fleet: mvp5\n" in interpret(once, "--parse")
