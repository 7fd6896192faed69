"""The remote: fetch the target from it, and push a new tip of the target or of the train's own branch to it.

Invariant: a push names the tip that it expects (an explicit lease; a background fetch defeats the implicit one). It is
a fast-forward from it, so that no commit is overwritten, unless the caller knows that tip as its own and replaces it.
The result of a push is read from the remote afterwards, since an answer can be lost on the way. Tags and other branches
are never pushed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestra.errors import GitError, GroundError
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId, RefName, branch_ref, resolve

_TIMEOUT_S = 600.0
_USUAL_PROTOCOLS = ("http", "https", "ssh", "git")
_INSIDE = ("local", "worktree")  # scopes of the repository's own configuration
_ANSWER_S = 60.0  # for a remote to say where its branch is


class Pushed(StrEnum):
    DONE = "done"  # the remote's branch is at the new commit
    MOVED = "moved"  # another push came first: fetch and build again
    DECLINED = "declined"  # the remote refuses: a protected branch, a hook, no right to write


@dataclass(frozen=True, slots=True)
class PushResult:
    """``tip`` is the remote's branch now, None where it has none; ``message`` is what the remote printed."""

    outcome: Pushed
    tip: CommitId | None
    message: str = ""


def tracking_ref(remote: str, branch: str) -> RefName:
    """Return the ref that holds the remote's branch as last fetched."""
    return RefName(f"refs/remotes/{remote}/{branch}")


def fetch(git: Git, remote: str, branch: str) -> CommitId | None:
    """Fetch the remote's branch and return its tip; None where it has no such branch.

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
    """Return the remote's branch without fetching it. Raises GroundError when the remote cannot be reached."""
    try:
        output = git.run("ls-remote", "--end-of-options", remote, branch_ref(branch), timeout_s=_ANSWER_S)
    except GitError as error:
        raise _unreachable(remote, error) from error
    for line in output.lines:
        commit, _, name = line.partition("\t")
        if name == branch_ref(branch):
            return CommitId(commit)
    return None


def push(
    git: Git, remote: str, branch: str, old: CommitId | None, new: CommitId, *, replace: bool = False
) -> PushResult:
    """Move the remote's branch from ``old`` (None: it has none) to ``new``, a descendant.

    ``replace``: ``new`` need not contain ``old``, which holds no work but the caller's own.
    Raises GroundError when the remote cannot be read afterwards: the result is unknown and the next run reads it.
    """
    if old is not None and not replace and not git.succeeds("merge-base", "--is-ancestor", old, new):
        raise GroundError(f"{new} does not contain {old}, which {remote} has: a push would lose work")
    ref = branch_ref(branch)
    lease = f"--force-with-lease={ref}:{old or ''}"
    options = ("--porcelain", "--no-follow-tags", "--recurse-submodules=no", lease)
    # The person's own pre-push hook runs, as in a push by hand: Git LFS uploads the content of files there.
    pusher = git.with_hooks(hooks_folder(git))
    output = pusher.run("push", *options, remote, f"{new}:{ref}", ok=range(-64, 256), timeout_s=_TIMEOUT_S)
    remote_tip = look(git, remote, branch)
    if remote_tip == new:
        return PushResult(Pushed.DONE, remote_tip)
    message = _remote_message(output.text, output.stderr)
    return PushResult(Pushed.DECLINED if remote_tip == old else Pushed.MOVED, remote_tip, message)


def limit_protocols(git: Git) -> Git:
    """Return git that contacts addresses of the usual protocols only, and of those that the user allows.

    For addresses that a branch names. What the repository's own configuration allows does not count: agents write it.
    """
    if "GIT_ALLOW_PROTOCOL" in os.environ:
        return git
    words = ("config", "--show-scope", "-z", "--get-regexp", r"^protocol\..*\.allow$")
    rows = git.run(*words, ok=(0, 1)).fields
    outside = [setting for scope, setting in zip(rows[::2], rows[1::2], strict=True) if scope not in _INSIDE]
    users = [setting.split(".")[1] for setting in outside if setting.endswith("\nalways")]
    return git.with_env(GIT_ALLOW_PROTOCOL=":".join([*_USUAL_PROTOCOLS, *users]))


def configured_hooks_path(git: Git) -> Path | None:
    """Return ``core.hooksPath`` of the configuration; relative to each worktree where it is not absolute."""
    values = git.run("config", "--type=path", "--show-scope", "-z", "--get-all", "core.hooksPath", ok=(0, 1)).fields
    configured = [path for scope, path in zip(values[::2], values[1::2], strict=True) if scope != "command"]
    return Path(configured[-1]) if configured else None


def hooks_folder(git: Git) -> Path:
    """Return the folder of the person's hooks: ``core.hooksPath`` of the configuration, else the repository's own."""
    configured = configured_hooks_path(git)
    if configured is not None:
        return git.folder / configured
    return Path(git.text("rev-parse", "--path-format=absolute", "--git-common-dir")) / "hooks"


def _remote_message(stdout: str, stderr: str) -> str:
    """Return what the remote's hooks printed, then git's line about the ref."""
    lines = [line.removeprefix("remote:").strip() for line in stderr.splitlines() if line.startswith("remote:")]
    lines += [line.split("\t")[-1] for line in stdout.splitlines() if line.startswith("!")]
    lines = lines or [line for line in stderr.splitlines() if line.strip()][-3:]  # of a hook here, say
    return "; ".join(line for line in lines if line)


def _unreachable(remote: str, error: GitError) -> GroundError:
    last = error.stderr.splitlines()[-1] if error.stderr else str(error)
    return GroundError(f"remote {remote} cannot be read: {last}", hint=f"try: git ls-remote {remote}")
