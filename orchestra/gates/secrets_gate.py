"""The built-in gate ``secrets``: keys and tokens in what a branch adds to the target's history.

Each file version that a commit of the branch adds is searched, also one that a later commit deletes; so are names,
commit messages and the notes. A secret that the previous version of a file holds too is not the branch's. Values are
never shown: a finding has a fingerprint, which the file ``.orchestra/secrets-allowed`` of the target may list.

Out of reach: values that are compressed, encrypted, split or computed, and secrets without a known form that look like
ordinary text.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from orchestra.gates.branch_content import BranchContent
from orchestra.gates.gate_finding import GateFinding
from orchestra.git.blobs import GITLINK, LARGEST_TEXT
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import Change, Side

ALLOWED_FILE = ".orchestra/secrets-allowed"
_END = rb"(?![A-Za-z0-9_-])"


@dataclass(frozen=True, slots=True)
class _Rule:
    """``keyword``: a cheap search for it decides whether ``pattern`` is tried, whose group is the value."""

    name: str
    keyword: bytes
    pattern: re.Pattern[bytes]


def _rule(name: str, keyword: bytes, pattern: bytes) -> _Rule:
    return _Rule(name, keyword, re.compile(pattern))


_RULES = (
    _rule(
        "a private key",
        b"PRIVATE KEY",
        rb"-----BEGIN[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----[^-]{0,120}?(?:[A-Za-z]+-[^:]+:[^\n]{0,80}\s+){0,3}"
        rb"[^A-Za-z0-9+/]{0,40}?(?:\\[rn]){0,2}([A-Za-z0-9+/]{40,})",
    ),
    _rule("an AWS access key", b"AKIA", rb"(AKIA[A-Z2-7]{16})" + _END),
    _rule("an AWS access key", b"ASIA", rb"(ASIA[A-Z2-7]{16})" + _END),
    _rule(
        "an AWS secret key",
        b"ecret",
        rb"ecret[\w.-]{0,30}[\"']?[ \t]{0,4}(?:=>|[=:])[ \t]{0,4}[\"']?(?=[^\s\"']*[A-Z])(?=[^\s\"']*[g-z])"
        rb"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _rule("a GitHub token", b"gh", rb"(gh[pousr]_[A-Za-z0-9]{36,255})" + _END),
    _rule("a GitHub token", b"github_pat_", rb"(github_pat_[A-Za-z0-9_]{60,255})" + _END),
    _rule("a GitLab token", b"glpat-", rb"(glpat-[A-Za-z0-9_.-]{20,300})"),
    _rule("a Slack token", b"xox", rb"(xox[abeoprs]-(?:[0-9]+-)?[A-Za-z0-9-]{20,255})" + _END),
    _rule("a Slack token", b"xapp-", rb"(xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]{20,255})" + _END),
    _rule(
        "a Slack webhook",
        b"hooks.slack.com/",
        rb"hooks\.slack\.com/(?:services|workflows|triggers)/(T?[A-Z0-9]{6,}/[A-Za-z0-9]{6,}/[A-Za-z0-9]{18,})",
    ),
    _rule("a Stripe key", b"_live_", rb"((?:sk|rk)_live_[A-Za-z0-9]{16,255})" + _END),
    _rule("a Stripe webhook secret", b"whsec_", rb"(whsec_[A-Za-z0-9+/]{24,255}=*)" + _END),
    _rule("an npm token", b"npm_", rb"(npm_[A-Za-z0-9]{36})" + _END),
    _rule("an npm token", b"_authToken", rb"_authToken\s?=\s?[\"']?([A-Za-z0-9_+/=-]{20,255})" + _END),
    _rule("a PyPI token", b"pypi-", rb"(pypi-Ag[A-Za-z0-9_-]{60,})"),
    _rule("a Google API key", b"AIza", rb"(AIza[A-Za-z0-9_-]{35})" + _END),
    _rule("a Google OAuth secret", b"GOCSPX-", rb"(GOCSPX-[A-Za-z0-9_-]{28})" + _END),
    _rule("an API key", b"sk-", rb"(sk-(?:ant|proj|svcacct|admin)[A-Za-z0-9]*-[A-Za-z0-9_-]{24,255})" + _END),
    _rule("a SendGrid key", b"SG.", rb"(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})" + _END),
    _rule("a Docker Hub token", b"dckr_pat_", rb"(dckr_pat_[A-Za-z0-9_-]{27,})" + _END),
    _rule("a Hugging Face token", b"hf_", rb"(hf_[A-Za-z0-9]{34,})" + _END),
    _rule("a DigitalOcean token", b"_v1_", rb"(do[opr]_v1_[a-f0-9]{64})" + _END),
    _rule("an Azure storage key", b"AccountKey=", rb"AccountKey=([A-Za-z0-9+/]{86}==)"),
)
_NAMES = (
    *(b"apikey", b"api_key", b"api-key", b"secret", b"token", b"passw", b"pwd", b"privatekey", b"private_key"),
    *(b"private-key", b"access_key", b"accesskey", b"auth_key", b"authkey", b"credential"),
)
_ASSIGNED = re.compile(
    rb"([\w.-]{1,80})[\"']?[ \t]{0,4}(?::=|=>|[=:])[ \t]{0,4}(?:([\"'`])([A-Za-z0-9+/=_.~!@#$%^&*-]{16,200})\2"
    rb"|(?<==)([A-Za-z0-9+/=_.~-]{16,200})[ \t\r]*$)"
)
_BEFORE, _AFTER = 80, 300  # bytes around a name in which the assignment is
_PLACEHOLDER = re.compile(
    rb"(?i)example|sample|dummy|placeholder|change.?me|your|test|fake|mock|xxx|\*\*\*|0{6}|1234|abcd|secret|passw|token|"
    rb"insert|todo|redacted|localhost|^[a-z.-]+$|^[A-Z_]+$|deadbeef|foo|bar"
)
_PUBLIC_NAME = re.compile(
    rb"(?i)public|integrity|checksum|sha\d|hash|digest|fingerprint|name|path|file|url|uri|regex|sitekey"
)
_UUID = re.compile(rb"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_BASE64_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_IS_BASE64 = bytes(ord("a") if byte in _BASE64_LETTERS else ord(" ") for byte in range(256))
_SHORTEST_BASE64, _SHORTEST_WRAPPED = b"a" * 24, 60
_GENERATED = re.compile(
    r"(^|/)(package-lock\.json|[\w.-]*lock(\.ya?ml|b)?|[\w.-]+\.(sum|map|svg|ipynb|min\.\w+|snap))$"
)
_SHORTEST_MIX, _LEAST_BITS, _LEAST_HEX_BITS, _SHORTEST_HEX = 20, 3.7, 3.0, 32


@dataclass(frozen=True, slots=True)
class Secret:
    """``value`` must not be printed, logged or stored; ``name`` says what it looks like."""

    name: str
    value: bytes
    line: int

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(b"orchestra\0" + self.value).hexdigest()[:16]


def find_secrets(data: bytes, path: str = "") -> list[Secret]:
    """Return the secrets in a text, also in UTF-16 and in base64. ``path`` names a file whose form is known."""
    secrets = dict[bytes, Secret]()
    is_wide = b"\0" in data[:4096]
    for text in (data, data.replace(b"\0", b"")) if is_wide else (data,):
        for name, value, at in _matches(text, with_assignments=not _GENERATED.search(path)):
            secrets.setdefault(value, Secret(name, value, text.count(b"\n", 0, at) + 1))
        decoded, places = _decode(text)
        for name, value, at in _matches(decoded, with_assignments=False):
            _, start = places[bisect_right(places, (at, len(text))) - 1]
            secrets.setdefault(value, Secret(f"{name} in base64", value, text.count(b"\n", 0, start) + 1))
    return list(secrets.values())


def _matches(text: bytes, *, with_assignments: bool) -> Iterator[tuple[str, bytes, int]]:
    for rule in _RULES:
        if rule.keyword in text:
            for match in rule.pattern.finditer(text):
                value, at = match[1], match.start(1)
                is_part_of_word = at == match.start() and at > 0 and re.match(rb"[A-Za-z0-9_-]", text[at - 1 : at])
                if not is_part_of_word and b"EXAMPLE" not in value and len(set(value)) > len(value) ** 0.5:
                    yield rule.name, value, match.start()
    for start, part in _assignments(text) if with_assignments else ():
        for match in _ASSIGNED.finditer(part):
            name, value = match[1], match[3] or match[4]
            if any(word in name.lower() for word in _NAMES) and not _PUBLIC_NAME.search(name) and _looks_random(value):
                yield f"the value of {name.decode('ascii', 'replace')}", value, start + match.start()


def _assignments(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the part of a line around each name that may be one of a secret, with its place."""
    lowered, parts = text.lower(), set[tuple[int, int]]()
    for name in _NAMES:
        at = lowered.find(name)
        while at >= 0:
            start = max(text.rfind(b"\n", 0, at) + 1, at - _BEFORE)
            end = text.find(b"\n", at, at + _AFTER)
            parts.add((start, end if end >= 0 else min(len(text), at + _AFTER)))
            at = lowered.find(name, at + len(name))
    for start, end in sorted(parts):
        yield start, text[start:end]


