"""``orchestra restore``: exit codes, output and its JSON document."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Orchestra, valid_json
from tests.workspace.worlds import make_home


def test_a_discarded_agent_is_restored_and_then_in_place(tmp_path: Path, orchestra: Orchestra) -> None:
    home = make_home(tmp_path / "home")
    place = (f"--repo={home.checkout.path}", f"--blueprint={home.blueprint}")
    assert orchestra("spawn", *place)[0] == 0
    api = home.agent(2)
    api.commit("work", {"work.txt": "w\n"})
    assert orchestra("discard", "api", "not wanted", *place)[0] == 0
    assert orchestra("clean", *place)[0] == 0
    assert not api.path.exists()
    code, out, _ = orchestra("restore", "api", "--dry-run", "--json", *place)
    planned = valid_json(out, "restore.schema.json")
    assert (code, planned["ready"]) == (0, None)
    assert not api.path.exists()
    code, out, errors = orchestra("restore", "api", "--json", *place)
    done = valid_json(out, "restore.schema.json")
    assert (code, done["ready"]) == (0, True), errors
    assert sorted(done["steps"]) == sorted(planned["steps"])
    assert (api.path / "work.txt").read_text() == "w\n"
    code, out, _ = orchestra("restore", "api", *place)
    assert (code, out) == (0, f"Nothing to restore: api is in {done['worktree']}.\n")
    code, _, errors = orchestra("restore", "nobody", *place)
    assert code == 2
    assert "no agent 'nobody'" in errors
