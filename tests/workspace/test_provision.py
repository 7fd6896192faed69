"""What the commands of a set-up see, and what is reported about them."""

from __future__ import annotations

import os

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.engine.local import LocalEngine
from orchestra.workspace.provision import SETUP_LOG, Failure, run_commands
from tests.conftest import MakeRepository
from tests.fleets import make_world


def test_set_up_uses_no_environment_of_another_checkout(
    make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(make_repository(), "schema", "api")
    active, other = world.fleet.repository.home / ".venv", world.at("api").path / ".venv"
    monkeypatch.setenv("VIRTUAL_ENV", str(active))
    monkeypatch.setenv("PATH", f"{active}/bin:{other}/bin:{world.at('schema').path}/bin:{os.environ['PATH']}")
    name = AgentName("schema")
    failures: list[Failure | None] = []
    with LocalEngine(1) as engine:
        run_commands(
            world.fleet,
            {name: ['echo "[$VIRTUAL_ENV] $PATH"; exit 3']},
            engine=engine,
            log_name=SETUP_LOG,
            began=lambda agent, command: None,
            ended=lambda agent, failure: failures.append(failure),
        )
    removed = f"removed {active}/bin from PATH, {other}/bin from PATH, {active} from VIRTUAL_ENV"
    log = (world.fleet.agent_folder(name) / SETUP_LOG).read_text().splitlines()
    assert log[0].startswith(f"# {removed}")
    assert log[-1].startswith(f"[] {world.at('schema').path}/bin:")
    assert failures[0] is not None
    assert removed in failures[0].reason
