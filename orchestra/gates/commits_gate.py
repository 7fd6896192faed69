"""The built-in gate ``commits``: what a branch's commits bring along that no diff of the result shows well.

Foreign branches that were merged in, large binary files, folders that tools generate, links that lead out of the
repository, identities that belong to no person, and trailers that only a landing writes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from orchestra.candidates.builder import AGENT_TRAILER, FLEET_TRAILER
from orchestra.gates.branch_content import BranchContent, OwnCommit
from orchestra.gates.gate_finding import GateFinding
from orchestra.git.blobs import GITLINK, SYMLINK
from orchestra.git.objects import ident_seconds
from orchestra.git.tree_diff import Change

_LARGEST_BINARY, _LARGEST_FILE = 1 << 20, 10 << 20
_GENERATED = frozenset(
    """node_modules .venv venv __pycache__ .pytest_cache .mypy_cache .ruff_cache .tox .nox .next .nuxt .turbo
    .parcel-cache .gradle .terraform .eggs dist build out target coverage htmlcov .nyc_output .idea .DS_Store
    Thumbs.db""".split()
)
_FAR_AHEAD_S = 86_400
_IDENT = re.compile(rb"([^<>]*)<([^<>]*)>")
_NO_PERSON = re.compile(rb"@(localhost|.*\.\(none\)|.*\.local(domain)?|orchestra\.invalid)$|^[^@]*$|\s")


def check_commits(content: BranchContent, now: float) -> list[GateFinding]:
    """Return what is odd about the commits of a branch. ``now``: POSIX seconds, against which dates are judged."""
    findings: dict[tuple[str, str], GateFinding] = {}
    for finding in (*_content_findings(content), *_history_findings(content, now)):
        findings.setdefault((finding.path, finding.reason), finding)
    return list(findings.values())


def _content_findings(content: BranchContent) -> Iterator[GateFinding]:
    generated = set[str]()
    for commit, path, change in content.landing_changes:
        if change.new is None:
            continue
        where = None if content.changes.get(path, Change(None, None)).new == change.new else commit
        folders = path.split("/")
        for depth, folder in enumerate(folders, 1):
            place = "/".join(folders[:depth])
            if folder in _GENERATED and place not in generated and not content.exists_at_fork(place):
                generated.add(place)
                reason = "is made by a tool and was not in the repository"
                fix = f"git rm -r --cached {place}, add it to .gitignore, and rewrite the commit that added it"
                yield GateFinding(place, reason, fix, None, where)
        if change.new.mode == SYMLINK:
            target = content.blobs.read(change.new).decode("utf-8", "replace")
            resolved = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if (
                target.startswith("/")
                or resolved == ".."
                or resolved.startswith("../")
                or ".git" in resolved.split("/")
            ):
                reason = f"is a link that leads out of the repository, to {target[:80]}"
                yield GateFinding(path, reason, "link to a file of the repository, or copy it", None, where)
        if change.new.mode in (GITLINK, SYMLINK) or any(folder in generated for folder in _parents(folders)):
            continue
        size = content.blobs.size(change.new.id)
        before = content.blobs.size(change.old.id) if change.old is not None and change.old.mode != GITLINK else 0
        is_binary = size > _LARGEST_BINARY and (size > _LARGEST_FILE or b"\0" in content.blobs.read(change.new)[:8000])
        if is_binary and size > 2 * before:
            reason = f"is a file of {size / (1 << 20):.1f} MB, which stays in the history for good"
            yield GateFinding(path, reason, "keep it elsewhere or in Git LFS, and rewrite the commit", None, where)


def _parents(folders: list[str]) -> list[str]:
    return ["/".join(folders[:depth]) for depth in range(1, len(folders) + 1)]


def _history_findings(content: BranchContent, now: float) -> Iterator[GateFinding]:
    own = {commit.id for commit in content.commits}
    # The branch's own line: first parents from the tip. Every other own commit came with a merge.
    by_id = {commit.id: commit for commit in content.commits}
    line, at = set[str](), by_id.get(content.span.tip)
    while at is not None and at.id not in line:
        line.add(at.id)
        at = by_id.get(at.commit.parents[0]) if at.commit.parents else None
    for commit in content.commits:
        if commit.id in line:
            for parent in commit.commit.parents[1:]:
                if parent in own - line:
                    reason = f"merges {parent[:10]}, which is not on the target: {by_id[parent].commit.subject[:60]}"
                    fix = "rebase the branch without the other branch's commits; declare merge_after if it needs them"
                    yield GateFinding("", reason, fix, None, commit.id)
        yield from _identity_findings(commit, now)
        for trailer in (AGENT_TRAILER, FLEET_TRAILER):
            if re.search(rf"^{trailer}[ \t]*:".encode(), commit.commit.message, re.MULTILINE | re.IGNORECASE):
                reason = f"has the trailer {trailer}, which only a landing writes"
                yield GateFinding(
                    "", reason, f"remove it from the message: git rebase -i {_start(commit)}", None, commit.id
                )


def _start(commit: OwnCommit) -> str:
    """Return what to give ``git rebase``, so that it rewrites the commit: the branch may have no upstream."""
    return commit.commit.parents[0][:10] if commit.commit.parents else "--root"


def _identity_findings(commit: OwnCommit, now: float) -> Iterator[GateFinding]:
    for role, ident in (("author", commit.commit.author), ("committer", commit.commit.committer)):
        match = _IDENT.match(ident)
        name, address = (match[1].strip(), match[2].strip()) if match else (b"", b"")
        if not name or _NO_PERSON.search(address):
            shown = f"{name.decode('utf-8', 'replace')} <{address.decode('utf-8', 'replace')}>"
            fix = (
                "set user.name and user.email, then "
                f"git rebase --exec 'git commit --amend --no-edit --reset-author' {_start(commit)}"
            )
            yield GateFinding("", f"has the {role} {shown[:80]}, which names no person", fix, None, commit.id)
        if ident_seconds(ident) > now + _FAR_AHEAD_S:
            fix = f"set the clock, then git rebase --ignore-date {_start(commit)}"
            yield GateFinding("", f"has {role} dates in the future", fix, None, commit.id)
