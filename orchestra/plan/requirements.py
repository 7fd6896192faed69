"""Check what a blueprint needs before anything is spawned: ``plan`` shows it, and ``spawn`` refuses with it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from orchestra.blueprint.catalog import SUFFIXES, named_file, shipped_blueprints
from orchestra.blueprint.model import Blueprint
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId
from orchestra.git.remote import tracking_ref
from orchestra.plan.finding import Code, Finding, Severity, place, sentence
from orchestra.plan.ownership import PathIndex
from orchestra.plan.repository_scan import read_tree
from orchestra.plan.required_commands import first_word
from orchestra.plan.scope_findings import scope_overlaps
from orchestra.plan.setup_commands import setup_findings, shell_findings
from orchestra.text import format_count, format_list


def blueprint_errors(fleet: Fleet, base: CommitId | None, *, creates_worktrees: bool) -> tuple[str, ...]:
    """Return the errors of the blueprint for which ``spawn`` refuses, each with its fix.

    ``base`` is the commit that the agents would start from (None: the target has none); it is read only where
    worktrees are to be created.
    """
    blueprint = fleet.blueprint
    findings = list(scope_overlaps(blueprint))
    runs = blueprint.worktrees.setup.run
    if creates_worktrees and (blueprint.requires or runs):
        tracked = read_tree(fleet.repository.git, base, sizes=False) if base is not None else {}
        missing = [word for run in runs if (word := first_word(run)) and "/" not in word and not shutil.which(word)]
        findings += requirement_findings(blueprint, fleet.target, tracked)
        findings += setup_findings(blueprint, tracked, missing) if base is not None else ()
        findings += shell_findings(blueprint, shell_name())
    return tuple(sentence(finding) for finding in findings if finding.severity is Severity.ERROR)


def remote_notes(fleet: Fleet) -> list[str]:
    """Return what ``remote_findings`` finds, as notes of ``spawn``."""
    return [sentence(finding) for finding in remote_findings(fleet)]


def remote_findings(fleet: Fleet) -> Iterator[Finding]:
    """Compare the target with the remote's, as last fetched: behind it, or diverged from it."""
    if fleet.remote is None:
        return
    tracking = tracking_ref(fleet.remote, fleet.target)
    span = f"{fleet.target_ref}...{tracking}"
    counted = fleet.repository.git.run("rev-list", "--left-right", "--count", span, "--", ok=(0, 128))
    if counted.code:  # one of the two is missing
        return
    local_count, remote_count = map(int, counted.text.split())
    remote = tracking.removeprefix("refs/remotes/")
    where = place(fleet.blueprint, "target")
    if remote_count and not local_count:
        message = f"{fleet.target} is {format_count(remote_count, 'commit')} behind {remote}, as last fetched"
        advice = f"new agents start from {remote}; to update {fleet.target}: git merge --ff-only {remote}"
        yield Finding(Severity.WARNING, Code.TARGET_BEHIND, message, advice, where)
    elif remote_count:
        message = (
            f"{fleet.target} and {remote} have diverged: {format_count(local_count, 'commit')} only in {fleet.target}, "
            f"{remote_count:,} only in {remote}"
        )
        advice = f"new agents start from {fleet.target}, and a push would be refused: rebase or merge before you spawn"
        yield Finding(Severity.WARNING, Code.TARGET_DIVERGED, message, advice, where)


def shell_name() -> str:
    """Return the name of the program that sh is here: dash, bash, busybox..."""
    return Path(shutil.which("sh") or "/bin/sh").resolve().name


def requirement_findings(blueprint: Blueprint, target: str, tracked: Collection[str]) -> Iterator[Finding]:
    """Find the patterns of ``requires`` that no tracked path matches."""
    index = PathIndex(tracked)
    missing = [pattern for pattern in blueprint.requires if not index.matching(pattern)]
    if missing:
        names = format_list(missing)
        message = f"{target} has no {names}, which {blueprint.name} requires"
        where = place(blueprint, "requires", blueprint.requires.index(missing[0]))
        yield Finding(
            Severity.ERROR,
            Code.REQUIRED_MISSING,
            message,
            _way_to_get(blueprint, target, names),
            where,
            (),
            (*missing,),
        )


def _way_to_get(blueprint: Blueprint, target: str, names: str) -> str:
    """Return the command that adds what is missing: the starter of a shipped fleet, else a commit by hand."""
    name = blueprint.source.name.removesuffix(blueprint.source.suffix)
    if blueprint.starter and blueprint.source.suffix in SUFFIXES and named_file(name, [shipped_blueprints()]):
        return (
            f"run `orchestra init --from={shlex.quote(name)}`, which adds the starter {blueprint.starter} to {target}"
        )
    return f"commit {names} to {target}, or remove it from `requires`"
