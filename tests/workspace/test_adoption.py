"""Adoption takes in branches that orchestra did not create, and never removes them."""

from __future__ import annotations

import pytest

from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.model import AgentName
from orchestra.errors import OrchestraError, UsageError
from orchestra.fleet import ADOPTED_RECORD, make_fleet
from orchestra.git.refs import AgentRefs, Kind, read_fleet
from orchestra.workspace.adoption import AdoptionPlan, adopt, plan_adoption
from orchestra.workspace.clean import plan_clean
from orchestra.workspace.spawn_plan import plan_spawn
from tests.conftest import Checkout
from tests.workspace.conftest import run_clean, run_spawn
from tests.workspace.test_clean import branches, set_refs
from tests.workspace.worlds import Home


@pytest.fixture
def login(home: Home) -> str:
    """A branch of a person with one commit; its tip."""
    return make_branch(home, "feature/login")


def make_branch(home: Home, branch: str) -> str:
    checkout = home.checkout
    checkout.git("branch", branch, "main")
    place = home.checkout.path.parent / "elsewhere" / branch.replace("/", "-")
    checkout.git("worktree", "add", "-q", str(place), branch)
    tip = Checkout(place).commit(f"work on {branch}", {f"{place.name}.txt": "new\n"})
    checkout.git("worktree", "remove", str(place))
    return tip


def refusal(plan: AdoptionPlan) -> str:
    (error,) = plan.refusals.values()
    assert isinstance(error, OrchestraError)
    return f"{error.message}; {error.hint}"


def refs_of(home: Home, agent: str) -> AgentRefs:
    fleet = home.fleet()
    return read_fleet(fleet.repository.git, fleet.name).get(AgentName(agent), AgentRefs())


def test_an_adopted_branch_is_an_agent_of_the_fleet(home: Home, login: str) -> None:
    planned = plan_adoption(home.fleet(), ["feature/login"])
    assert refs_of(home, "login") == AgentRefs()
    done = adopt(home.fleet(), ["feature/login"])
    assert [one.line() for one in done.new] == [one.line() for one in planned.new]
    assert done.new[0].line() == "login: branch feature/login, 1 commit, not checked out"
    agent = home.fleet().require_agent("login")
    assert (agent.branch, agent.adopted) == ("feature/login", True)
    base = home.checkout.git("rev-parse", "main")
    assert refs_of(home, "login") == AgentRefs(base=base, adopted=login)  # type: ignore[arg-type]


@pytest.mark.parametrize("branch", ["agent/demo/schema", "feature/login"])
def test_the_branch_of_another_fleet_is_refused(home: Home, login: str, branch: str) -> None:
    run_spawn(home)
    Checkout(home.agent(1).path).commit("work", {"a.txt": "1\n"})
    adopt(home.fleet(), ["feature/login"])
    other = home.blueprint.with_name("other.yaml")
    other.write_text(home.blueprint.read_text().replace("name: demo", "name: other"))
    message = refusal(plan_adoption(make_fleet(home.fleet().repository, load_blueprint(other)), [branch]))
    agent = branch.rpartition("/")[2]
    assert message == (
        f"{branch} is the branch of agent {agent} of fleet demo; "
        f"land it with that fleet: orchestra review {agent} -b demo"
    )


def test_adopting_again_has_nothing_to_do(home: Home, login: str) -> None:
    adopt(home.fleet(), ["feature/login"])
    before = home.look()
    again = adopt(home.fleet(), ["feature/login"])
    assert (again.new, [agent.name for agent in again.existing], dict(again.refusals)) == ((), ["login"], {})
    assert home.look() == before


def test_a_call_that_was_killed_between_record_and_refs_is_finished(home: Home, login: str) -> None:
    adopt(home.fleet(), ["feature/login"])
    for kind in ("base", "adopted"):
        home.checkout.git("update-ref", "-d", f"refs/orchestra/demo/login/{kind}")
    adopt(home.fleet(), ["feature/login"])
    assert refs_of(home, "login").adopted == login


def test_the_worktree_of_another_program_is_the_agents(home: Home, login: str) -> None:
    place = home.checkout.path / ".claude" / "worktrees" / "login"
    home.checkout.git("worktree", "add", "-q", "--lock", "--reason", "claude session", str(place), "feature/login")
    done = adopt(home.fleet(), ["feature/login"])
    assert done.new[0].worktree == place
    assert home.fleet().worktree(home.fleet().require_agent("login")) == place


def test_a_branch_in_the_main_checkout_is_looked_at_there(home: Home, login: str) -> None:
    adopt(home.fleet(), ["feature/login"])
    home.checkout.git("switch", "-q", "feature/login")
    assert home.fleet().worktree(home.fleet().require_agent("login")) == home.checkout.path


@pytest.mark.parametrize(
    ("branch", "expected"),
    [
        ("main", "main is the target of fleet demo; name branches whose work is to land on it"),
        ("even", "even has no commit that main lacks; commit work on even first"),
        ("orphan", "orphan has no commit in common with main; start the branch from the target"),
        ("alias", "alias is a symbolic ref to feature/login; orchestra adopt feature/login"),
        ("feature/logn", 'there is no branch feature/logn; did you mean "feature/login"?'),
        ("agent/demo/api", "agent/demo/api is the branch of agent api already; orchestra review api"),
        (
            "origin/topic",
            "origin/topic is a remote-tracking branch, which every fetch moves; "
            "adopt a local branch of it: git branch topic origin/topic && orchestra adopt topic",
        ),
    ],
)
def test_what_cannot_be_adopted_is_refused(home: Home, login: str, branch: str, expected: str) -> None:
    run_spawn(home)
    checkout = home.checkout
    checkout.git("branch", "even", "main")
    tree = checkout.git("rev-parse", "main^{tree}")
    checkout.git("branch", "orphan", checkout.git("commit-tree", tree, "-m", "other history"))
    checkout.git("symbolic-ref", "refs/heads/alias", "refs/heads/feature/login")
    checkout.git("update-ref", "refs/remotes/origin/topic", login)
    before = home.look()
    assert refusal(adopt(home.fleet(), [branch])) == expected
    assert home.look() == before


