"""Which forge a remote is, and what gh and glab answer or fail to answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra import doctor
from orchestra.blueprint.model import ForgeKind, Via
from orchestra.errors import GroundError
from orchestra.forge.pull_request import Checks
from orchestra.forge.remote_address import ForgeAddress, parse_remote_url, read_address
from orchestra.forge.selection import open_forge
from orchestra.plan.pull_request_findings import pull_request_findings
from tests.conftest import Checkout
from tests.fleets import make_world
from tests.forge.conftest import ForgeWorld
from tests.train.train_fixture import TrainFixture


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/acme/shop.git", ("github.com", "acme/shop")),
        ("https://ada:secret@github.com/acme/shop", ("github.com", "acme/shop")),
        ("http://127.0.0.1:8080/acme/shop.git", ("127.0.0.1:8080", "acme/shop")),
        ("ssh://git@github.com:22/acme/shop.git", ("github.com", "acme/shop")),
        ("git@gitlab.com:group/sub/shop.git", ("gitlab.com", "group/sub/shop")),
        ("git@github-work:acme/shop.git/", ("github-work", "acme/shop")),
        ("/srv/git/shop.git", None),
        ("../shop.git", None),
        ("file:///srv/git/shop.git", None),
        ("https://github.com/shop", None),
    ],
)
def test_a_remote_address_names_host_and_project(url: str, expected: tuple[str, str] | None) -> None:
    assert parse_remote_url(url) == expected


@pytest.fixture
def elsewhere(repository: Checkout) -> TrainFixture:
    """A fleet with a remote of no forge."""
    repository.git("remote", "add", "origin", "/nowhere/acme/shop.git")
    return TrainFixture(make_world(repository, "one")).merge_settings(via=Via.PULL_REQUEST)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/a/b", ForgeAddress(ForgeKind.GITHUB, "github.com", "a/b")),
        ("https://gitlab.example.org/a/b", ForgeAddress(ForgeKind.GITLAB, "gitlab.example.org", "a/b")),
        ("git@github-work:a/b.git", ForgeAddress(ForgeKind.GITHUB, "github.com", "a/b")),
        ("git@gitlab.com-work:a/b.git", ForgeAddress(ForgeKind.GITLAB, "gitlab.com", "a/b")),
    ],
)
def test_the_host_decides_the_forge(elsewhere: TrainFixture, url: str, expected: ForgeAddress) -> None:
    elsewhere.checkout.git("remote", "set-url", "origin", url)
    assert read_address(elsewhere.fleet) == expected


@pytest.mark.parametrize(
    ("programs", "kind"), [(["gh"], ForgeKind.GITHUB), (["glab"], ForgeKind.GITLAB), (["gh", "glab"], None), ([], None)]
)
def test_an_unknown_host_is_decided_by_what_is_installed(
    elsewhere: TrainFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: list[str],
    kind: ForgeKind | None,
) -> None:
    elsewhere.checkout.git("remote", "set-url", "origin", "https://code.example.org/a/b")
    folder = tmp_path / "only"
    folder.mkdir()
    for name in ("git", *programs):
        (folder / name).symlink_to(next(path for place in os.get_exec_path() if (path := Path(place, "git")).exists()))
    monkeypatch.setenv("PATH", str(folder))
    if kind is not None:
        assert read_address(elsewhere.fleet).kind is kind
        return
    with pytest.raises(GroundError, match="cannot be decided") as refused:
        read_address(elsewhere.fleet)
    assert "merge: {forge: github}" in str(refused.value.hint)
    elsewhere.merge_settings(forge=ForgeKind.GITLAB)
    assert read_address(elsewhere.fleet).kind is ForgeKind.GITLAB


def test_a_folder_is_no_forge_and_no_password_is_shown(elsewhere: TrainFixture) -> None:
    with pytest.raises(GroundError, match="origin is no project on a forge: /nowhere"):
        read_address(elsewhere.fleet)
    elsewhere.checkout.git("remote", "set-url", "origin", "https://ada:secret@example.org/shop")
    with pytest.raises(GroundError, match=r"example\.org") as refused:
        read_address(elsewhere.fleet)
    assert "secret" not in f"{refused.value}{refused.value.hint}"


def check_run(status: str, conclusion: str) -> dict[str, str]:
    return {"__typename": "CheckRun", "name": "ci", "status": status, "conclusion": conclusion}


def commit_status(state: str) -> dict[str, str]:
    return {"__typename": "StatusContext", "context": "ci/old", "state": state}


@pytest.mark.parametrize(
    ("rollup", "expected"),
    [
        (None, Checks.NONE),
        ([], Checks.NONE),
        ([check_run("COMPLETED", "SUCCESS"), check_run("COMPLETED", "SKIPPED")], Checks.PASSING),
        ([check_run("COMPLETED", "SUCCESS"), commit_status("SUCCESS")], Checks.PASSING),
        ([check_run("IN_PROGRESS", ""), check_run("COMPLETED", "SUCCESS")], Checks.PENDING),
        ([commit_status("EXPECTED")], Checks.PENDING),
        ([check_run("QUEUED", ""), check_run("COMPLETED", "TIMED_OUT")], Checks.FAILING),
        ([commit_status("ERROR")], Checks.FAILING),
    ],
)
def test_checks_are_summarised(forge: ForgeWorld, rollup: object, expected: Checks) -> None:
    forge.change(requests=[request(checks=rollup)])
    found = open_forge(forge.train.fleet).find("orchestra/demo/train", "main")
    assert found is not None and found.checks is expected


def request(number: int = 12, **changed: object) -> dict[str, object]:
    row = {"number": number, "head": "orchestra/demo/train", "base": "main", "title": "t", "body": "b"}
    return {**row, "state": "OPEN", **changed}


def test_a_pull_request_from_a_fork_is_not_ours(forge: ForgeWorld) -> None:
    forge.change(requests=[request(12, state="CLOSED", headRefOid="f" * 40), request(13, fork=True)])
    found = open_forge(forge.train.fleet).find("orchestra/demo/train", "main")
    assert found is not None and found.number == 12


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("garbage", r"`gh pr list` printed something unexpected: <html>\^\[\[31mBad gateway</html>"),
        ("unreachable", "`gh pr list` failed: error connecting to api.github.com"),
        ("hang", "`gh pr list` did not answer within 0.5 s"),
    ],
)
def test_a_program_that_misbehaves_is_named_with_what_it_said(forge: ForgeWorld, mode: str, message: str) -> None:
    forge.change(mode=mode)
    with pytest.raises(GroundError, match=message) as refused:
        open_forge(forge.train.fleet, timeout_s=0.5 if mode == "hang" else 60.0).find("b", "main")
    assert refused.value.hint


def test_without_a_login_merge_doctor_and_plan_name_the_command(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.change(mode="logged-out")
    fix = f"gh auth login --hostname {forge.server.host}"
    with pytest.raises(GroundError, match=r"gh is not logged in to 127\.0\.0\.1") as refused:
        forge.train.merge()
    (finding,) = pull_request_findings(forge.train.fleet)
    (row,) = doctor._forge(forge.train.fleet)
    assert refused.value.hint == finding.advice == row.fix == fix
    assert (finding.severity.value, row.level.value) == ("error", "fail")
    assert forge.calls() == [["auth", "status", "--hostname", forge.server.host]] * 3


def test_without_the_program_merge_says_where_to_get_it(forge: ForgeWorld) -> None:
    (forge.folder / "gh").unlink()
    forge.train.merge_settings(forge=ForgeKind.GITHUB)
    if any(Path(place, "gh").exists() for place in os.get_exec_path()):
        pytest.skip("gh is installed on this machine")
    with pytest.raises(GroundError, match="gh is not on PATH") as refused:
        forge.train.merge()
    assert refused.value.hint == "install it: https://cli.github.com"


def test_plan_and_doctor_say_what_will_be_pushed(forge: ForgeWorld) -> None:
    (finding,) = pull_request_findings(forge.train.fleet)
    assert finding.severity.value == "note"
    assert finding.message == (
        "merge pushes what passed to orchestra/demo/train on origin and opens or updates one pull request into main of "
        f"{forge.server.host}/acme/shop, with gh"
    )
    (row,) = doctor._forge(forge.train.fleet)
    assert row.level.value == "ok"


def test_a_refused_request_is_reported_with_the_forges_reason(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"})
    forge.change(mode="read-only")
    report = forge.train.merge()
    assert report.pull_request is not None
    assert str(report.pull_request.action) == "failed"
    reason = "Validation Failed: Resource not accessible by personal access token"
    assert reason in str(report.pull_request.problem)
    assert (report.exit_code, forge.server.tip("orchestra/demo/train")) == (1, report.pull_request.commit)
    forge.change(mode=None)
    assert str(forge.train.merge().pull_request.action) == "opened"  # type: ignore[union-attr]
