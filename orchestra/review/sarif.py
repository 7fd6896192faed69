"""The findings of a review as SARIF 2.1.0, for code hosts and editors. Pure.

Only what is needed: one run, a rule for each gate that found something, and a result for each finding. Secrets are
redacted in the findings already.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from orchestra.gates.gate_finding import GateFinding
from orchestra.ledger import Json
from orchestra.review.agent_review import AgentReview
from orchestra.text import terminal_safe

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"failed": "error", "warned": "warning"}
_JUDGING = "judging-changes"
_MEANINGS = {_JUDGING: "Changes to what judges the branch: read them before you believe its gates."}


def to_sarif(examination: AgentReview, version: str) -> dict[str, Json]:
    """Return the document; ``version`` is orchestra's."""
    results = list(_results(examination))
    rules: list[Json] = [
        {"id": rule, "shortDescription": {"text": _MEANINGS.get(rule, f"The gate {rule}.")}}
        for rule in dict.fromkeys(str(result["ruleId"]) for result in results)
    ]
    driver: dict[str, Json] = {"name": "orchestra", "version": version, "rules": rules}
    run: dict[str, Json] = {
        "tool": {"driver": driver},
        "results": list[Json](results),
        "columnKind": "unicodeCodePoints",
    }
    run["properties"] = {"agent": examination.standing.agent.name, "commit": examination.standing.head}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _results(examination: AgentReview) -> Iterator[dict[str, Json]]:
    for change in examination.preview.judging:
        level = "note" if change.allowed else "warning"
        yield _result(_JUDGING, level, GateFinding(change.path, f"changes what judges the branch: {change}"))
    for gate in examination.preview.results:
        for finding in gate.findings if gate.outcome in _LEVELS else ():
            yield _result(gate.gate, "warning" if finding.is_advisory else _LEVELS[gate.outcome], finding)


def _result(rule: str, level: str, finding: GateFinding) -> dict[str, Json]:
    text = f"{finding}. To fix it: {finding.fix}." if finding.fix else f"{finding}."
    result: dict[str, Json] = {"ruleId": rule, "level": level, "message": {"text": terminal_safe(text)}}
    if finding.path:
        uri = quote(finding.path.encode("utf-8", "surrogateescape"))
        place: dict[str, Json] = {"artifactLocation": {"uri": uri}}
        if finding.line and finding.commit is None:  # another version of the file has the line
            place["region"] = {"startLine": finding.line}
        result["locations"] = [{"physicalLocation": place}]
    return result
