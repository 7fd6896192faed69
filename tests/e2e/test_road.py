"""The whole road: from a blueprint to landed work, every command twice, every verdict."""

from __future__ import annotations

import subprocess

from .command import program
from .conftest import MakeRoad
from .road import INSTRUCTIONS, Road


def test_the_walk_with_every_command_twice(road: Road) -> None:
    before = road.checkout.git("rev-parse", "main")
    steps = road.run("spawn", "--blueprint", str(road.blueprint), "--dry-run").out.splitlines()
    assert road.refs("refs/orchestra/") == {}
    made = road.spawn()
    assert sorted(made["steps"]) == sorted(steps)  # places are made side by side
    assert {agent["origin"] for agent in made["agents"]} == {"made"}
    first = road.snapshot()
    again = road.spawn()
    assert again["steps"] == []
    assert road.snapshot() == first
    for name in ("one", "two", "three"):
        assert road.at(name).git("status", "--porcelain", "--ignored") == "\n".join(
            f"!! {file}" for file in sorted(INSTRUCTIONS)
        )
        assert {*INSTRUCTIONS} <= {path.name for path in road.at(name).path.iterdir()}
        road.work(name)
    rows = road.status()
    assert [(row["commits"], row["behind"], row["notes"], row["verdict"]) for row in rows.values()] == [
        (1, 0, "filled", "none")
    ] * 3
    assert {row["state"] for row in rows.values()} == {"finished"}

    road.approve("one", "two", "1")
    shown = road.json("review", "two")
    assert shown["verdict"] == "approved"
    rehearsed = road.json("rehearse")
    assert [one["agent"] for one in rehearsed["landed"]] == ["one", "two", "three"]
    assert road.checkout.git("rev-parse", "main") == before
    tested = road.json("rebase-and-test", "three,one")
    assert {one["agent"] for one in tested["landed"]} == {"one", "three"}
    assert road.checkout.git("rev-parse", "main") == before

    landed = road.merge()
    assert [one["agent"] for one in landed["landed"]] == ["one", "two"]
    assert [(one["agent"], one["reason"]) for one in landed["waiting"]] == [("three", "no verdict")]
    assert landed["target"] == {"branch": "main", "before": before, "after": road.checkout.git("rev-parse", "main")}
    assert road.merge("--yes")["landed"][0]["agent"] == "three"
    done = road.snapshot()
    nothing = road.merge()
    assert (nothing["landed"], nothing["target"]["before"]) == ([], nothing["target"]["after"])
    assert road.snapshot() == done
    assert road.landed_agents() == ["one", "two", "three"]
    assert {row["state"] for row in road.status().values()} == {"landed"}

    planned = road.run("clean", "--dry-run").out.splitlines()
    assert road.json("clean")["steps"] == planned
    assert road.json("clean") == {"steps": [], "notes": [], "skipped": []}
    assert not road.at("one").path.exists()
    assert set(road.refs("refs/heads/")) == {"main"}
    road.assert_final_state()


def test_the_same_road_in_processes_started_for_real(road: Road) -> None:
    """The console script's own start, in a linked worktree's subfolder, by --repo, and for a person to read."""

    def type_(*words: str) -> str:
        done = subprocess.run(
            [*program(), *words], cwd=road.folder, env=road.env, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "agent/f/two" in type_("spawn", "--repo", str(road.checkout.path), "--blueprint", str(road.blueprint))
    road.work("one")
    assert "one: approved" in type_("approve", "one", "--repo", str(road.at("two").path / "src"))
    assert "landed as" in type_("merge", "one", "--repo", str(road.checkout.path))
    road.assert_final_state()


def test_verdicts(road: Road) -> None:
    road.spawn()
    assert "no commits" in road.refused("approve", "one", code=2)
    assert 'did you mean "one"?' in road.refused("approve", "onne", code=2)
    head = road.work("one")
    road.approve("one", "one")
    assert road.refs()["one/approved"] == head
    later = road.work("one", {"more.txt": "more\n"})
    assert road.status()["one"]["verdict"] == "stale"
    told = road.merge("--yes", "one", code=1)
    assert "stale" in told["waiting"][0]["reason"]

    road.run("request-changes", "one", "--message", "say\n## more --here")
    assert road.status()["one"]["verdict"] == "changes-requested"
    assert "say\n## more --here" in (road.at("one").path / "TASK.md").read_text()
    assert road.at("one").git("status", "--porcelain") == ""
    assert road.merge("--yes", "one", code=1)["waiting"][0]["reason"] == "changes were requested"
    assert "needs a message" in road.refused("request-changes", "one", code=2)
    road.approve("one")
    assert road.refs()["one/approved"] == later

    road.work("two")
    done = road.run("discard", "two", "--reason", "not wanted")
    assert "orchestra restore two" in done.err
    assert "was discarded" in road.refused("approve", "two", code=2)
    assert "two: discarded at " in road.run("discard", "two", "--reason", "again").out  # as after a kill in the middle
    road.merge("one", "two")
    assert "has landed" in road.refused("discard", "one", "--reason", "late", code=2)
    assert road.landed_agents() == ["one"]
    road.json("clean")
    assert not road.at("two").path.exists()
    road.run("restore", "two")
    assert (road.at("two").path / "two.txt").exists()
    road.assert_final_state()


def test_what_falls_short_is_explained_and_the_rest_goes_on(make_road: MakeRoad) -> None:
    road = make_road(
        "base",
        {"name": "clash"},
        {"name": "late", "merge_after": ["clash"]},
        {"name": "later", "merge_after": ["late"]},
        "red",
        "empty",
        "free",
    )
    line = "line 3\n"
    text = (road.checkout.path / "src/app.txt").read_text()
    road.spawn()
    road.work("base", {"src/app.txt": text.replace(line, "base was here\n")})
    road.work("clash", {"src/app.txt": text.replace(line, "clash was here\n")})
    for name in ("late", "later", "free"):
        road.work(name)
    road.work("red", {"red.txt": "RED\n"})
    road.work("empty", {})
    road.approve("base", "clash", "late", "later", "red", "empty", "free")
    report = road.merge(code=1)
    assert [one["agent"] for one in report["landed"]] == ["base", "free"]
    evicted = {one["agent"]: one for one in report["evicted"]}
    assert {name: one["reason"] for name, one in evicted.items()} == {
        "clash": "conflict",
        "red": "gate",
        "empty": "empty",
    }
    assert evicted["clash"]["with"] == ["base"]
    assert "src/app.txt" in evicted["clash"]["detail"]
    with open(evicted["clash"]["log"], encoding="utf-8") as log:  # noqa: PTH123
        told = log.read()
    assert "base was here" in told
    assert "clash was here" in told
    assert evicted["red"]["gate"] == "check"
    assert {one["agent"]: one["by"] for one in report["blocked"]} == {"late": "clash", "later": "clash"}

    road.run("discard", "clash", "--reason", "base does it")
    second = road.merge(code=1)
    assert [one["agent"] for one in second["landed"]] == ["late", "later"]
    assert {one["agent"] for one in second["evicted"]} == {"red", "empty"}
    road.at("red").write({"red.txt": "green\n"})
    road.work("red")
    road.approve("red")
    assert [one["agent"] for one in road.merge("red")["landed"]] == ["red"]
    assert set(road.json("clean")["skipped"]) == set()
    assert road.at("empty").path.exists()
    road.assert_final_state()
