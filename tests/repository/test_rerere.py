"""What a person resolved with real git is what comes back, and the repository's own git folder stays as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.repository.git import Git
from orchestra.repository.integrate import Branch, integrator
from orchestra.repository.objects import Objects
from orchestra.repository.proposal import Proposal, Proposer, Unresolved, resolved_by
from orchestra.repository.refs import CommitId
from orchestra.repository.rerere import recall
from tests.conftest import Checkout, Content, MakeRepository

BASE = "".join(f"line {n}\n" for n in range(1, 31))
OURS = BASE.replace("line 5\n", "line 5 of main\n").replace("line 20\n", "line 20 of main\n")
THEIRS = BASE.replace("line 5\n", "line 5 of the agent\n").replace("line 20\n", "line 20 of the agent\n")
BOTH = BASE.replace("line 5\n", "line 5 of both\n").replace("line 20\n", "line 20 of both\n")


def diverged(
    checkout: Checkout, base: Mapping[str, Content], ours: Mapping[str, Content], theirs: Mapping[str, Content]
) -> Branch:
    """``main`` and ``work`` both changed what ``base`` has."""
    start = checkout.commit("base", base)
    checkout.git("switch", "--quiet", "--create", "work")
    tip = checkout.commit("the agent's", theirs)
    checkout.git("switch", "--quiet", "main")
    checkout.commit("main's", ours)
    return Branch(AgentName("one"), FleetName("demo"), CommitId(start), CommitId(tip), "One")


def resolve_by_hand(checkout: Checkout, files: Mapping[str, Content], *command: str) -> None:
    """A person merges, resolves, lets git remember, and takes the merge back."""
    before = checkout.git("rev-parse", "HEAD")
    checkout.git("config", "rerere.enabled", "true")
    checkout.git(*(command or ("merge", "--quiet", "work")), ok=False)
    checkout.write(files)
    checkout.git("add", "--all")
    checkout.git(
        "-c", "core.editor=true", *(("rebase", "--continue") if "rebase" in command else ("commit", "-qm", "m"))
    )
    checkout.git("reset", "--quiet", "--hard", before)


def asked(checkout: Checkout, branch: Branch) -> Proposal | Unresolved:
    git, target = Git(checkout.path), CommitId(checkout.git("rev-parse", "main"))
    with integrator(git, target) as build:

        def styled(style: str) -> object:
            return build

        from contextlib import ExitStack

        with ExitStack() as stack:
            return Proposer(
                build,
                lambda style: stack.enter_context(integrator(git, target, style=style)),
                [("rerere", lambda question: recall(git, question))],
            ).propose(branch, "Merge main")


def content(checkout: Checkout, proposal: Proposal, path: str) -> bytes:
    with Objects(Git(checkout.path)) as objects:
        entry = objects.entry_at(proposal.commit.tree, os.fsencode(path))
        assert entry is not None
        return objects.blob(entry.id)


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a git folder but the objects -> content and time."""
    files = (file for file in folder.rglob("*") if file.is_file() and "objects" not in file.parts)
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
@pytest.mark.parametrize("command", [("merge", "--quiet", "work"), ("rebase", "work")], ids=["merge", "rebase"])
def test_it_is_what_a_person_resolved(make_repository: MakeRepository, style: str, command: tuple[str, ...]) -> None:
    checkout = make_repository()
    branch = diverged(checkout, {"f.txt": BASE}, {"f.txt": OURS}, {"f.txt": THEIRS})
    checkout.git("config", "merge.conflictStyle", style)
    resolve_by_hand(checkout, {"f.txt": BOTH}, *command)
    checkout.git("config", "--unset", "merge.conflictStyle")
    before = everything(checkout.path / ".git")
    found = asked(checkout, branch)
    assert isinstance(found, Proposal), found
    assert content(checkout, found, "f.txt") == BOTH.encode()
    assert resolved_by(found.commit) == {"f.txt": "rerere"}
    assert everything(checkout.path / ".git") == before


def test_nothing_remembered(make_repository: MakeRepository) -> None:
    checkout = make_repository()
    branch = diverged(checkout, {"f.txt": BASE}, {"f.txt": OURS}, {"f.txt": THEIRS})
    found = asked(checkout, branch)
    assert isinstance(found, Unresolved)
    assert "rerere leaves a conflict in f.txt" in found.sentence