def _looks_random(value: bytes) -> bool:
    """Return True for a mix of letters and digits with much entropy that is no placeholder, id, path or name."""
    if _PLACEHOLDER.search(value) or _UUID.search(value) or value.count(b"/") > 3 or value.count(b".") > 2:  # noqa: PLR2004
        return False
    if not re.search(rb"\d", value) or not re.search(rb"[A-Za-z]", value):
        return False
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
    if re.fullmatch(rb"(?i)[0-9a-f]+", value):
        return len(value) >= _SHORTEST_HEX and bits >= _LEAST_HEX_BITS
    # Names with a number, such as rs256-signing-key-2, have few digits next to letters.
    mixed = len(re.findall(rb"[A-Za-z]\d|\d[A-Za-z]|[a-z][A-Z]", value))
    return len(value) >= _SHORTEST_MIX and bits >= _LEAST_BITS and mixed >= len(value) // 8


def _decode(text: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the content of each run of base64, and for each its place there and in ``text``."""
    kinds = text.translate(_IS_BASE64)
    content, places = bytearray(), []
    at = kinds.find(_SHORTEST_BASE64)
    while at >= 0:
        start, lines = at, []
        while True:  # over the lines of wrapped base64
            end = kinds.find(b" ", at)
            end = end if end >= 0 else len(text)
            lines.append(text[at:end])
            is_wrapped = end - at >= _SHORTEST_WRAPPED and text[end : end + 1] == b"\n"
            if not is_wrapped or kinds[end + 1 : end + 2] != b"a":
                break
            at = end + 1
        places.append((len(content), start))
        run = b"".join(lines)
        run = run[:-1] if len(run) % 4 == 1 else run
        content += base64.b64decode(run + b"=" * (-len(run) % 4)) + b"\n\0\n"
        at = kinds.find(_SHORTEST_BASE64, end)
    return bytes(content), places


def redact(text: str) -> str:
    """Return ``text`` with the value of each secret replaced by its fingerprint."""
    for secret in find_secrets(text.encode("utf-8", "surrogateescape")):
        value = secret.value.decode("utf-8", "surrogateescape")
        text = text.replace(value, f"[secret {secret.fingerprint}]")
    return text


def check_secrets(content: BranchContent, notes: str | None) -> list[GateFinding]:
    """Return the secrets that landing the branch would publish and that the target does not allow."""
    lines = content.target_file(ALLOWED_FILE).decode("utf-8", "replace").splitlines()
    allowed = {line.split()[0] for line in lines if line.strip()}
    known: dict[str, list[Secret]] = {}

    def secrets_of(side: Side | None, path: str) -> list[Secret]:
        if side is None or side.mode == GITLINK:
            return []
        if side.id not in known:
            known[side.id] = find_secrets(content.blobs.read(side), path)
        return known[side.id]

    def added(path: str, change: Change) -> Iterator[Secret]:
        if change.new is None or change.new == change.old:
            return
        if secrets := secrets_of(change.new, path):
            before = {secret.value for secret in secrets_of(change.old, path)}
            yield from (secret for secret in secrets if secret.value not in before)
        if change.new.mode != GITLINK and content.blobs.size(change.new.id) > LARGEST_TEXT:
            yield Secret("more than 8 MB, which is not searched for secrets", change.new.id.encode(), 0)

    in_result = {secret.value for path, change in content.changes.items() for secret in added(path, change)}
    findings: dict[bytes, GateFinding] = {}

    def report(secret: Secret, path: str, commit: CommitId | None, kind: str = "") -> None:
        if secret.fingerprint in allowed or secret.value in findings:
            return
        is_earlier = commit is not None and secret.value not in in_result and not kind
        tense = ", deleted later, but landing publishes it" if is_earlier else ""
        fix = "revoke it, and rewrite the commit so that no version holds it" if commit else "revoke it, and remove it"
        advice = f"{fix}; a false alarm: add {secret.fingerprint} to {ALLOWED_FILE} on the target"
        reason = f"{kind or 'holds '}{secret.name} (fingerprint {secret.fingerprint}){tense}"
        findings[secret.value] = GateFinding(path, reason, advice, secret.line or None, commit)

    for commit, path, change in content.landing_changes:
        for secret in added(path, change):
            report(secret, path, None if commit == content.span.tip and secret.value in in_result else commit)
        for secret in find_secrets(path.encode("utf-8", "surrogateescape")):
            report(secret, "", commit, "has a file whose name holds ")
    for own in content.commits if not content.span.squashed else ():
        for secret in find_secrets(b"\n".join((own.commit.message, own.commit.author, own.commit.committer))):
            report(secret, "", own.id, "has a message or an author with ")
    for secret in find_secrets((notes or "").encode("utf-8", "surrogateescape")):
        report(secret, "AGENT_NOTES.md", None)
    return list(findings.values())
