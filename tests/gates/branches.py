"""Branches for the tests of gates, and made-up secrets that exist in no file of this repository."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from contextlib import contextmanager

from orchestra.blueprint.model import Builtin, BuiltinGate, Policy
from orchestra.gates.branch_content import BranchContent, BranchSpan, read_branches
from orchestra.gates.builtin import BuiltinResult, check_content
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from tests.conftest import Checkout

MIXED = string.ascii_letters + string.digits


def letters(count: int, alphabet: str = MIXED, seed: int = 7) -> str:
    """Return letters that look random and are the same in each run.

    Secrets are put together at run time, so that no scanner finds them in this file.
    """
    choices = random.Random(f"{seed} {count} {alphabet}")  # noqa: S311 - not for secrecy
    return "".join(choices.choice(alphabet) for _ in range(count))


def private_key() -> str:
    kind = "RSA PRIVATE " + "KEY"
    body = "\n".join(letters(64) for _ in range(2))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n"


def github_token(seed: int = 7) -> str:
    return "gh" + "p_" + letters(36, seed=seed)


@contextmanager
def content_of(repo: Checkout, base: str, tip: str = "HEAD", target: str | None = None) -> Iterator[BranchContent]:
    """Read the branch of ``repo`` from ``base`` to ``tip`` as the gates see it."""
    ends = [CommitId(repo.git("rev-parse", name)) for name in (base, tip, target or base)]
    span = BranchSpan(ends[0], ends[1], ("AGENT_NOTES.md", "TASK.md"))
    with read_branches(Git(repo.path), ends[2], [span]) as (content,):
        assert content is not None
        yield content


def run_gate(
    repo: Checkout,
    base: str,
    builtin: Builtin,
    notes: str = "",
    *,
    policy: Policy = Policy.BLOCK,
    target: str | None = None,
) -> BuiltinResult:
    """Return what a built-in gate says of the branch from ``base`` to HEAD."""
    with content_of(repo, base, target=target) as content:
        return check_content(BuiltinGate(builtin.value, builtin, policy), content, notes)
