"""What must hold before a session may end: committed work, filled-in notes, and no gate that refuses it.

The stop hook of the Claude client asks for it (hook.py), and for other programs the loop that resumes them
(runners/resume_loop.py). The quick gates run the agent's own files, so they run in a sandbox where the session has one,
without the user's tokens. Needs the standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestra.engine.process import capture
from orchestra.files import read_regular
from orchestra.gates.environment import describe_removed, gate_environment
from orchestra.gates.notes_gate import notes_filled
from orchestra.git.git_process import Git
from orchestra.sessions.guard import judge_name
from orchestra.sessions.sandbox import confined
from orchestra.sessions.store import read_json

Json = dict[str, Any]
MOST_REMINDERS = 3
_TAIL = 2_000
_MOST_NAMES = 10
_NO_VERDICT = (0, None, 125, 127)  # passed, took too long, the tool itself failed, program not found


def unmet_checks(policy: Json, folder: Path) -> list[str]:
    """Return what is missing before a session may end. ``folder``: the agent's."""
    checks = (unfinished_work, builtin_findings, failing_gates)
    return [item for check in checks for item in check(policy, folder)]


def unfinished_work(policy: Json, folder: Path) -> Iterator[str]:
    """Yield what is missing of: everything committed, at least one commit, filled-in notes."""
    git = Git(Path(policy["worktree"])).with_env(GIT_OPTIONAL_LOCKS="0")
    requested = f"refs/orchestra/{policy['fleet']}/{policy['agent']}/changes-requested^{{commit}}"
    uncommitted = [field[3:] for field in git.run("status", "--porcelain=v1", "-z", "--no-renames").fields]
    if uncommitted:
        names = ", ".join(uncommitted[:_MOST_NAMES]) + " ..." * (len(uncommitted) > _MOST_NAMES)
        yield f"commit your work on {policy['branch']}; not committed: {names}"
    elif git.run("rev-parse", "--verify", "--quiet", requested, ok=(0, 1)).text == git.text("rev-parse", "HEAD"):
        yield "changes were requested and nothing is committed since: read the end of TASK.md"
    elif policy["base"] and git.text("rev-list", "--count", f"{policy['base']}..HEAD", "--") == "0":
        yield f"there is no commit on {policy['branch']} yet; if there is nothing to do, say so in AGENT_NOTES.md"
    notes, form = (read_regular(place / "AGENT_NOTES.md") for place in (git.folder, folder / "rendered"))
    no_form = notes is None and form is None and not policy.get("guarded", True)  # orchestra rendered none
    if not no_form and not notes_filled(*((text or b"").decode("utf-8", "replace") for text in (notes, form))):
        yield "fill in AGENT_NOTES.md: what you built, key decisions, files changed, dependencies, open questions"


def builtin_findings(policy: Json, folder: Path) -> Iterator[str]:
    """Yield what the built-in gates of the train will find in the commits of the branch."""
    needs_scope = policy.get("strict") and not policy.get("guarded", True)
    if not (policy.get("builtin") or needs_scope) or not policy["base"]:
        return
    from orchestra.blueprint.model import Builtin, BuiltinGate, Policy, Untested
    from orchestra.gates.branch_content import BranchSpan, read_branches
    from orchestra.gates.builtin import check_content
    from orchestra.git.refs import CommitId, resolve

    git, base = Git(Path(policy["worktree"])), CommitId(policy["base"])
    data = read_regular(Path(policy["worktree"]) / "AGENT_NOTES.md")
    notes = None if data is None else data.decode("utf-8", "replace")
    span = BranchSpan(base, resolve(git, "HEAD") or base, ("AGENT_NOTES.md", *policy["instructions"]))
    with read_branches(git, base, [span]) as (content,):
        if content is None:  # the train says why it cannot be read
            return
        for gate in policy["builtin"]:
            untested = Untested(gate.get("untested", Untested.WARN))
            rule = BuiltinGate(gate["name"], Builtin(gate["builtin"]), Policy(gate["policy"]), untested)
            result = check_content(rule, content, notes)
            if result.stops:
                yield f"the gate {gate['name']} will refuse the branch: {result.detail}"
        for name in content.changes if needs_scope else ():
            if reason := judge_name(policy, name):
                yield f"take back your change of {name}: {reason}"


def _needed_checks(policy: Json) -> list[Json]:
    """Return the quick gates that the branch needs: those without ``when``, and those whose files it changes."""
    if not policy["base"] or not any(check.get("when") for check in policy["checks"]):
        return list(policy["checks"])
    from orchestra.blueprint.judging_files import files_of_command
    from orchestra.blueprint.model import RunGate, Scope
    from orchestra.blueprint.scope import Matcher

    git = Git(Path(policy["worktree"])).with_env(GIT_OPTIONAL_LOCKS="0")
    words = ("diff-tree", "-r", "--name-only", "-z", "--no-renames", "--ignore-submodules=none")
    changed = git.run(*words, policy["base"], "HEAD").fields
    needed = []
    for check in policy["checks"]:
        declared = Matcher(Scope(tuple(check.get("when") or ("**",))))
        goes_by = files_of_command(RunGate(check["name"], check.get("command", check["run"])))
        if not check.get("when") or any(declared.matches(path) or goes_by(path) for path in changed):
            needed.append(check)
    return needed


def failing_gates(policy: Json, folder: Path) -> Iterator[str]:
    """Run the quick gates on the worktree as it is; yield those that fail."""
    if not policy["checks"]:
        return
    checkouts = [Path(path) for path in policy.get("checkouts", ())]
    passed, removed = gate_environment(checkouts=checkouts), describe_removed(os.environ, checkouts)
    worktree = Path(policy["worktree"])
    with confined(worktree, (read_json(folder / "settings.json") or {}).get("sandbox")) as (prefix, sandbox_env):
        for check in _needed_checks(policy):
            env = {**passed, **sandbox_env, **check["env"]}
            command = (*prefix, "/bin/sh", "-c", check["run"])
            result = capture(command, cwd=worktree, env=env, timeout_s=check["timeout"])
            if result.code in _NO_VERDICT or (prefix and result.stderr.startswith(f"{prefix[0]}: ")):
                continue
            from orchestra.gates.secrets_gate import redact

            output = redact(result.stdout + result.stderr)[-_TAIL:]
            remark = f" ({removed})" if removed else ""
            yield f"`{check['run']}` fails (exit {result.code}); it must pass{remark}:\n{output}"
