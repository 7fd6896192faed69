"""Spawn: what it makes, what it leaves alone, and that a second run has nothing to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName
from orchestra.engine.local import LocalEngine
from orchestra.fleet import last_blueprint
from orchestra.git.refs import CommitId, Kind, RefUpdate, agent_ref, update
from orchestra.workspace.progress import Progress
from orchestra.workspace.provision import Ready, agent_environment, readiness
from orchestra.workspace.spawn import WorktreeOrigin, spawn
from orchestra.workspace.spawn_plan import SpawnRefused, plan_spawn
from tests.workspace.conftest import MakeHome, run_spawn
from tests.workspace.worlds import BLUEPRINT, OVERLAPPING, Home

PLAIN = BLUEPRINT.partition("  setup:")[0] + "agents:" + BLUEPRINT.partition("agents:")[2]


def settle(home: Home, agent: str, kind: Kind, commit: str) -> None:
    fleet = home.fleet()
    ref = agent_ref(fleet.name, AgentName(agent), kind)
    update(fleet.repository.git, [RefUpdate(ref, CommitId(commit), None)], reason="test")


def test_every_agent_gets_its_place(home: Home) -> None:
    report = run_spawn(home)
    main = home.checkout.git("rev-parse", "main")
    assert report.base == main
    assert [(place.agent, place.origin, place.readiness.state) for place in report.places] == [
        ("schema", WorktreeOrigin.MADE, Ready.READY),
        ("api", WorktreeOrigin.MADE, Ready.READY),
    ]
    refs = home.checkout.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    assert sorted(refs) == sorted(
        f"{name} {main}"
        for name in (
            "refs/heads/main",
            "refs/heads/agent/demo/schema",
            "refs/heads/agent/demo/api",
            "refs/orchestra/demo/schema/base",
            "refs/orchestra/demo/api/base",
        )
    )
    for number, name in ((1, "schema"), (2, "api")):
        worktree = home.agent(number)
        assert worktree.git("symbolic-ref", "--short", "HEAD") == f"agent/demo/{name}"
        assert worktree.git("status", "--porcelain") == ""
        assert (worktree.path / "link").readlink() == Path("src/a.txt")
        assert os.access(worktree.path / "run.sh", os.X_OK)
        for file in ("CLAUDE.md", "TASK.md", "AGENT_NOTES.md"):
            assert name in (worktree.path / file).read_text().casefold() or file == "TASK.md"
        assert (worktree.path / ".env").read_text() == "KEY=1\n"
        assert (worktree.path / "node_modules/left-pad/index.js").exists()
        assert (worktree.path / "set-up.txt").read_text() == "made\n"
    assert home.checkout.git("status", "--porcelain") == ""
    assert last_blueprint(home.fleet().repository) == str(home.blueprint)


def test_a_second_run_changes_nothing(home: Home) -> None:
    run_spawn(home)
    before = home.look(), _stamps(home.path)
    report = run_spawn(home)
    assert report.steps == ()
    assert [place.origin for place in report.places] == [WorktreeOrigin.EXISTING, WorktreeOrigin.EXISTING]
    assert (home.look(), _stamps(home.path)) == before


def _stamps(root: Path) -> dict[str, int]:
    """When each file was written last, but for the lock and what a git status of ours, in ``look``, may write."""
    found = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.endswith(("/lock", "/index", "ledger.db-wal", "ledger.db-shm")):
            found[name] = path.stat().st_mtime_ns
    return found


def test_the_plan_is_what_is_done(home: Home) -> None:
    fleet = home.fleet()
    before = home.look(), _stamps(home.path)
    plan = plan_spawn(fleet)
    assert (home.look(), _stamps(home.path)) == before
    report = run_spawn(home)
    assert sorted(report.steps) == sorted(plan.lines())
    assert plan_spawn(fleet).lines() == []


def test_steps_read_like_commands(home: Home) -> None:
    lines = "\n".join(plan_spawn(home.fleet()).lines())
    root = home.path / "worktrees"
    assert f"git worktree add --lock {root}/agent-1 agent/demo/schema" in lines
    assert "git branch --no-track agent/demo/api " in lines
    assert f"(cd {root}/agent-2 && echo made > set-up.txt)" in lines
    assert f"cp -p {home.checkout.path}/.env {root}/agent-1/.env" in lines


def test_a_subset_then_the_rest_from_today_s_target(home: Home) -> None:
    first = run_spawn(home, ["api"])
    assert [place.agent for place in first.places] == ["api"]
    work = home.agent(2).commit("work", {"work.txt": "w"})
    later = home.checkout.commit("main moved on", {"later.txt": "x"})
    report = run_spawn(home)
    assert report.base == later
    assert home.agent(1).git("rev-parse", "HEAD") == later
    assert home.agent(2).git("rev-parse", "HEAD") == work
    assert [place.origin for place in report.places] == [WorktreeOrigin.MADE, WorktreeOrigin.EXISTING]
    assert run_spawn(home).steps == ()


def test_settled_agents_get_no_worktree(home: Home) -> None:
    head = home.checkout.git("rev-parse", "main")
    settle(home, "schema", Kind.BASE, head)
    settle(home, "schema", Kind.LANDED, head)
    settle(home, "api", Kind.BASE, head)
    settle(home, "api", Kind.DISCARDED, head)
    report = run_spawn(home)
    assert report.steps == ()
    assert [place.origin for place in report.places] == [WorktreeOrigin.SETTLED, WorktreeOrigin.SETTLED]
    assert report.notes == ("schema has landed: it gets no worktree", "api was discarded: it gets no worktree")


def test_it_goes_on_from_the_branch_and_not_from_the_base(home: Home) -> None:
    """Somebody deleted a worktree by hand: the commits are on the branch, and what was staged is still known."""
    run_spawn(home)
    agent = home.agent(1)
    head = agent.commit("done", {"new.txt": "n"})
    agent.write({"staged.txt": "s"})
    agent.git("add", "staged.txt")
    shutil.rmtree(agent.path)
    report = run_spawn(home)
    assert agent.git("rev-parse", "HEAD") == head
    assert agent.git("status", "--porcelain") == ""
    assert (agent.path / "TASK.md").exists()
    assert home.checkout.read("staged.txt", "refs/orchestra/demo/schema/saved/1") == "s"
    assert any("was deleted; it is created again" in note for note in report.notes)
    assert run_spawn(home).steps == ()


def test_a_deleted_branch_comes_back_where_it_was_approved(home: Home) -> None:
    run_spawn(home)
    head = home.agent(1).commit("done", {"new.txt": "n"})
    settle(home, "schema", Kind.APPROVED, head)
    home.checkout.git("worktree", "unlock", str(home.agent(1).path))
    home.checkout.git("worktree", "remove", "--force", str(home.agent(1).path))
    home.checkout.git("branch", "-D", "agent/demo/schema")
    run_spawn(home)
    assert home.agent(1).git("rev-parse", "HEAD") == head


def test_the_remote_is_ahead_of_the_local_target(make: MakeHome) -> None:
    home = make()
    home.checkout.git("clone", "--quiet", "--bare", ".", "../remote.git")
    home.checkout.git("remote", "add", "origin", "../remote.git")
    head = home.checkout.commit("theirs", {"theirs.txt": "t"})
    home.checkout.git("push", "--quiet", "origin", "main")
    home.checkout.git("reset", "--quiet", "--hard", "HEAD~1")
    assert run_spawn(home).base == head
    assert home.agent(1).git("config", "--get", "branch.agent/demo/schema.remote", ok=False) == ""


# -- rendered files ----------------------------------------------------------------------------------------------------


def edit_blueprint(home: Home, old: str, new: str) -> None:
    text = home.blueprint.read_text()
    assert old in text
    home.blueprint.write_text(text.replace(old, new))


def test_a_changed_blueprint_is_rendered_anew_where_nobody_wrote(home: Home) -> None:
    run_spawn(home)
    api = home.agent(2).path
    with (api / "TASK.md").open("a") as file:
        file.write("\nmy own remark\n")
    edit_blueprint(home, "Design the schema.", "Design a better schema.")
    edit_blueprint(home, "Build the API.", "Build a better API.")
    report = run_spawn(home)
    assert [step.partition(" (")[0] for step in report.steps] == [f"write {home.agent(1).path}/TASK.md"]
    assert "Design a better schema." in (home.agent(1).path / "TASK.md").read_text()
    assert (api / "TASK.md").read_text().endswith("\nmy own remark\n")
    assert report.notes == ("api: TASK.md was edited or replaced, so it is kept as it is",)
    assert home.agent(1).git("status", "--porcelain") == ""
    assert run_spawn(home).steps == ()


def test_notes_that_are_filled_in_are_nobodys_concern(home: Home) -> None:
    run_spawn(home)
    (home.agent(1).path / "AGENT_NOTES.md").write_text("mine")
    report = run_spawn(home)
    assert (report.steps, report.notes) == ((), ())


def test_an_instruction_file_that_was_deleted_comes_back(home: Home) -> None:
    run_spawn(home)
    (home.agent(1).path / "TASK.md").unlink()
    report = run_spawn(home)
    assert [step.partition(" (")[0] for step in report.steps] == [f"write {home.agent(1).path}/TASK.md"]
    assert (home.agent(1).path / "TASK.md").exists()


def test_without_the_state_folder_the_files_are_adopted(home: Home) -> None:
    """As after a spawn by the shell script, which keeps no copies."""
    run_spawn(home)
    before = (home.agent(1).path / "TASK.md").read_text()
    shutil.rmtree(home.fleet().agent_folder(AgentName("schema")))
    run_spawn(home)
    assert (home.agent(1).path / "TASK.md").read_text() == before
    assert run_spawn(home).steps == ()


def test_a_link_that_an_agent_put_in_place_of_a_file_is_not_followed(home: Home) -> None:
    run_spawn(home)
    precious = home.path / "precious"
    precious.write_text((home.agent(1).path / "TASK.md").read_text())
    task = home.agent(1).path / "TASK.md"
    task.unlink()
    task.symlink_to(precious)
    edit_blueprint(home, "Design the schema.", "Design a better schema.")
    run_spawn(home)
    assert "better" not in precious.read_text()
    assert "better" in task.read_text()


def test_a_folder_that_an_agent_made_a_link_is_not_written_through(make: MakeHome, tmp_path: Path) -> None:
    text = PLAIN.replace("worktrees:", 'templates:\n  ".tool/settings.json": settings.j2\nworktrees:')
    home = make(text)
    (home.path / "settings.j2").write_text('{"title": "{{ title }}"}\n')
    run_spawn(home)
    tool = home.agent(1).path / ".tool"
    assert (tool / "settings.json").read_text() == '{"title": "Demo fleet"}\n'
    outside = tmp_path / "outside"
    shutil.move(tool, outside)
    tool.symlink_to(outside)
    edit_blueprint(home, "title: Demo fleet", "title: Another title")
    report = run_spawn(home)
    assert "Another title" not in (outside / "settings.json").read_text()
    assert "schema: .tool/settings.json was edited or replaced, so it is kept as it is" in report.notes


# -- progress, environment ---------------------------------------------------------------------------------------------


def test_progress_counts_every_agent(home: Home) -> None:
    told: list[Progress] = []
    with LocalEngine(2) as engine:
        spawn(home.fleet(), engine=engine, progress=told.append)
    by_phase = {(str(p.phase), p.completed, p.total) for p in told}
    assert by_phase == {(phase, n, 2) for phase in ("worktrees", "share", "set-up") for n in (1, 2)}


def test_the_agents_own_variables(make: MakeHome) -> None:
    home = make(
        BLUEPRINT.replace(
            "    run:", '    env: {PORT: "{{ 3000 + agent.number }}", WHERE: "{{ worktree }}"}\n    run:'
        ).replace("echo made > set-up.txt", "echo $PORT $ORCHESTRA_AGENT $WHERE > set-up.txt")
    )
    run_spawn(home)
    worktree = home.agent(2).path
    assert (worktree / "set-up.txt").read_text() == f"3002 api {worktree}\n"
    fleet = home.fleet()
    assert agent_environment(fleet, fleet.blueprint.agents[1]) == {
        "ORCHESTRA_FLEET": "demo",
        "ORCHESTRA_AGENT": "api",
        "ORCHESTRA_AGENT_NUMBER": "2",
        "ORCHESTRA_WORKTREE": str(worktree),
        "ORCHESTRA_REPO": str(home.checkout.path),
        "PORT": "3002",
        "WHERE": str(worktree),
    }


# -- set-up ------------------------------------------------------------------------------------------------------------


def test_a_failed_set_up_stops_nobody_else_and_is_tried_again(make: MakeHome) -> None:
    command = "test $ORCHESTRA_AGENT = api -o -e ../mended && echo made > set-up.txt"
    home = make(BLUEPRINT.replace("echo made > set-up.txt", f'{command}", "echo second >> set-up.txt'))
    report = run_spawn(home)
    (failed,) = report.not_ready
    assert failed.agent == "schema"
    assert failed.readiness.reason == f"`{command}` failed with exit code 1"
    assert failed.readiness.log is not None
    assert failed.readiness.log.read_text().startswith(f"$ {command}\n")
    assert (home.agent(2).path / "set-up.txt").read_text() == "made\nsecond\n"
    assert not (home.agent(1).path / "set-up.txt").exists()
    (home.path / "worktrees" / "mended").touch()
    again = run_spawn(home)
    assert again.steps == (
        f"(cd {home.agent(1).path} && {command})",
        f"(cd {home.agent(1).path} && echo second >> set-up.txt)",
        "mark schema as ready",
    )
    assert again.not_ready == ()
    assert run_spawn(home).steps == ()


def test_a_set_up_that_takes_too_long_is_ended(make: MakeHome) -> None:
    home = make(
        BLUEPRINT.replace("    run:", "    timeout: 1s\n    run:").replace("echo made > set-up.txt", "sleep 600")
    )
    report = run_spawn(home)
    assert [place.readiness.reason for place in report.not_ready] == ["`sleep 600` did not end within 1 s"] * 2


def test_the_users_git_variables_do_not_reach_set_up(make: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make(BLUEPRINT.replace("echo made > set-up.txt", "git rev-parse --show-toplevel > set-up.txt"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    run_spawn(home)
    assert (home.agent(1).path / "set-up.txt").read_text() == f"{home.agent(1).path}\n"


def test_no_mark_is_not_known(home: Home) -> None:
    fleet = home.fleet()
    assert readiness(fleet, AgentName("schema")).state is Ready.UNKNOWN


# -- refusals ----------------------------------------------------------------------------------------------------------


def refused(home: Home, **options: object) -> tuple[str, ...]:
    """The problems of a refused spawn, which made nothing at all."""
    before = home.look()
    with pytest.raises(SpawnRefused) as caught:
        run_spawn(home, **options)  # type: ignore[arg-type]
    after = home.look()
    assert after == before
    return caught.value.problems


def test_all_problems_are_reported_at_once_and_nothing_is_made(make: MakeHome) -> None:
    home = make(OVERLAPPING)
    home.checkout.git("branch", "agent/demo/schema")
    home.agent(2).path.mkdir(parents=True)
    (home.agent(2).path / "theirs").write_text("precious")
    home.checkout.commit("notes", {"TASK.md": "ours", "AGENT_NOTES.md": "ours"})
    problems = refused(home)
    assert problems[0].startswith("schema and api may both change src/x: ")
    assert [problem.split(":")[0] for problem in problems[1:]] == [
        "the repository tracks AGENT_NOTES.md, which orchestra would have to overwrite in every worktree",
        "the repository tracks TASK.md, which orchestra would have to overwrite in every worktree",
        "branch agent/demo/schema of agent schema already exists and was not created by orchestra",
        f"{home.agent(2).path} already exists",
    ]
    assert (home.agent(2).path / "theirs").read_text() == "precious"


def test_a_branch_in_the_way_of_a_folder_of_branches(home: Home) -> None:
    home.checkout.git("branch", "agent")
    assert "cannot exist next to branch agent," in refused(home)[0]


def test_a_worktree_that_a_person_moved_stays_the_agents(home: Home) -> None:
    run_spawn(home)
    home.checkout.git("worktree", "unlock", str(home.agent(1).path))
    home.checkout.git("worktree", "move", str(home.agent(1).path), str(home.path / "elsewhere"))
    assert run_spawn(home).steps == ()
    fleet = home.fleet()
    assert fleet.worktree(fleet.require_agent("schema")) == home.path / "elsewhere"


def test_an_agent_keeps_its_worktree_and_branch_when_the_numbers_shift(home: Home) -> None:
    by_number = home.blueprint.read_text().replace("worktrees:", 'worktrees:\n  branch: "work/{{ agent.number }}"')
    home.blueprint.write_text(by_number)
    run_spawn(home)
    home.blueprint.write_text(by_number.replace('  - {name: schema, task: "Design the schema."}\n', ""))
    fleet = home.fleet()
    api = fleet.require_agent("api")
    assert (api.number, api.branch) == (1, "work/2")
    assert fleet.worktree(api) == home.agent(2).path
    assert not [step for step in run_spawn(home).steps if step.startswith(("git worktree add", "git branch"))]


def test_a_new_agent_never_gets_the_place_of_another_one(home: Home) -> None:
    run_spawn(home)
    home.blueprint.write_text(home.blueprint.read_text().replace("name: schema", "name: model"))
    run_spawn(home)
    fleet = home.fleet()
    assert fleet.worktree(fleet.require_agent("model")) == home.path / "worktrees" / "agent-1-model"
    assert home.agent(1).git("branch", "--show-current") == "agent/demo/schema"


def test_what_another_repository_puts_aside_in_a_shared_folder_is_left(make: MakeHome, tmp_path: Path) -> None:
    first = make()
    run_spawn(first)
    aside = first.path / "worktrees" / ".orchestra-old" / "agent-1"
    aside.parent.mkdir()
    first.agent(1).path.rename(aside)
    second = make(name="second")
    second.blueprint.write_text(second.blueprint.read_text().replace("../worktrees", str(first.path / "worktrees")))
    problems = refused(second)
    assert any(f"worktree of the repository {first.checkout.path}" in problem for problem in problems)
    assert (aside / "TASK.md").exists()
    assert run_spawn(first).steps == ()
    assert (first.agent(1).path / "TASK.md").exists()


def test_a_worktree_of_somebody_else_in_the_place(home: Home) -> None:
    home.checkout.git("worktree", "add", "--quiet", "-b", "theirs", str(home.agent(1).path))
    (problem,) = refused(home)
    assert "it is a worktree of this repository, with branch theirs" in problem


def test_an_unborn_target(make: MakeHome) -> None:
    home = make()
    shutil.rmtree(home.checkout.path / ".git")
    home.checkout.git("init", "--quiet", "--initial-branch=main")
    with pytest.raises(SpawnRefused, match="main has no commit"):
        run_spawn(home)
    assert not home.path.joinpath("worktrees").exists()


def test_a_root_inside_the_checkout_must_be_ignored(make: MakeHome) -> None:
    home = make(PLAIN.replace("../worktrees", ".trees"))
    assert "add /.trees/ to .git/info/exclude" in refused(home)[0]
    (home.checkout.path / ".git/info").mkdir(exist_ok=True)
    (home.checkout.path / ".git/info/exclude").write_text("/.trees/\n")
    run_spawn(home)
    assert home.checkout.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("root", "message"), [(".", "is the repository itself"), (".git/x", "is the repository itself")]
)
def test_a_root_that_is_the_repository(make: MakeHome, root: str, message: str) -> None:
    home = make(PLAIN.replace("../worktrees", root))
    with pytest.raises(SpawnRefused, match=message):
        run_spawn(home)


def test_a_root_that_cannot_be_a_folder(make: MakeHome) -> None:
    home = make(PLAIN.replace("../worktrees", "../file/below"))
    (home.path / "file").write_text("x")
    assert "is not a folder" in refused(home)[0]


def test_a_link_below_the_root_leads_nowhere_else(make: MakeHome, tmp_path: Path) -> None:
    home = make(PLAIN.replace("root: ../worktrees", 'root: ../worktrees\n  directory: "sub/{{ agent.name }}"'))
    outside = tmp_path / "outside"
    outside.mkdir()
    (home.path / "worktrees").mkdir()
    (home.path / "worktrees" / "sub").symlink_to(outside)
    assert "a symbolic link leads out" in refused(home)[0]
    assert list(outside.iterdir()) == []


def test_a_template_below_a_tracked_file(make: MakeHome) -> None:
    home = make(PLAIN.replace("worktrees:", 'templates:\n  "run.sh/x.json": x.j2\nworktrees:'))
    (home.path / "x.j2").write_text("x")
    assert refused(home) == ("`templates` names files below run.sh, which is a file in the repository",)


def test_a_tracked_further_template(make: MakeHome) -> None:
    home = make(PLAIN.replace("worktrees:", 'templates:\n  "src/a.txt": x.j2\nworktrees:'))
    (home.path / "x.j2").write_text("x")
    assert "leave it out of `templates`" in refused(home)[0]
