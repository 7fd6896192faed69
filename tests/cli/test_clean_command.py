"""``orchestra clean`` and the tmux windows of the agents that it removes."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from orchestra.sessions import tmux
from tests.workspace.worlds import make_home

from .conftest import Orchestra

BLUEPRINT = """\
version: 1
name: demo
worktrees: {root: ../worktrees}
runner: {kind: command, mode: tmux, command: ["/bin/sh", "-c", "test $ORCHESTRA_AGENT != docs || exec sleep 600"]}
agents:
  - {name: schema, task: "Design the schema."}
  - {name: api, task: "Build the API."}
  - {name: docs, task: "Write the pages."}
"""


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_clean_closes_the_windows_of_ended_sessions_with_their_worktrees(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    orchestra: Orchestra,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path_factory.mktemp("t")))
    home = make_home(tmp_path / "home")
    home.blueprint.write_text(BLUEPRINT)
    place = (f"--repo={home.checkout.path}", f"--blueprint={home.blueprint}")
    session = tmux.session_name(home.fleet().folder)

    def windows() -> dict[str, bool]:
        """Return agent -> whether its program has ended, of each open window."""
        return {name: pane.dead for name in ("schema", "api", "docs") for pane in tmux.panes(session, name)}

    assert orchestra("spawn", *place)[0] == 0
    try:
        assert orchestra("start", *place)[0] == 0
        last = time.monotonic() + 60
        while windows() != {"schema": True, "api": True, "docs": False} and time.monotonic() < last:
            time.sleep(0.1)
        assert windows() == {"schema": True, "api": True, "docs": False}
        for agent in ("api", "docs"):
            assert orchestra("discard", agent, "not wanted", *place)[0] == 0
        line = "close the tmux window of api, whose session has ended"
        code, planned, _ = orchestra("clean", "--dry-run", *place)
        assert (code, planned.splitlines().count(line)) == (0, 1)
        assert windows() == {"schema": True, "api": True, "docs": False}
        code, out, _ = orchestra("clean", *place)
        assert (code, out.splitlines().count(line)) == (0, 1)
        assert windows() == {"schema": True, "docs": False}  # docs is still at work, so it keeps its worktree
        assert (home.agent(1).path.exists(), home.agent(2).path.exists(), home.agent(3).path.exists()) == (
            True,
            False,
            True,
        )
    finally:
        orchestra("stop", *place)
        tmux.tmux("kill-server")
