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
from orchestra.sessions.logs import read_logs
from orchestra.sessions.start import send_message
from orchestra.sessions.state import State
from orchestra.sessions.stop import stop_fleet

from .client_fleet import READ_NOTES, WRITE_NOTES, ClientFleet, MakeClientFleet, Turns, client_fleet, tool, work

pytestmark = [
    pytest.mark.client,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here"),
]
__all__ = ["client_fleet"]


@pytest.fixture(autouse=True)
def tmux_server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tmux server of this test's own, gone with it."""
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path_factory.mktemp("t")))
    yield
    tmux.tmux("kill-server")


def set_up(live: ClientFleet, **more: object) -> None:
    """What a person's answers to the client's first questions leave behind."""
    home = live.fleet.repository.home
    known = {
        "hasCompletedOnboarding": True,
        "projects": {str(home): {"hasTrustDialogAccepted": True}},
        "customApiKeyResponses": {"approved": ["sk-ant-made-up-0123456789abcdefghij"[-20:]], "rejected": []},
        **more,
    }
    (Path(os.environ["HOME"]) / ".claude.json").write_text(json.dumps(known), "utf-8")


def pane_of(live: ClientFleet, name: str) -> tuple[str, str]:
    run = live.newest(name)
    assert run.run is not None
    return run.run.window, run.run.mark


def test_a_client_that_would_start_with_a_dialog_is_refused_with_the_fix(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a", mode=RunnerMode.TMUX)
    expected = ["never been run", "does not trust", "ANTHROPIC_API_KEY"]
    kept: list[dict[str, object]] = [
        {"hasCompletedOnboarding": False},
        {"projects": {}},
        {"customApiKeyResponses": {"approved": []}},
    ]
    with live.model({"a": work()}):
        for words, spoilt in zip(expected, kept, strict=True):
            set_up(live, **spoilt)
            with pytest.raises(GroundError, match=words) as refused:
                live.start()
            assert refused.value.hint is not None
            assert "run claude once" in refused.value.hint
            assert live.state("a").state is State.READY


def test_a_client_in_a_window_works_and_ends_its_turn(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a", mode=RunnerMode.TMUX)
    set_up(live)
    more: Turns = [
        {"expect": "one more thing", "tools": [tool("Bash", command="git commit -q --allow-empty -m more")]},
        {"text": "Done again."},
    ]
    with live.model({"a": [*work(), *more]}) as server:
        live.start()
        live.wait_until(lambda: live.state("a").state is State.FINISHED)
        assert (live.state("a").source, live.state("a").reason) == ("hook", "its session is still open")
        window, _ = pane_of(live, "a")
        live.wait_until(lambda: "demo/a · scope src/** · 0.00 USD" in tmux.read_text(window))
        first_cost = live.facts("a").usage.cost_usd
        assert first_cost
        assert send_message(live.fleet, live.agent("a"), "one more thing").running == ["a"]
        live.wait_until(lambda: live.work("a").commits == 2)
        live.wait_until(lambda: live.state("a").state is State.FINISHED)
        assert server.misses == []
        live.wait_until(lambda: (live.facts("a").usage.cost_usd or 0.0) > first_cost)  # the client reports it last
        lines = [line for _, line in read_logs(live.fleet, [live.agent("a")])]
        assert any("PreToolUse Write src/f.js" in line for line in lines)
        stop_fleet(live.fleet)
        live.wait_until_done()
    assert (live.state("a").state, live.state("a").reason) == (State.FINISHED, "its session was closed")
    used = live.facts("a").usage
    assert used.cost_usd is not None
    assert used.cost_usd > first_cost
    assert used.sessions_without_cost == 0


def test_a_resumed_window_adds_only_what_it_costs_itself(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a", mode=RunnerMode.TMUX)
    set_up(live)
    more: Turns = [{"tools": [tool("Bash", command="git commit -q --allow-empty -m more")]}, {"text": "Done again."}]
    with live.model({"a": [*work(), *more]}) as server:
        live.start()
        live.wait_until(lambda: live.state("a").state is State.FINISHED)
        stop_fleet(live.fleet)
        live.wait_until_done()
        cost, requests = live.facts("a").usage.cost_usd, len(server.requests)
        send_message(live.fleet, live.agent("a"), "one more thing")
        live.wait_until(lambda: live.work("a").commits == 2 and live.state("a").state is State.FINISHED)
        stop_fleet(live.fleet)
        live.wait_until_done()
        assert cost
        assert live.facts("a").usage.cost_usd == pytest.approx(cost / requests * len(server.requests), rel=0.35)


def test_a_wait_for_a_permission_is_shown_and_can_be_answered(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a", "b", mode=RunnerMode.TMUX)
    set_up(live)
    # The shell of a sandboxed session asks for nothing; the network is asked for with a sandbox and without.
    fetch = tool("WebFetch", url="http://127.0.0.1:9/", prompt="p")
    asks: Turns = [
        {"tools": [READ_NOTES, tool("Write", file_path="${CWD}/src/name.txt", content="1\n"), fetch]},
        {"tools": [tool("Bash", command="git add src && git commit -qm name")]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    with live.model({"a": asks, "b": [{"text": "Which of the two?"}]}):
        live.start()
        live.wait_until(lambda: live.state("a").state is State.WAITING)
        assert live.state("a").reason.startswith("permission: WebFetch http://127.0.0.1:9/")
        live.wait_until(lambda: live.state("b").state is State.IDLE)
        assert next_waiting(live.states()) == "a"
        window, mark = pane_of(live, "a")
        assert tmux.find_pane(window, mark) is not None
        tmux.tmux("send-keys", "-t", window, "Enter")
        live.wait_until(lambda: live.state("a").state is State.FINISHED)
        assert live.world.at("a").tree() == ["README.md", "src/name.txt"]
        assert next_waiting(live.states()) == "b"


def test_after_escape_the_state_comes_from_the_client(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a", mode=RunnerMode.TMUX)
    set_up(live)
    turns: Turns = [{"text": "Thinking.", "hold": "long"}]
    with live.model({"a": turns}) as server:
        live.start()
        server.reached("long")
        live.wait_until(lambda: live.state("a").state is State.WORKING)
        window, _ = pane_of(live, "a")
        tmux.tmux("send-keys", "-t", window, "Escape")
        live.wait_until(lambda: live.state("a").state is State.IDLE, 100)
        assert live.state("a").source == "client"
