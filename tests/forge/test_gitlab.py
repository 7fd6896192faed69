"""Merge requests on GitLab through glab: the same train, with GitLab's requests and words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.blueprint.model import ForgeKind
from orchestra.errors import GroundError
from orchestra.forge.pull_request import Checks, PullRequestState
from orchestra.forge.selection import open_forge
from orchestra.review.pushed_work import read_train_pull_request
from tests.forge.conftest import BRANCH, HERE, ForgeWorld, install


@pytest.fixture
def gitlab(forge: ForgeWorld) -> ForgeWorld:
    """The same fleet, with glab; the blueprint says which, since the host's name does not."""
    install(forge.folder, "glab", HERE / "scripted_glab.py")
    forge.train.merge_settings(forge=ForgeKind.GITLAB)
    return forge


def test_a_merge_request_is_opened_updated_and_recognised_when_merged(gitlab: ForgeWorld) -> None:
    gitlab.train.notes("one")
    gitlab.train.approved(one={"a": "1\n"})
    report = gitlab.train.merge()
    url = f"https://{gitlab.server.host}/acme/shop/-/merge_requests/12"
    assert f"opened merge request 12: {url}" in "\n".join(report.render_lines())
    gitlab.train.approved(two={"b": "2\n"})
    assert "updated merge request 12" in "\n".join(gitlab.train.merge().render_lines())
    (request,) = gitlab.requests
    assert request["title"] == "demo: one and two"
    assert "A thing that works." in request["body"]
    gitlab.merge("squash")
    assert gitlab.train.merge().recovered[0].startswith("one and two landed on origin as ")
    assert not [call for call in gitlab.calls() if call[0] not in ("api", "auth")]


@pytest.mark.parametrize(
    ("pipeline", "checks"),
    [
        (None, Checks.NONE),
        ("success", Checks.PASSING),
        ("running", Checks.PENDING),
        ("manual", Checks.PENDING),
        ("failed", Checks.FAILING),
    ],
)
def test_the_pipeline_is_the_checks(gitlab: ForgeWorld, pipeline: str | None, checks: Checks) -> None:
    row = {"number": 12, "head": BRANCH, "base": "main", "title": "t", "body": "", "state": "OPEN"}
    gitlab.change(requests=[{**row, "pipeline": pipeline}, {**row, "number": 13, "fork": True}])
    found = open_forge(gitlab.train.fleet).find(BRANCH, "main")
    assert found is not None
    assert (found.number, found.state, found.checks) == (12, PullRequestState.OPEN, checks)


def test_the_state_of_a_merged_request_is_one_request(gitlab: ForgeWorld) -> None:
    gitlab.train.approved(one={"a": "1\n"})
    gitlab.train.merge()
    gitlab.close(12, "MERGED")
    (gitlab.folder / "calls").unlink()
    found = read_train_pull_request(gitlab.train.fleet)
    assert found is not None and found.request is not None
    assert (found.request.state, len(gitlab.calls())) == (PullRequestState.MERGED, 1)


def test_what_gitlab_refuses_is_reported(gitlab: ForgeWorld) -> None:
    gitlab.train.approved(one={"a": "1\n"})
    gitlab.change(mode="refused")
    report = gitlab.train.merge()
    assert report.pull_request is not None
    assert "merge_requests: `glab api` failed: 403 Forbidden" in str(report.pull_request.problem)
    gitlab.change(mode="logged-out")
    with pytest.raises(GroundError, match="glab is not logged in") as refused:
        gitlab.train.merge()
    assert refused.value.hint == f"glab auth login --hostname {gitlab.server.host}"


def test_a_subgroup_is_part_of_the_project(gitlab: ForgeWorld) -> None:
    forge = open_forge(gitlab.train.fleet)
    inner = replace(forge, address=replace(forge.address, path="acme/web/shop"))  # type: ignore[type-var]
    with pytest.raises(GroundError):
        inner.find(BRANCH, "main")
    (call,) = gitlab.calls()
    assert "projects/acme%2Fweb%2Fshop/merge_requests?source_branch=orchestra%2Fdemo%2Ftrain" in call[-1]
