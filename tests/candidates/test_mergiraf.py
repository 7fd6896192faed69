"""What a program that merges by syntax says is checked, whatever it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.candidates.resolution.mergiraf import merge_syntax
from orchestra.candidates.resolution.proposal import Question, Side, leaves_conflict
from orchestra.git.objects import TreeId
from tests.train.mergiraf import GIVES_UP, UNION, stand_in

BASE, OURS, THEIRS = b"a\nb\nc\n", b"a\nours\nc\n", b"a\ntheirs\nc\n"


def question(name: str = "src/a.py", base: bytes = BASE, ours: bytes = OURS, theirs: bytes = THEIRS) -> Question:
    sides = tuple(Side("100644", "", data) for data in (base, ours, theirs))
    return Question({name: (sides[0], sides[1], sides[2])}, TreeId(""), lambda _: {})


def asked(tmp_path: Path, about: Question, limit_s: float = 20.0) -> dict[str, bytes]:
    return dict(merge_syntax(about, tmp_path / "logs/log", limit_s))


def test_what_it_merges_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path / "bin", monkeypatch)
    assert asked(tmp_path, question()) == {"src/a.py": b"a\nours\ntheirs\nc\n"}


@pytest.mark.parametrize(
    "name", ["-p", 'a b\'s "c".py', "$(exit 9).py", "two\nlines.py", "dr\udcffl.py", "=x", "äö/ü.py"]
)
def test_names_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    stand_in(tmp_path / "bin", monkeypatch, f'printf %s "$name" >&2\n{UNION}')
    assert list(asked(tmp_path, question(name))) == [name]
    assert (tmp_path / "logs/log").read_bytes().decode("utf-8", "surrogateescape").endswith(name)


@pytest.mark.parametrize(
    "body",
    [
        "exit 1",
        "exit 255",
        GIVES_UP,
        "exit 0",
        f'{UNION}\nrm "$out"',
        'rm -f "$out"; ln -s /etc/passwd "$out"',
        'mkdir "$out"',
        'head -c 100000 /dev/zero | tr "\\0" x >"$out"',
        'printf "\\377\\376" >"$out"',
        "kill -9 $$",
        "sleep 1000",
        "trap '' TERM; while :; do sleep 1000; done",
    ],
    ids=range(12),
)
def test_whatever_else_it_does_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    stand_in(tmp_path / "bin", monkeypatch, body)
    assert asked(tmp_path, question(), 0.3 if "sleep" in body else 20.0) == {}


def test_it_sees_copies_and_has_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path / "bin", monkeypatch, f'{UNION}\necho x >"$left"; echo "$HOME $XDG_CACHE_HOME $PWD" >&2')
    monkeypatch.setenv("SECRET", "s3cret")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert asked(tmp_path, question())
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "logs", tmp_path / "logs/log"])
    home, cache, here = (tmp_path / "logs/log").read_text().split()
    assert (home, cache) == (here, f"{here}/cache")
    assert not Path(home).exists()


def test_line_ends_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mergiraf works on LF and, with --output, writes LF (src/bin/mergiraf.rs)."""
    stand_in(tmp_path / "bin", monkeypatch, f'{UNION}\ntr -d "\\r" <"$out" >"$out.lf"; mv "$out.lf" "$out"')
    returned = question("a", *(data.replace(b"\n", b"\r\n") for data in (BASE, OURS, THEIRS)))
    assert asked(tmp_path, returned) == {"a": b"a\r\nours\r\ntheirs\r\nc\r\n"}
    mixed = question("a", BASE, OURS.replace(b"\n", b"\r\n"), THEIRS)
    assert asked(tmp_path, mixed) == {}
    assert asked(tmp_path, question("a", BASE, b"a\r\nours\nc\n", THEIRS)) == {}


def test_without_the_program_nothing_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asked(tmp_path, question()) == {}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (b"clean\n", False),
        (b"<<<<<<< left\na\n=======\nb\n>>>>>>> right\n", True),
        (b"a\n>>>>>>> right", True),
        (b"||||||| base\r\n", True),
        (b"title\n=======\n", False),
        (b"say <<<<<<< in a line\n", False),
        (b"<<<<<<<<<<<<<<< long markers\n", True),
        (b"<<<<<<< documented\n", False),
        (b"<<<<<<< documented\n<<<<<<< documented\n", True),
        (b"a\0b", True),
    ],
)
def test_what_looks_like_a_conflict_is_one_unless_a_side_had_it(text: bytes, left: bool) -> None:
    sides = [Side("100644", "", data) for data in (b"", b"docs\n<<<<<<< documented\n", b"docs\n")]
    assert leaves_conflict(text, sides) is left
