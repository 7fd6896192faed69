"""A pull request (GitHub) or merge request (GitLab), and what orchestra needs of the server that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from orchestra.forge.comments import Comment
from orchestra.forge.remote_address import ForgeAddress


class PullRequestState(StrEnum):
    OPEN = "open"  # it can be merged, or waits for checks and reviews
    MERGED = "merged"  # the forge merged it, by whichever method
    CLOSED = "closed"  # it was closed without a merge


class Checks(StrEnum):
    NONE = "none"  # the forge runs none, or did not report any yet
    PENDING = "pending"  # at least one has not ended, and none failed
    PASSING = "passing"  # all passed, or were skipped
    FAILING = "failing"  # at least one failed


@dataclass(frozen=True, slots=True)
class PullRequest:
    """``head``: the commit that the forge has for it. ``title`` and ``body`` may have been edited by a person."""

    number: int
    url: str
    state: PullRequestState
    head: str
    title: str
    body: str
    checks: Checks = Checks.NONE


class Forge(Protocol):
    """One project on a server. Every method raises GroundError when the server cannot be asked, or refuses."""

    @property
    def address(self) -> ForgeAddress:
        """The project."""

    @property
    def noun(self) -> str:
        """What the server calls a pull request."""

    def require_login(self) -> None:
        """Raise GroundError, with the command that logs in, where the program has no login for the server."""

    def find(self, branch: str, target: str) -> PullRequest | None:
        """Return the open pull request from ``branch`` of this very project into ``target``, else the newest one."""

    def open(self, branch: str, target: str, title: str, body: str) -> PullRequest:
        """Open a pull request from ``branch`` into ``target``."""

    def update(self, number: int, title: str, body: str) -> None:
        """Replace title and body of a pull request."""

    def comments(self, number: int) -> list[Comment]:
        """Return what people wrote on a pull request and on its lines, at most 100 of each kind."""


def summarize_checks(*, failed: int, pending: int, passed: int) -> Checks:
    """Return the state of all checks together. Pure."""
    if failed:
        return Checks.FAILING
    return Checks.PENDING if pending else Checks.PASSING if passed else Checks.NONE


def newest(requests: list[PullRequest]) -> PullRequest | None:
    """Return the open pull request, else the one with the highest number."""
    ranked = sorted(requests, key=lambda request: (request.state is PullRequestState.OPEN, request.number))
    return ranked[-1] if ranked else None
