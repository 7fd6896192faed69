"""Gates that misbehave: none is a verdict on a branch that it did not judge, none leaves anything behind."""

from __future__ import annotations

import os
from pathlib import Path

from .conftest import MakeRoad
from .road import Road


def one_gate(make_road: MakeRoad, run: str, **more: object) -> Road:
    return make_road("one", "two", gates={"check": {"run": run, "timeout": "20s", **more}}).ready("one", "two")


RED = ["exit 1", "no-such-program --flag", "exit 127", "./README.md", "exit 200", "'unclosed"]


def test_red_on_the_target_itself_is_nobodys_fault(make_road: MakeRoad) -> None:
    road = one_gate(make_road, "true")
    before = road.checkout.git("rev-parse", "main")
    for run in RED:
        road.fleet(**road.declared | {"gates": {"check": {"run": run}}})
        report = road.merge("one", code=1)
        assert report["evicted"] == [], run
        assert "the target itself is red" in report["waiting"][0]["reason"]
        log = report["headline"].rpartition("(log: ")[2].removesuffix(")")
        assert Path(log).is_file()
    assert road.checkout.git("rev-parse", "main") == before
    road.assert_final_state()


def test_killed_by_a_signal_is_no_verdict(make_road: MakeRoad) -> None:
    road = one_gate(make_road, "true")
    for signal in ("KILL", "SEGV", "TERM", "HUP"):
        gate = {"run": f"test ! -e one.txt || kill -{signal} $$"}
        road.fleet(**road.declared | {"gates": {"check": gate}})
        report = road.merge("one", code=1)
        assert report["evicted"] == [], signal
        reason = report["waiting"][0]["reason"]
        assert "could not be run" in reason or "cannot be run" in reason
    assert road.landed_agents() == []
    road.assert_final_state()


def test_runs_out_of_time_with_children_that_will_not_die(make_road: MakeRoad) -> None:
    stubborn = "trap '' TERM HUP INT; (trap '' TERM; setsid sleep 300) & sleep 300"
    road = one_gate(make_road, f"[ ! -e one.txt ] || {{ {stubborn}; }}", timeout="1s")
    report = road.merge("one", code=1)
    assert [(one["agent"], one["reason"], one["gate"]) for one in report["evicted"]] == [("one", "gate", "check")]
    assert "timed-out" in report["evicted"][0]["detail"]
    road.assert_final_state()


def test_leaves_background_processes(make_road: MakeRoad) -> None:
    road = one_gate(make_road, "sleep 300 & (setsid sleep 300 &) ; nohup sleep 300 > /dev/null 2>&1 & exit 0")
    assert len(road.merge()["landed"]) == 2
    road.assert_final_state()


def test_fills_its_log(make_road: MakeRoad) -> None:
    road = one_gate(make_road, "head -c 100000000 /dev/zero; echo the end")
    assert len(road.merge()["landed"]) == 2
    logs = list((road.common / "orchestra/fleets/f/gates").glob("*.log"))
    assert 0 < max(log.stat().st_size for log in logs) < 80_000_000
    assert logs[0].read_bytes()[-8:] == b"the end\n"
    road.assert_final_state()


VANDALS = {
    "changes tracked files": "echo x > README.md; rm -rf src; echo x > new.txt; git add -A; git commit -qm vandal",
    "moves its head": "git switch -q -c vandal; git commit -q --allow-empty -m x",
    "writes into its admin": 'd=$(git rev-parse --git-dir); echo x > "$d/index"; rm "$d/commondir"',
    "breaks its own link": "rm -rf .git; mkdir .git; echo junk > .git/HEAD",
    "deletes its own folder": 'd=$PWD; cd /; rm -rf "$d"',
    "takes away its own rights": "mkdir -p closed/in; echo x > closed/in/x; chmod 000 closed/in; chmod 500 closed",
    "leaves locks": 'd=$(git rev-parse --git-dir); touch "$d/index.lock" "$d/HEAD.lock"',
    "leaves a repository in it": "git init -q inner; echo x > inner/x; mkfifo pipe; ln -s / root",
    "makes the index lie": "git update-index --assume-unchanged README.md; echo lie > README.md",
}


