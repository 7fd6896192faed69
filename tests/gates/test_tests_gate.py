"""Tests that a branch deletes, skips or weakens."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import Builtin
from tests.conftest import Checkout, MakeRepository
from tests.gates.branches import run_gate

PY = "import pytest\n\ndef test_one():\n    assert 1\n\ndef test_two():\n    assert 2\n"
JS = "it('adds', () => { expect(1).toBe(1) })\ntest('removes', () => { expect(2).toBe(2) })\n"
GO = 'package a\n\nfunc TestOne(t *testing.T) {\n\tt.Fatal("x")\n}\n\nfunc TestTwo(t *testing.T) {\n\tt.Fatal("y")\n}\n'
RS = "#[test]\nfn one() { assert!(true); }\n\n#[test]\nfn two() { assert!(true); }\n"
JAVA = "class ATest {\n  @Test\n  void one() { assertTrue(true); }\n\n  @Test\n  void two() { assertTrue(true); }\n}\n"
FILES = {
    "tests/test_a.py": PY,
    "src/a.test.ts": JS,
    "pkg/a_test.go": GO,
    "src/lib.rs": RS,
    "src/test/java/ATest.java": JAVA,
    "pyproject.toml": "[tool.coverage.report]\nfail_under = 90\n",
    "jest.config.js": "module.exports = {coverageThreshold: {global: {branches: 80, lines: 85}}}\n",
    "src/a.py": "def a():\n    return 1\n",
}


@pytest.fixture
def repo(make_repository: MakeRepository) -> Checkout:
    return make_repository(FILES)


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("tests/test_a.py", None, "is deleted with its tests: test_one and test_two"),
        ("tests/test_a.py", PY.replace("def test_two", "def helper"), "loses tests: test_two"),
        ("tests/test_a.py", PY.replace("def test_two", "@pytest.mark.skip\ndef test_two"), "test_a.py:6 skips tests"),
        ("tests/test_a.py", PY.replace("def test_two", "@pytest.mark.xfail\ndef test_two"), "skips tests"),
        (
            "tests/test_a.py",
            PY.replace("import pytest\n", "import pytest\npytestmark = pytest.mark.skip\n"),
            "skips tests",
        ),
        ("tests/test_a.py", PY.replace("    assert 2", "    pytest.skip('later')"), "skips tests"),
        ("tests/test_a.py", PY.replace("assert 1", "pass").replace("assert 2", "pass"), "has no assertion any more"),
        ("src/a.test.ts", JS.replace("test('removes'", "test.skip('removes'"), "a.test.ts:2 skips tests"),
        ("src/a.test.ts", JS.replace("it('adds'", "it.only('adds'"), "skips tests"),
        ("src/a.test.ts", JS.replace("it('adds'", "xit('adds'"), "skips tests"),
        ("src/a.test.ts", JS.splitlines()[0], "loses tests: removes"),
        ("pkg/a_test.go", GO.replace('t.Fatal("x")', 't.Skip("flaky")'), "a_test.go:4 skips tests"),
        ("pkg/a_test.go", GO.replace("func TestTwo", "func helper"), "loses tests: TestTwo"),
        ("src/lib.rs", RS.replace("fn two", "#[ignore]\nfn two"), "skips tests: #[ignore]"),
        ("src/lib.rs", RS.replace("#[test]\nfn two", "fn two"), "loses tests: two"),
        ("src/test/java/ATest.java", JAVA.replace("  void two", "  @Disabled\n  void two"), "skips tests: @Disabled"),
        (
            "pyproject.toml",
            "[tool.coverage.report]\nfail_under = 60\n",
            "lowers the threshold fail_under from 90 to 60",
        ),
        ("pyproject.toml", "[tool.coverage.report]\n", "removes the threshold fail_under of 90"),
        ("jest.config.js", FILES["jest.config.js"].replace("80", "8"), "lowers the threshold branches from 80 to 8"),
    ],
)
def test_weaker_tests_need_a_reason(repo: Checkout, path: str, text: str | None, words: str) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.write({path: text})
    repo.git("add", "--all")
    repo.git("commit", "-qm", "work")
    result = run_gate(repo, base, Builtin.TESTS_KEPT)
    assert result.outcome == "failed"
    assert words in result.detail
    assert run_gate(repo, base, Builtin.TESTS_KEPT, f"- `{path}`: the feature is gone").outcome == "passed"
    assert run_gate(repo, base, Builtin.TESTS_KEPT, f"- `{path}`").outcome == "failed"


@pytest.mark.parametrize(
    "files",
    [
        {"tests/unit/test_a.py": PY, "tests/test_a.py": None},
        {"tests/test_a.py": PY.replace("test_two", "test_the_second")},
        {"tests/test_a.py": PY + "\ndef test_three():\n    assert 3\n"},
        {"tests/test_b.py": "import pytest\n\n@pytest.mark.skip\ndef test_new():\n    assert 1\n"},
        {"tests/test_a.py": PY.replace("def test_two", "@pytest.mark.skipif(WINDOWS, reason='x')\ndef test_two")},
        {"src/a.py": "def a():\n    return 2\n"},
        {"src/a.test.ts": f"const maybe = process.platform === 'win32' ? test.skip : test\n{JS}"},
        {"pyproject.toml": "[tool.coverage.report]\nfail_under = 95\n"},
        {"src/b.rs": RS, "src/lib.rs": None},
        {"tests/data.json": "{}"},
    ],
)
def test_tests_that_move_grow_or_get_another_name_pass(repo: Checkout, files: dict[str, str | None]) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.write(files)
    repo.git("add", "--all")
    repo.git("commit", "-qm", "work")
    assert run_gate(repo, base, Builtin.TESTS_KEPT).findings == ()


def test_a_reason_may_name_the_test_instead_of_the_file(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.commit("work", {"tests/test_a.py": PY.replace("def test_two", "def helper")})
    assert run_gate(repo, base, Builtin.TESTS_KEPT, "- `test_two` went: its function went").outcome == "passed"
