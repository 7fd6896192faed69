"""The built-in gate ``tests-kept``: tests that a branch deletes, skips or weakens need a reason in the notes.

Tests are recognised by the forms that the common frameworks use. A test that moved to another file of the branch, or
got another name, is kept; so is one whose whole subject is new in the branch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from orchestra.blueprint.model import Untested
from orchestra.gates.branch_content import BranchContent
from orchestra.gates.gate_finding import GateFinding
from orchestra.gates.notes_gate import NOTES_FILE, explains_missing_tests, justifies
from orchestra.gates.untested_source import is_source_file, is_test_file, untested_source
from orchestra.text import format_list

_TEST_PLACE = re.compile(
    r"(^|/)(tests?|__tests__|specs?|e2e)/|(^|/)test_[^/]*$|[_.-](test|tests|spec)\.\w+$|(Tests?|Spec|IT)\.(java|kt|cs|scala)$"
)
_NAMES = {
    "py": rb"^[ \t]*(?:async[ \t]+)?def[ \t]+(test\w*)[ \t]*\(",
    "js": rb"(?<![\w.])(?:it|test)(?:\.\w+)*(?:\([^\n]*?\)|`[^`]*`)?\(\s*(?:[\"'`])([^\n]+?)[\"'`]\s*,",
    "go": rb"^func (?:\([^)]*\) )?((?:Test|Fuzz|Example)\w*)\(",
    "rs": rb"#\[(?:\w+::)?(?:test|rstest|test_case)\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:pub\s+)?(?:async\s+)?fn\s+(\w+)",
    "java": rb"@(?:Parameterized)?Test\b[^{;]*?\b(?:void|fun)\s+(\w+|`[^`\n]+`)\s*\(",
    "rb": rb"^[ \t]*(?:it|specify|test|scenario)[ \t(]+[\"']([^\"'\n]+)[\"']|^[ \t]*def[ \t]+(test_\w+)",
    "php": rb"function[ \t]+(test\w+)[ \t]*\(",
}
_SKIPS = {
    "py": rb"@(?:pytest\.mark\.|unittest\.|mark\.)?(?:skip|xfail|expectedFailure)\b|^[ \t]*pytest\.(?:skip|xfail)\("
    rb"|pytestmark\s*=.*\b(?:skip|xfail)\b|^[ \t]*(?:raise[ \t]+)?(?:self\.skipTest|unittest\.SkipTest|SkipTest)\("
    rb"|^[ \t]*collect_ignore|^[ \t]*__test__\s*=\s*False",
    "js": rb"(?<![\w.])(?:it|test|describe|suite|context)\.(?:skip|only|todo|failing|fixme)(?:\.\w+)?\s*[(`]"
    rb"|(?<![\w.])(?:xit|xtest|xdescribe|fit|fdescribe)\(",
    "go": rb"\b[tbf]\.Skip(?:f|Now)?\(|^//go:build ignore",
    "rs": rb"#\[ignore\b",
    "java": rb"@(?:Disabled|Ignore)\b(?!If|On|When|For)",
    "rb": rb"^[ \t]*(?:xit|xdescribe|xcontext|fit|fdescribe|pending|skip)\b",
    "php": rb"markTest(?:Skipped|Incomplete)\(",
}
_CHECKS = {
    "py": rb"^[ \t]*assert\b|\bself\.assert\w+\(|\bpytest\.raises\b|\.assert_\w+\(",
    "js": rb"\bexpect\(|\bassert[.(]|\bshould\.",
    "go": rb"\bt\.(?:Error|Fatal|Fail)\w*\(|\b(?:assert|require)\.\w+\(",
    "rs": rb"\b(?:debug_)?assert\w*!",
    "java": rb"\bassert\w*\(|\bverify\(|\bexpect\w*\(",
    "rb": rb"\bexpect\b|\bassert\w*|\bmust_|\bshould\b",
    "php": rb"->assert\w+\(|::assert\w+\(|->expect\w+\(",
}
_FAMILIES = {
    "py": "py",
    **dict.fromkeys(("js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "cts", "vue", "svelte"), "js"),
    "go": "go",
    "rs": "rs",
    **dict.fromkeys(("java", "kt", "kts", "scala", "groovy"), "java"),
    "rb": "rb",
    "php": "php",
}
_SETTINGS = re.compile(
    r"(^|/)(package\.json|pyproject\.toml|setup\.cfg|tox\.ini|pytest\.ini|\.coveragerc|\.?codecov\.ya?ml|\.nycrc(\.json)?|"
    r"(jest|vitest|vite|karma|stryker)\.config\.\w+|Makefile|noxfile\.py|build\.gradle(\.kts)?|pom\.xml|\.github/workflows/[^/]+)$"
)
_THRESHOLD = re.compile(
    rb"(fail[_-]under|cov-fail-under|branches|functions|lines|statements|minimum|threshold\w*|target|break|high|low)"
    rb"[\"']?[ \t]*[:= ][ \t]*[\"']?(\d+(?:\.\d+)?)(?![\w.])"
)
_FIX = f"undo it, or name the file or the test in {NOTES_FILE} with the reason"
_MOST_NAMES = 3


def check_tests_kept(
    content: BranchContent, notes: str | None, untested: Untested = Untested.WARN
) -> list[GateFinding]:
    """Return the tests that a branch deletes, skips or weakens and the thresholds that it lowers without a reason.

    ``untested`` decides about code that changes while no test does.
    """
    findings: list[GateFinding] = []
    texts = {
        path: (content.blobs.read(change.old), content.blobs.read(change.new))
        for path, change in content.changes.items()
        if change.old != change.new and (_family(path) or _SETTINGS.search(path))
    }
    added = Counter[bytes]()  # tests that any file of the branch has more of: they may have moved there
    for path, (old, new) in texts.items():
        if family := _family(path):
            added += Counter(_found(_NAMES[family], new)) - Counter(_found(_NAMES[family], old))
    for path, (old, new) in texts.items():
        family = _family(path)
        if family:
            findings += _test_findings(path, family, old, new, added)
        if _SETTINGS.search(path) and old and new:
            findings += _threshold_findings(path, old, new)
    findings = [finding for finding in findings if not _is_explained(finding, notes or "")]
    if untested is not Untested.IGNORE and not explains_missing_tests(notes or ""):
        findings += _untested(content, is_advisory=untested is Untested.WARN)
    return findings


def _untested(content: BranchContent, *, is_advisory: bool) -> list[GateFinding]:
    changed = {path: change for path, change in content.changes.items() if change.old != change.new}
    if any(map(is_test_file, changed)):
        return []
    sources = {path: change for path, change in changed.items() if is_source_file(path)}
    texts = {path: (content.blobs.read(change.old), content.blobs.read(change.new)) for path, change in sources.items()}
    return untested_source(texts, is_advisory=is_advisory)


def _family(path: str) -> str | None:
    family = _FAMILIES.get(path.rpartition(".")[2])
    # Rust keeps unit tests next to the code.
    return family if family == "rs" or _TEST_PLACE.search(path) else None


def _found(pattern: bytes, text: bytes) -> list[bytes]:
    return [match[match.lastindex or 0] for match in re.finditer(pattern, text, re.MULTILINE)]


def _test_findings(path: str, family: str, old: bytes, new: bytes, added: Counter[bytes]) -> Iterator[GateFinding]:
    before, after = Counter(_found(_NAMES[family], old)), Counter(_found(_NAMES[family], new))
    missing = before - after
    moved = missing & added
    # As many new tests in the same file as were removed: they have another name now.
    renamed = max(0, (after - before).total())
    if (lost := missing - moved).total() > renamed:
        names = [name.decode("utf-8", "replace") for name in lost]
        what = "is deleted with its tests" if not new else "loses tests"
        yield GateFinding(path, f"{what}: {format_list(names, most=_MOST_NAMES)}", _FIX)
    skips_before = Counter(line.strip() for _, line in _lines(_SKIPS[family], old))
    for number, line in _lines(_SKIPS[family], new) if old else ():
        text = line.strip()
        if skips_before[text] > 0:
            skips_before[text] -= 1
        else:
            yield GateFinding(path, f"skips tests: {text.decode('utf-8', 'replace')[:80]}", _FIX, number)
    had, has = len(_found(_CHECKS[family], old)), len(_found(_CHECKS[family], new))
    if had and not has and after:
        yield GateFinding(path, f"has no assertion any more, of {had} before", _FIX)


def _lines(pattern: bytes, text: bytes) -> Iterator[tuple[int, bytes]]:
    for match in re.finditer(pattern, text, re.MULTILINE):
        start = text.rfind(b"\n", 0, match.start()) + 1
        end = text.find(b"\n", match.start())
        yield text.count(b"\n", 0, match.start()) + 1, text[start : end if end >= 0 else len(text)]


def _threshold_findings(path: str, old: bytes, new: bytes) -> Iterator[GateFinding]:
    before, after = (_thresholds(text) for text in (old, new))
    for name, values in before.items():
        kept = after.get(name, [])
        if len(kept) < len(values) and not kept:
            yield GateFinding(path, f"removes the threshold {name} of {values[0]:g}", _FIX)
        for value, now in zip(values, kept, strict=False):
            if now < value:
                at = re.search(rf"{re.escape(name)}\W+{now:g}".encode(), new)
                line = new.count(b"\n", 0, at.start()) + 1 if at else None
                yield GateFinding(path, f"lowers the threshold {name} from {value:g} to {now:g}", _FIX, line)


def _thresholds(text: bytes) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for match in _THRESHOLD.finditer(text):
        values.setdefault(match[1].decode(), []).append(float(match[2]))
    return values


def _is_explained(finding: GateFinding, notes: str) -> bool:
    names = re.findall(r"[\w-]+", finding.reason.partition(": ")[2])
    return justifies(notes, finding.path) or any(justifies(notes, name) for name in names if "_" in name)