def test_what_a_gate_does_to_its_slot_is_gone_before_the_next(make_road: MakeRoad, tmp_path: Path) -> None:
    """The check comes first, the vandalism after: a slot that is not as its commit fails the next check."""
    names = [name.replace(" ", "-") for name in VANDALS]
    vandal = tmp_path / "vandal.sh"
    intact = 'test "$(cat README.md)" = "# sample" && test -f src/app.txt && test ! -e new.txt && test ! -e inner'
    gate = {"run": f"{intact} || exit 1; sh {vandal}; exit 0"}
    road = make_road(*names, "last", limits={"gates": 1}, gates={"check": gate}).ready(*names, "last")
    for name, deed in zip(names, VANDALS.values(), strict=True):
        vandal.write_text(deed)
        assert [one["agent"] for one in road.merge(name)["landed"]] == [name]
    vandal.write_text("")
    assert len(road.merge("last")["landed"]) == 1
    road.checkout.git("branch", "-q", "-D", "vandal", ok=False)
    for name in names:
        assert road.at(name).git("status", "--porcelain") == ""
    assert {f"{name}.txt" for name in names} <= set(road.checkout.tree())
    assert "new.txt" not in road.checkout.tree()
    road.json("clean")
    road.assert_final_state()


def test_writes_into_the_repository(make_road: MakeRoad, tmp_path: Path) -> None:
    """Config and hooks that a gate plants run for nobody: not for our git, whatever they would do for the person's."""
    planted = tmp_path / "planted"
    hook = f'printf \'#!/bin/sh\\ntouch {planted}\\n\' > "$c/hooks/$h"; chmod +x "$c/hooks/$h"'
    run = (
        'c=$(git rev-parse --git-common-dir); mkdir -p "$c/hooks"; '
        f"for h in post-checkout reference-transaction pre-push post-index-change; do {hook}; done; "
        f'git config core.fsmonitor "touch {planted}"; git config diff.external "touch {planted}"; '
        f'git config core.pager "touch {planted}"; git config alias.merge-tree "!touch {planted}"; '
        f'git config merge.ours.driver "touch {planted}"; git config core.sshCommand "touch {planted}"'
    )
    road = one_gate(make_road, run)
    assert len(road.merge()["landed"]) == 2
    assert len(road.json("clean")["steps"]) > 0
    road.run("status")
    assert not planted.exists()


def test_moves_the_target_or_an_agents_branch(make_road: MakeRoad) -> None:
    """Law 2 holds even so: nothing is lost, and nothing lands that a gate has put there for another."""
    moves = "git update-ref refs/heads/main HEAD; git update-ref refs/heads/agent/f/two HEAD"
    road = one_gate(make_road, f"test ! -e one.txt || test -e person.txt || {{ {moves}; }}")
    two = road.at("two").git("rev-parse", "HEAD")
    road.merge("one", code=1)
    assert road.status()["two"]["verdict"] == "stale"
    assert road.refs()["two/approved"] == two
    road.assert_final_state(clean=False)


def test_environment_of_a_gate(make_road: MakeRoad) -> None:
    road = make_road(
        "one",
        gates={
            "tokens": {"run": 'test -z "$SECRET_TOKEN$GIT_DIR$SSH_AUTH_SOCK"', "env": {"SEEN": "yes $HOME"}},
            "own": {"run": 'test "$SEEN" = \'yes $HOME\' && test "$CI" = true', "env": {"SEEN": "yes $HOME"}},
            "stdin": {"run": "cat > /dev/null"},
            "shell": {"run": "set -e\nfalse || true\nx='a b'; test \"$x\" = 'a b'\n"},
        },
    ).ready("one")
    road.env |= {"SECRET_TOKEN": "s", "SSH_AUTH_SOCK": "/tmp/s"}
    assert road.merge()["landed"][0]["gates"] == dict.fromkeys(("tokens", "own", "stdin", "shell"), "passed")
    road.assert_final_state()


def test_built_in_gates(make_road: MakeRoad) -> None:
    road = make_road(
        {"name": "good", "scope": ["good/**"]},
        {"name": "strays", "scope": ["strays/**"]},
        {"name": "quiet", "scope": ["quiet/**"]},
        gates={"scope": {"builtin": "scope", "policy": "block"}, "notes": {"builtin": "notes"}},
        protected=["good/package.json"],
    )
    road.spawn()
    for name in ("good", "quiet"):
        road.work(name, {f"{name}/x.txt": "x\n"}, notes=name == "good")
    road.work("strays", {"good/package.json": "{}\n"})
    road.approve("good", "strays", "quiet")
    report = road.merge(code=1)
    assert [one["agent"] for one in report["landed"]] == ["good"]
    evicted = {one["agent"]: (one["reason"], one["gate"]) for one in report["evicted"]}
    assert evicted == {"strays": ("scope", "scope"), "quiet": ("gate", "notes")}
    road.assert_final_state()


def test_a_broken_set_up_is_told(make_road: MakeRoad) -> None:
    road = make_road("one", "two", worktrees={"root": "../wt", "setup": {"run": ["test ! -e broken.txt"]}})
    road.ready("one", one={"broken.txt": "x\n"})
    report = road.merge("one", code=1)
    assert [(one["agent"], one["gate"]) for one in report["evicted"]] == [("one", "setup")]
    road.assert_final_state()
    assert os.environ.get("ORCHESTRA_JOB") is None
