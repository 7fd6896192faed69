"""Scopes: the dialect is git's, byte for byte; what would match nothing is refused; no file name blows matching up."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import BadPattern, Matcher, check_pattern, compile_patterns
from tests.conftest import Checkout, MakeRepository

FOLDERS = ["a", "b", "ab", "[a]", "é"]
FILES = ["c", "ca", ".c", "C", "c[b]", "-", "a c", "*", "c*", "ö", "c.d", "0"]
PATHS = [
    "/".join((*folders, file))
    for depth in range(3)
    for folders in itertools.product(FOLDERS, repeat=depth)
    for file in FILES
]
ATOMS = st.sampled_from(
    "a b c C é ö . - 0 { * * ? ** [ab] [!a] [^c-e] [a-c] [[:alpha:]] [[:upper:][:digit:]] []a] [é]".split()
    + "\\[ \\* \\] [\\]a]".split()
)
PATTERNS = st.lists(st.lists(ATOMS, min_size=1, max_size=3).map("".join), min_size=1, max_size=4).map("/".join)


def accepted(pattern: str) -> bool:
    try:
        check_pattern(pattern)
    except BadPattern:
        return False
    return True


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A repository whose index holds all PATHS; there is nothing to check out."""
    checkout = Checkout(tmp_path_factory.mktemp("tracked"))
    checkout.git("init", "-q")
    blob = checkout.git("hash-object", "-w", "--stdin", stdin=b"")
    index = b"".join(f"100644 {blob}\t{path}".encode() + b"\0" for path in PATHS)
    checkout.git("update-index", "-z", "--index-info", stdin=index)
    return checkout


def says_git(tracked: Checkout, pattern: str) -> set[str]:
    listed = tracked.git("ls-files", "-z", "--", f":(top,glob){pattern}")
    return set(filter(None, listed.split("\0")))


@given(pattern=PATTERNS)
def test_matches_what_git_matches(tracked: Checkout, pattern: str) -> None:
    assume(accepted(pattern))
    matcher = Matcher(Scope((pattern,)))
    assert {path for path in PATHS if matcher.matches(path)} == says_git(tracked, pattern)


@pytest.mark.parametrize(
    "pattern",
    """a a/ c c/ ab/** **/c **/c/** a/**/c **/a/**/c a/** ** * *.d a*/c [a]/c [a] [a]/** \\[a\\]/** c* c\\* \\*
    a/***/c a/**/** **/** ? ?? a/? é/ö é/? é/?? [é]/* [[:lower:]]/c [a-] [a\\-c]/c [[:alpha]/c
    [!a-b]/c a/*/c""".split(),
)
def test_matches_what_git_matches_at_the_edges(tracked: Checkout, pattern: str) -> None:
    matcher = Matcher(Scope((pattern,)))
    assert {path for path in PATHS if matcher.matches(path)} == says_git(tracked, pattern)


@given(include=st.lists(PATTERNS, min_size=1, max_size=3), exclude=st.lists(PATTERNS, max_size=2))
def test_exclude_takes_away_what_git_takes_away(tracked: Checkout, include: list[str], exclude: list[str]) -> None:
    assume(all(accepted(pattern) for pattern in include + exclude))
    specs = [f":(top,glob){one}" for one in include] + [f":(top,exclude,glob){one}" for one in exclude]
    trees = tracked.git("mktree", stdin=b""), tracked.git("write-tree")  # git ls-files drops excludes that are short
    listed = set(filter(None, tracked.git("diff", "-z", "--name-only", *trees, "--", *specs).split("\0")))
    matcher = Matcher(Scope(tuple(include), tuple(exclude)))
    assert {path for path in PATHS if matcher.matches(path)} == listed


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (" a", "begins or ends with a space"),
        ("a\nb", "contains a control character"),
        ("/etc", "is absolute"),
        ("~/x", "is absolute"),
        ("C:/x", "is absolute"),
        ("../x", 'contains ".."'),
        ("a/../b", 'contains ".."'),
        ("./a", "contains an empty part or a single dot"),
        ("a//b", "contains an empty part or a single dot"),
        ("!a", 'begins with "!"'),
        (":(glob)a", 'begins with ":"'),
        ("a/*/", "ends with a slash after a wildcard, and matches nothing"),
        ("src\\api", "contains a backslash that escapes no wildcard"),
        ("a\\", "contains a backslash that escapes no wildcard"),
        ("src/*.{ts,tsx}", "contains {a,b}, which git takes literally"),
        ("[a", "contains a [ that is never closed"),
        ("[[:foo:]]", "contains [:foo:], which is no class"),
        ("a[/]b", "holds a [...] that matches nothing"),
        (".git/hooks/**", "names .git, which git never tracks"),
        ("a**/b", "contains ** next to something other than a slash"),
        ("a/**b", "contains ** next to something other than a slash"),
        ("a/b**", "contains ** next to something other than a slash"),
        ("*a" * 25, "has more than 24 wildcards"),
    ],
)
def test_patterns_that_would_match_something_else_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(BadPattern) as refused:
        check_pattern(pattern)
    assert refused.value.message == message


def test_a_hostile_file_name_costs_little() -> None:
    """Each of these takes a backtracking matcher longer than the universe has been there."""
    expression = compile_patterns(["*a" * 12 + "b", "**/" + "*/" * 10 + "b", "**/a/**/a/**/a/**/a/**/a/b"])
    for name in ("a" * 255, "/".join(["a" * 63] * 60), "a/" * 2000 + "a"):
        assert expression.match(name.encode()) is None


def test_no_pattern_matches_nothing() -> None:
    assert not Matcher(Scope(())).matches("a")


def test_names_that_are_not_utf8_match_as_bytes(make_repository: MakeRepository) -> None:
    checkout = make_repository({"a": "1"})
    name = b"data/caf\xe9.txt"
    blob = checkout.git("hash-object", "-w", "--stdin", stdin=b"")
    checkout.git("update-index", "-z", "--index-info", stdin=f"100644 {blob}\t".encode() + name + b"\0")
    path = name.decode("utf-8", "surrogateescape")
    assert Matcher(Scope(("data/*.txt",))).matches(path)
    assert Matcher(Scope(("data/caf?.txt",))).matches(path)
    assert Path(path) in [
        Path(one) for one in checkout.git("ls-files", "-z", "--", ":(top,glob)data/caf?.txt").split("\0")
    ]
