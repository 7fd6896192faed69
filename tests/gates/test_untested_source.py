"""Source that a branch changes without any test."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import Builtin, BuiltinGate, Untested
from orchestra.gates.builtin import BuiltinResult, check_content
from tests.conftest import Checkout, MakeRepository
from tests.gates.branches import content_of, run_gate

PY = "def total(prices):\n    result = 0\n    for price in prices:\n        result += price\n    return result\n"
MORE_PY = PY + "\n\ndef mean(prices):\n    count = len(prices)\n    return total(prices) / count\n"
JS = "export function total(prices) {\n  let sum = 0;\n  prices.forEach((p) => { sum += p; });\n  return sum;\n}\n"
MORE_JS = JS + JS.replace("total", "mean").replace("return sum", "return sum / prices.length")
RS = "pub fn a() -> i32 {\n    let x = 1;\n    let y = 2;\n    x + y\n}\n"
RS_TESTS = "\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn adds() { assert_eq!(super::a(), 3); }\n}\n"
FILES = {"src/shop.py": PY, "src/cart.ts": JS, "src/lib.rs": RS + RS_TESTS, "tests/test_shop.py": "def test(): pass\n"}


@pytest.fixture
def repo(make_repository: MakeRepository) -> Checkout:
    return make_repository(FILES)


def _judge(repo: Checkout, files: dict[str, str | None], notes: str = "") -> BuiltinResult:
    base = repo.git("rev-parse", "HEAD")
    repo.write(files)
    repo.git("add", "--all")
    repo.git("commit", "-qm", "work")
    return run_gate(repo, base, Builtin.TESTS_KEPT, notes)


@pytest.mark.parametrize(
    "files",
    [
        {"src/shop.py": MORE_PY},
        {"src/cart.ts": MORE_JS},
        {"src/lib.rs": RS.replace("x + y", "let z = x;\n    let w = y;\n    z * w") + RS_TESTS},
        {"pkg/a.go": "package a\n\nfunc A() int {\n\tb := 1\n\treturn b\n}\n"},
        {"src/main/java/A.java": "class A {\n  int a() {\n    int b = 1;\n    return b;\n  }\n}\n"},
        {"lib/a.rb": "def a\n  b = 1\n  c = 2\n  b + c\nend\n"},
        {"src/shop.py": MORE_PY, "README.md": "# Shop\n"},
        {"src/latest_contest.py": MORE_PY},  # contains "test" as a part of other words
    ],
)
def test_code_without_a_test_is_a_warning_that_stops_nothing(repo: Checkout, files: dict[str, str | None]) -> None:
    result = _judge(repo, files)
    assert result.outcome == "warned"
    assert not result.stops
    assert "no test is added or changed" in result.detail


@pytest.mark.parametrize(
    "files",
    [
        {"src/shop.py": MORE_PY, "tests/test_mean.py": "def test_mean():\n    assert mean([1]) == 1\n"},
        {"src/shop.py": MORE_PY, "tests/data/prices.json": "[1]"},
        {"src/cart.ts": MORE_JS, "src/cart.spec.ts": "it('works', () => { expect(mean([1])).toBe(1) })\n"},
        {"pkg/a.go": "package a\n\nfunc A() int {\n\treturn 1\n}\n", "pkg/a_test.go": "package a\n"},
        {"src/lib.rs": RS.replace("x + y", "let z = x;\n    let w = y;\n    z * w") + RS_TESTS.replace("3", "2")},
        {"src/shop.py": MORE_PY + "    # >>> no\n    '''\n    >>> mean([1])\n    '''\n"},
        {"src/shop.py": PY.replace("    result = 0", '    """Add\n    up\n    prices.\n    """\n    result = 0')},
        {"src/cart.ts": "// One\n// two\n/* three\n * four\n */\n" + JS},
        {"src/shop.py": None, "src/total.py": PY},  # moved
        {"src/shop.py": None},
        {"src/version.py": '__version__ = "1.2.3"\n'},
        {"docs/conf.py": MORE_PY, "setup.py": MORE_PY, "eslint.config.js": MORE_JS, "src/a_pb2.py": MORE_PY},
        {"README.md": "# Shop\n\n" + MORE_PY, "app.yaml": "a: 1\nb: 2\nc: 3\n"},
        {"src/shop.py": PY.replace("result = 0", "result = 0.0")},
    ],
)
def test_other_changes_are_no_finding(repo: Checkout, files: dict[str, str | None]) -> None:
    assert _judge(repo, files).findings == ()


@pytest.mark.parametrize(
    ("notes", "findings"),
    [
        ("- No tests: the module is replaced next week\n", 0),
        ("The parser is untested, its input is generated\n", 0),
        ("## Files Changed\n\n- `src/shop.py`: adds the mean\n", 1),
        ("<!-- No tests needed -->\n", 1),
    ],
)
def test_a_sentence_about_missing_tests_is_a_reason(repo: Checkout, notes: str, findings: int) -> None:
    assert len(_judge(repo, {"src/shop.py": MORE_PY}, notes).findings) == findings


@pytest.mark.parametrize(
    ("untested", "outcome"), [(Untested.IGNORE, "passed"), (Untested.WARN, "warned"), (Untested.BLOCK, "failed")]
)
def test_the_blueprint_decides_what_missing_tests_do(repo: Checkout, untested: Untested, outcome: str) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.commit("work", {"src/shop.py": MORE_PY})
    with content_of(repo, base) as content:
        gate = BuiltinGate("tests-kept", Builtin.TESTS_KEPT, untested=untested)
        assert check_content(gate, content, "").outcome == outcome
