"""Dependencies that a branch adds, removes or bumps, in each kind of manifest."""

from __future__ import annotations

import json

import pytest

from orchestra.blueprint.model import Builtin
from tests.conftest import Checkout, MakeRepository
from tests.gates.branches import run_gate

PACKAGE = {"name": "x", "version": "1.0.0", "dependencies": {"left-pad": "^1.0.0"}, "scripts": {"test": "jest"}}
POM = (
    "<project><dependencies><dependency><groupId>g</groupId><artifactId>old</artifactId><version>1</version></dependency>"
    "</dependencies></project>"
)
PYPROJECT = '[project]\nname = "x"\ndependencies = ["httpx>=0.20"]\n'
CARGO = '[package]\nname = "x"\n\n[dependencies]\nserde = "1.0"\n'
GO_MOD = "module x\n\ngo 1.22\n\nrequire (\n\tgithub.com/spf13/cobra v1.8.0\n)\n"


def package(**sections: object) -> str:
    return json.dumps({**PACKAGE, **sections}, indent=2)


def lock(*names: str, host: str = "registry.npmjs.org", scripts: bool = False) -> str:
    packages: dict[str, object] = {"": {"name": "x", "version": "1.0.0"}}
    for name in names:
        package, _, version = name.partition("@")
        entry = {"version": version, "resolved": f"https://{host}/{package}/-/{package}.tgz"}
        packages[f"node_modules/{package}"] = entry | ({"hasInstallScript": True} if scripts else {})
    return json.dumps({"name": "x", "lockfileVersion": 3, "packages": packages}, indent=2)


FILES = {
    "package.json": package(),
    "package-lock.json": lock("left-pad@1.0.0"),
    "service/pyproject.toml": PYPROJECT,
    "service/requirements-dev.txt": "pytest==8.0  # tests\nmypy==1.0\n",
    "cmd/go.mod": GO_MOD,
    "crate/Cargo.toml": CARGO,
    "java/pom.xml": POM,
}


@pytest.fixture
def repo(make_repository: MakeRepository) -> Checkout:
    return make_repository(FILES)


@pytest.mark.parametrize(
    ("path", "text", "words", "name"),
    [
        ("package.json", package(devDependencies={"evil": "*"}), "package.json:11 adds evil *", "evil"),
        ("package.json", package(dependencies={}), "removes left-pad", "left-pad"),
        (
            "package.json",
            package(dependencies={"left-pad": "git+https://evil.example/x"}),
            "to git+https://",
            "left-pad",
        ),
        ("package.json", package(scripts={"postinstall": "sh x"}), "adds script postinstall sh x", "postinstall"),
        ("service/pyproject.toml", PYPROJECT.replace('"]', '", "evil"]'), "adds evil", "evil"),
        ("service/pyproject.toml", PYPROJECT + '[build-system]\nrequires = ["evil"]\n', "adds evil", "evil"),
        (
            "service/pyproject.toml",
            PYPROJECT + '[dependency-groups]\ndev = ["Evil_Thing>1"]\n',
            "adds evil-thing",
            "evil_thing",
        ),
        ("service/requirements-dev.txt", "pytest==8.1\nmypy==1.0\n", "changes pytest from ==8.0 to ==8.1", "pytest"),
        ("service/requirements-dev.txt", "--index-url=https://evil.example/\n", "adds --index-url", "--index-url"),
        ("cmd/go.mod", GO_MOD.replace("v1.8.0", "v1.9.0"), "changes github.com/spf13/cobra from v1.8.0", "cobra"),
        ("cmd/go.mod", GO_MOD + "replace github.com/spf13/cobra => ../evil\n", "cobra replaced", "cobra replaced"),
        ("crate/Cargo.toml", CARGO + '\n[target."cfg(unix)".dependencies]\nevil = "1"\n', "adds evil 1", "evil"),
        ("java/pom.xml", FILES["java/pom.xml"].replace("<version>1", "<version>2"), "changes g:old from 1 to 2", "old"),
        ("new/setup.py", "import evil\n", "new/setup.py runs or is read when the project is installed", ""),
    ],
)
def test_each_change_is_named_in_the_notes(repo: Checkout, path: str, text: str, words: str, name: str) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.commit("work", {path: text, "package-lock.json": lock("left-pad@1.0.0") + "\n"})
    result = run_gate(repo, base, Builtin.DEPENDENCIES)
    assert result.outcome == "failed"
    assert words in result.detail
    everything = (
        f"- `{path}`: changed\n- {name or path}: needed for the thing\n- postinstall, left-pad, pytest, mypy: why\n"
    )
    assert run_gate(repo, base, Builtin.DEPENDENCIES, everything).outcome == "passed"