def test_one_refused_branch_stops_no_other(home: Home, login: str) -> None:
    done = adopt(home.fleet(), ["main", "feature/login"])
    assert ([one.agent.name for one in done.new], list(done.refusals)) == (["login"], ["main"])


@pytest.mark.parametrize("name", ["merge", "7", "a b", "", "x.lock"])
def test_a_name_that_no_agent_can_have_is_refused(home: Home, login: str, name: str) -> None:
    with pytest.raises(UsageError, match="the name"):
        adopt(home.fleet(), ["feature/login"], name=name)


def test_the_name_of_an_agent_with_work_is_refused(home: Home, login: str) -> None:
    run_spawn(home)
    plan = adopt(home.fleet(), ["feature/login"], name="api")
    assert refusal(plan).startswith("agent api of fleet demo has work already; choose another name: ")


def test_an_agent_that_was_renamed_gets_its_old_branch(home: Home) -> None:
    run_spawn(home)
    old = home.agent(2)
    tip = old.commit("work", {"src/api.txt": "new\n"})
    text = home.blueprint.read_text()
    assert "name: api" in text
    home.blueprint.write_text(text.replace("name: api", "name: service"))
    expected = "api is not in the blueprint any more; to land its branch all the same: orchestra adopt agent/demo/api"
    renamed = ", or before service is spawned, if that is its new name: orchestra adopt agent/demo/api --as service"
    assert plan_spawn(home.fleet()).notes == (expected + renamed,)
    done = adopt(home.fleet(), ["agent/demo/api"], name="service")
    assert not done.refusals
    assert plan_spawn(home.fleet()).notes == ()
    agent = home.fleet().require_agent("service")
    assert (agent.branch, agent.number) == ("agent/demo/api", 2)
    assert home.fleet().worktree(agent) == old.path
    assert refs_of(home, "service").adopted == tip


def test_the_branch_of_an_agent_that_left_the_blueprint_is_adopted_under_its_name(home: Home) -> None:
    run_spawn(home)
    home.agent(2).commit("work", {"src/api.txt": "new\n"})
    home.blueprint.write_text(home.blueprint.read_text().replace("name: api", "name: service"))
    run_spawn(home)
    expected = "api is not in the blueprint any more; to land its branch all the same: orchestra adopt agent/demo/api"
    assert plan_spawn(home.fleet()).notes == (expected,)
    done = adopt(home.fleet(), ["agent/demo/api"])
    assert [one.agent.name for one in done.new] == ["api"]
    assert home.fleet().require_agent("service").branch == "agent/demo/service"


def test_spawn_creates_nothing_for_an_adopted_branch(home: Home, login: str) -> None:
    adopt(home.fleet(), ["feature/login"])
    run_spawn(home)
    before = home.look()
    plan = plan_spawn(home.fleet(), agents=[AgentName("login")])
    assert plan.lines() == []
    assert plan.notes == ("login: adopted, so spawn has nothing to create",)
    run_spawn(home)
    assert home.look() == before


@pytest.mark.parametrize("kind", [Kind.LANDED, Kind.DISCARDED])
def test_clean_forgets_an_adopted_branch_and_removes_nothing(home: Home, login: str, kind: Kind) -> None:
    place = home.checkout.path.parent / "mine"
    home.checkout.git("worktree", "add", "-q", str(place), "feature/login")
    (place / "draft.txt").write_text("not committed\n")
    adopt(home.fleet(), ["feature/login"])
    set_refs(home, "login", {kind: login})
    expected = f"forget login, which was adopted; its branch feature/login and its worktree {place} stay"
    assert plan_clean(home.fleet()).lines() == [expected]
    assert run_clean(home).steps == (expected,)
    assert "feature/login" in branches(home)
    assert (place / "draft.txt").read_text() == "not committed\n"
    assert home.fleet().blueprint.agent("login") is None
    assert refs_of(home, "login") == AgentRefs()
    archived = home.checkout.git("for-each-ref", "--format=%(refname)", "refs/orchestra/archive/").splitlines()
    assert [ref.rpartition("/")[2] for ref in archived] == sorted(["adopted", "base", kind.value])
    assert run_clean(home).steps == ()
    assert adopt(home.fleet(), ["feature/login"]).new


def test_a_lost_record_never_makes_the_branch_orchestras(home: Home, login: str) -> None:
    adopt(home.fleet(), ["feature/login"])
    set_refs(home, "login", {Kind.LANDED: login})
    (home.fleet().folder / ADOPTED_RECORD).unlink()
    # Now the blueprint declares an agent of that name, whose branch is the person's.
    home.blueprint.write_text(home.blueprint.read_text().replace("name: api", "name: login"))
    home.checkout.git("branch", "agent/demo/login", login)
    assert plan_clean(home.fleet()).lines() == []
    assert run_clean(home).steps == ()
    assert "agent/demo/login" in branches(home)


def test_an_adopted_branch_that_is_neither_landed_nor_discarded_stays(home: Home, login: str) -> None:
    adopt(home.fleet(), ["feature/login"])
    assert plan_clean(home.fleet(), [AgentName("login")]).skipped == (
        ("login", "it has neither landed nor been discarded"),
    )
