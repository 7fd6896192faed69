"""The real client in real tmux windows: dialogs refused with the mend, waiting seen, answers, typed messages."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.blueprint.model import RunnerMode
from orchestra.errors import GroundError
from orchestra.sessions import tmux
from orchestra.sessions.attach import next_waiting
from orchestra.sessions.logs import read_log
from orchestra.sessions.start import send_message
from orchestra.sessions.state import State
from orchestra.sessions.stop import stop_fleet

from .office import READ_NOTES, WRITE_NOTES, MakeOffice, Office, Turns, office, tool, work

pytestmark = [
    pytest.mark.client,
    pytest.mark.timeout(180),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here"),
]
__all__ = ["office"]


@pytest.fixture(autouse=True)
def tmux_server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tmux server of this test's own, gone with it."""
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path_factory.mktemp("t")))
    yield
    tmux.tmux("kill-server")


def set_up(site: Office, **more: object) -> None:
    """What a person's answers to the client's first questions leave behind."""
    home = site.fleet.repository.home
    known = {
        "hasCompletedOnboarding": True,
        "projects": {str(home): {"hasTrustDialogAccepted": True}},
        "customApiKeyResponses": {"approved": ["sk-ant-made-up-0123456789abcdefghij"[-20:]], "rejected": []},
        **more,
    }
    (Path(os.environ["HOME"]) / ".claude.json").write_text(json.dumps(known), "utf-8")


def pane_of(site: Office, name: str) -> tuple[str, str]:
    run = site.newest(name)
    assert run.run is not None
    return run.run.window, run.run.mark


def test_dialogs_that_nobody_would_answer_are_refused_with_the_mend(office: MakeOffice) -> None:
    site = office("a", mode=RunnerMode.TMUX)
    expected = ["never been run", "does not trust", "ANTHROPIC_API_KEY"]
    kept: list[dict[str, object]] = [
        {"hasCompletedOnboarding": False},
        {"projects": {}},
        {"customApiKeyResponses": {"approved": []}},
    ]
    with site.model({"a": work()}):
        for words, spoilt in zip(expected, kept, strict=True):
            set_up(site, **spoilt)
            with pytest.raises(GroundError, match=words) as refused:
                site.start()
            assert refused.value.hint is not None
            assert "run claude once" in refused.value.hint
            assert site.state("a").state is State.READY


def test_it_works_in_a_window_and_its_turn_ends(office: MakeOffice) -> None:
    site = office("a", mode=RunnerMode.TMUX)
    set_up(site)
    more: Turns = [
        {"expect": "one more thing", "tools": [tool("Bash", command="git commit -q --allow-empty -m more")]},
        {"text": "Done again."},
    ]
    with site.model({"a": [*work(), *more]}) as server:
        site.start()
        site.until(lambda: site.state("a").state is State.FINISHED)
        assert (site.state("a").source, site.state("a").reason) == ("hook", "its session is still open")
        assert send_message(site.fleet, site.agent("a"), "one more thing").running == ["a"]
        site.until(lambda: site.work("a").commits == 2)
        site.until(lambda: site.state("a").state is State.FINISHED)
        assert server.misses == []
        lines = list(read_log(site.fleet, site.agent("a")))
        assert any("PreToolUse Write src/f.js" in line for line in lines)
        stop_fleet(site.fleet)
        site.wait_for_the_end()
    assert (site.state("a").state, site.state("a").reason) == (State.FINISHED, "its session was closed")


def test_who_waits_for_a_permission_is_seen_and_can_be_answered(office: MakeOffice) -> None:
    site = office("a", "b", mode=RunnerMode.TMUX)
    set_up(site)
    # The shell of a sandboxed session asks for nothing; the network is asked for with a sandbox and without.
    fetch = tool("WebFetch", url="http://127.0.0.1:9/", prompt="p")
    asks: Turns = [
        {"tools": [READ_NOTES, tool("Write", file_path="${CWD}/src/name.txt", content="1\n"), fetch]},
        {"tools": [tool("Bash", command="git add src && git commit -qm name")]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    with site.model({"a": asks, "b": [{"text": "Which of the two?"}]}):
        site.start()
        site.until(lambda: site.state("a").state is State.WAITING)
        assert site.state("a").reason.startswith("permission: WebFetch http://127.0.0.1:9/")
        site.until(lambda: site.state("b").state is State.IDLE)
        assert next_waiting(site.states()) == "a"
        window, mark = pane_of(site, "a")
        assert tmux.find_pane(window, mark) is not None
        tmux.tmux("send-keys", "-t", window, "Enter")
        site.until(lambda: site.state("a").state is State.FINISHED)
        assert site.world.at("a").tree() == ["README.md", "src/name.txt"]
        assert next_waiting(site.states()) == "b"


def test_after_escape_no_hook_fires_and_the_client_is_asked(office: MakeOffice) -> None:
    site = office("a", mode=RunnerMode.TMUX)
    set_up(site)
    turns: Turns = [{"text": "Thinking.", "hold": "long"}]
    with site.model({"a": turns}) as server:
        site.start()
        server.reached("long")
        site.until(lambda: site.state("a").state is State.WORKING)
        window, _ = pane_of(site, "a")
        tmux.tmux("send-keys", "-t", window, "Escape")
        site.until(lambda: site.state("a").state is State.IDLE, 100)
        assert site.state("a").source == "client"