def test_a_manifest_without_its_lock_file_is_a_finding(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.commit("work", {"package.json": package(dependencies={"left-pad": "^2.0.0"})})
    result = run_gate(repo, base, Builtin.DEPENDENCIES, "left-pad: the newer one")
    assert "changes dependencies, and package-lock.json stays as it was" in result.detail


def test_a_lock_file_alone_is_a_finding_unless_it_is_named(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.commit("work", {"package-lock.json": lock("left-pad@1.0.1", "evil@6.6.6")})
    assert "changes evil and left-pad although no manifest changes" in run_gate(repo, base, Builtin.DEPENDENCIES).detail
    assert run_gate(repo, base, Builtin.DEPENDENCIES, "package-lock.json: npm audit fix").outcome == "passed"


def test_a_new_version_of_the_project_itself_is_no_dependency(repo: Checkout) -> None:
    lines = '[[package]]\nname = "x"\nversion = "{}"\n\n[[package]]\nname = "httpx"\nversion = "1"\n'
    base = repo.commit("lock", {"service/uv.lock": lines.format("1.0"), "service/pyproject.toml": PYPROJECT})
    repo.commit("release", {"service/uv.lock": lines.format("2.0"), "service/pyproject.toml": PYPROJECT + "# 2\n"})
    assert run_gate(repo, base, Builtin.DEPENDENCIES).findings == ()


def test_another_place_to_download_from_and_install_scripts_are_findings(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    text = lock("left-pad@1.0.0", "evil@1.0.0", host="evil.example", scripts=True)
    repo.commit("work", {"package.json": package(dependencies={"evil": "1"}), "package-lock.json": text})
    details = [str(each) for each in run_gate(repo, base, Builtin.DEPENDENCIES).findings]
    assert any("downloads from evil.example" in each for each in details)
    assert any("brings evil, which runs an install script" in each for each in details)


@pytest.mark.parametrize(
    "files",
    [
        {"package.json": package(version="1.0.1")},
        {"package.json": package(dependencies={"left-pad": "^1.0.0", "own": "workspace:*"})},
        {"package.json": package(scripts={"test": "vitest"})},
        {"service/requirements-dev.txt": "# comment\nmypy==1.0\npytest==8.0\n-e .\n"},
        {"service/pyproject.toml": PYPROJECT + "[tool.ruff]\nline-length = 100\n"},
        {"cmd/go.mod": GO_MOD.replace("go 1.22", "go 1.23")},
        {"cmd/go.mod": GO_MOD.replace("v1.8.0", "v1.8.0 // indirect")},
        {"docs/page.md": "requirements.txt\n"},
    ],
)
def test_other_changes_of_manifests_pass(repo: Checkout, files: dict[str, str]) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.commit("work", files)
    assert run_gate(repo, base, Builtin.DEPENDENCIES).findings == ()


@pytest.mark.parametrize(
    "text", ["{", "[" * 100_000, '{"dependencies": []}', '{"dependencies": {"a": {"b": 1}}}', "\0", "1"]
)
def test_hostile_manifests_end_no_gate(repo: Checkout, text: str) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.commit("work", dict.fromkeys(FILES, text))
    assert run_gate(repo, base, Builtin.DEPENDENCIES).outcome == "failed"
