"""The other repository: what it has, and giving it a new value of the target.

Invariant: a push names the value that it expects to find (an explicit lease) and is a fast-forward from it, so that
nobody's commit is ever overwritten; what a push did is read from the remote afterwards, since an answer can be lost on
the way. Refuses: force, tags, any other branch, and a bare ``--force-with-lease``, which a background fetch makes
worthless (facts/merge.md 3.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestra.errors import GitError, GroundError
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId, RefName, branch_ref, resolve

_TIMEOUT_S = 600.0


class Pushed(StrEnum):
    DONE = "done"  # the remote's branch is at the new commit
    MOVED = "moved"  # somebody else pushed: fetch and build again
    DECLINED = "declined"  # the remote refuses: a protected branch, a hook, no right to write


@dataclass(frozen=True, slots=True)
class PushResult:
    """``found`` is where the remote's branch is now, None where it has none; ``said`` is the remote's own word."""

    outcome: Pushed
    found: CommitId | None
    said: str = ""


def tracking_ref(remote: str, branch: str) -> RefName:
    """Where this repository remembers the remote's branch."""
    return RefName(f"refs/remotes/{remote}/{branch}")


def fetch(git: Git, remote: str, branch: str) -> CommitId | None:
    """Where the remote's branch is now, its commits brought here; None where it has no such branch.

    Raises GroundError when the remote cannot be reached.
    """
    if look(git, remote, branch) is None:
        return None
    spec = f"+{branch_ref(branch)}:{tracking_ref(remote, branch)}"
    options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
    try:
        git.run("fetch", *options, "--end-of-options", remote, spec, timeout_s=_TIMEOUT_S)
    except GitError as error:
        raise _unreachable(remote, error) from error
    return resolve(git, tracking_ref(remote, branch))


def look(git: Git, remote: str, branch: str) -> CommitId | None:
    """Where the remote's branch is now, by asking it. Raises GroundError when it cannot be reached."""
    try:
        output = git.run("ls-remote", "--end-of-options", remote, branch_ref(branch), timeout_s=_TIMEOUT_S)
    except GitError as error:
        raise _unreachable(remote, error) from error
    for line in output.lines:
        commit, _, name = line.partition("\t")
        if name == branch_ref(branch):
            return CommitId(commit)
    return None


def push(git: Git, remote: str, branch: str, old: CommitId | None, new: CommitId) -> PushResult:
    """Move the remote's branch from ``old`` (None: it has none) to ``new``, a descendant; what came of it.

    Raises GroundError when the remote cannot be asked afterwards: then nobody knows, and the next run looks again.
    """
    if old is not None and not git.succeeds("merge-base", "--is-ancestor", old, new):
        raise GroundError(f"{new} does not contain {old}, which {remote} has: a push would lose work")
    ref = branch_ref(branch)
    lease = f"--force-with-lease={ref}:{old or ''}"
    options = ("--porcelain", "--no-follow-tags", "--recurse-submodules=no", lease)
    output = git.run("push", *options, remote, f"{new}:{ref}", ok=range(-64, 256), timeout_s=_TIMEOUT_S)
    remote_tip = look(git, remote, branch)
    if remote_tip == new:
        return PushResult(Pushed.DONE, remote_tip)
    message = _said(output.text, output.stderr)
    return PushResult(Pushed.DECLINED if remote_tip == old else Pushed.MOVED, remote_tip, message)


def _said(stdout: str, stderr: str) -> str:
    """The remote's own word: what its hooks printed, then git's line about the ref."""
    lines = [line.removeprefix("remote:").strip() for line in stderr.splitlines() if line.startswith("remote:")]
    lines += [line.split("\t")[-1] for line in stdout.splitlines() if line.startswith("!")]
    lines = lines or [line for line in stderr.splitlines() if line.strip()][-1:]
    return "; ".join(line for line in lines if line)


def _unreachable(remote: str, error: GitError) -> GroundError:
    last = error.stderr.splitlines()[-1] if error.stderr else str(error)
    return GroundError(f"remote {remote} cannot be read: {last}", hint=f"try: git ls-remote {remote}")
