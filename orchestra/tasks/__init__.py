"""The tasks: what ``orchestra``, ``./inv`` and plain ``inv`` offer. ``from orchestra.tasks import ns``.

Invariant: importing this reads no repository and imports nothing heavy, so that ``inv --list`` is fast.
Registering a module of tasks is one word in ``collect``.
"""

from __future__ import annotations

from orchestra.tasks import beginning, blueprints, demo, landing, plan, scripts, sessions, standing, verdicts, work
from orchestra.tasks.program import adopt_running_program, collect

ns = collect(beginning, blueprints, plan, work, sessions, standing, verdicts, landing, scripts, demo)

adopt_running_program()

__all__ = ["ns"]
