"""``orchestra request-changes``: send an agent's work back with a message."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.console import print_result
from orchestra.cli.program import task
from orchestra.cli.session_actions import print_start_report, start_report_to_json
from orchestra.cli.trust_command import require_trust
from orchestra.cli.verdict_recording import print_decisions, verdict_lock
from orchestra.errors import ExitCode


@task(
    "AGENT [MESSAGE]",
    help={
        "message": "What to change, for the agent.",
        "from-train": "Add why the last merge evicted it: the conflicting pieces, the gate's log, the other agents.",
        "from-pr": "Add what reviewers wrote on the pull request since the last request, on its files or on the whole.",
    },
    examples=(
        "request-changes api 'return 404, not 500'",
        "request-changes api --from-train",
        "request-changes api --from-pr",
    ),
)
def request_changes(
    call: Call, agent: str, message: str = "", from_train: bool = False, from_pr: bool = False
) -> ExitCode:
    """Send an agent's work back with a message.

    The message is recorded and, unless its branch was adopted, appended to its TASK.md. A session that orchestra
    started is resumed with the message.
    """
    from orchestra.review import verdicts
    from orchestra.sessions.session_facts import read_session_facts

    fleet = call.load_fleet()
    declared = call.agent(fleet, agent)
    if from_train:
        from orchestra.review.eviction import last_eviction
        from orchestra.sessions import eviction_message

        explanation = eviction_message.from_train(last_eviction(fleet, declared))
        message = "\n\n".join(part for part in (message.strip(), explanation) if part)
    if from_pr:
        from orchestra.review.pull_request_comments import read_comments

        message = "\n\n".join(part for part in (message.strip(), read_comments(fleet, declared)) if part)
    session = read_session_facts(fleet).get(declared.name)
    if session is not None and session.runs:
        require_trust(fleet)
    with verdict_lock(fleet, "request-changes"):
        decision = verdicts.request_changes(fleet, declared, message)
    if session is None or not session.runs:
        print_decisions(call, fleet, [decision], session=None)
        if not call.json:
            done = "Tell the author of the branch." if declared.adopted else "TASK.md updated."
            print_result(f"{done} This agent has no session, so none was resumed.")
        return ExitCode.DONE
    from orchestra.sessions.start import send_message
    from orchestra.workspace.provision import agent_environment

    report = send_message(fleet, declared, message, environment=agent_environment)
    print_decisions(call, fleet, [decision], session=start_report_to_json(report))
    if not call.json:
        print_start_report(report)
    call.print_next(f"logs -f {declared.name}" if report.queued or report.running else None)
    return ExitCode.DONE
