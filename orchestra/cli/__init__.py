"""The commands that ``orchestra``, ``./inv`` and ``inv`` offer, one module each. ``from orchestra.cli import ns``.

Importing this reads no repository and imports nothing heavy, so that ``orchestra help`` is fast.
"""

from __future__ import annotations

from orchestra.cli import (
    adopt_command,
    approve_command,
    attach_command,
    blueprints_command,
    check_command,
    clean_command,
    completion_command,
    demo_command,
    discard_command,
    doctor_command,
    gates_command,
    help_command,
    init_command,
    json_schema_command,
    logs_command,
    merge_command,
    next_command,
    path_command,
    plan_command,
    rebase_and_test_command,
    rehearse_command,
    report_command,
    request_changes_command,
    restore_command,
    review_command,
    scripts_command,
    spawn_command,
    start_command,
    status_command,
    stop_command,
    trust_command,
    up_command,
    validate_command,
)
from orchestra.cli.program import adopt_running_program, collect

ns = collect(
    {
        "Plan": (init_command, blueprints_command, validate_command, plan_command, check_command, json_schema_command),
        "Work": (
            up_command,
            spawn_command,
            adopt_command,
            start_command,
            status_command,
            logs_command,
            attach_command,
            path_command,
            next_command,
            stop_command,
        ),
        "Review": (review_command, approve_command, request_changes_command, discard_command),
        "Land": (rebase_and_test_command, rehearse_command, merge_command),
        "Clean up": (clean_command, restore_command),
        "More": (
            report_command,
            gates_command,
            doctor_command,
            trust_command,
            scripts_command,
            completion_command,
            demo_command,
            help_command,
        ),
    }
)

adopt_running_program()

__all__ = ["ns"]
