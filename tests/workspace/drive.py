"""Run one use case of the workspace on a repository: ``python -m tests.workspace.drive spawn REPO BLUEPRINT``.

What the kill tests kill: the use case alone, without the command line around it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestra.blueprint.load import load_blueprint
from orchestra.engine.local import LocalEngine
from orchestra.errors import OrchestraError
from orchestra.fleet import make_fleet
from orchestra.git.repository import Repository
from orchestra.workspace.clean import CleanReport, clean
from orchestra.workspace.restore import RestoreReport, restore
from orchestra.workspace.spawn import SpawnReport, spawn


def main(verb: str, repo: str, blueprint: str) -> int:
    fleet = make_fleet(Repository.discover(Path(repo)), load_blueprint(Path(blueprint)))
    try:
        with LocalEngine(2) as engine:
            report: RestoreReport | SpawnReport | CleanReport
            if verb == "restore":
                report = restore(fleet, fleet.blueprint.agents[0], engine=engine)
            else:
                is_spawn = verb in ("spawn", "fresh")
                report = spawn(fleet, engine=engine, fresh=verb == "fresh") if is_spawn else clean(fleet, engine=engine)
    except OrchestraError as error:
        sys.stderr.write(f"{type(error).__name__}: {error.message}\n")
        return int(error.exit_code)
    for step in report.steps:
        sys.stdout.write(f"{step}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
