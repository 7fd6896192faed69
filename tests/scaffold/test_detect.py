"""What a repository says about itself becomes commands that it can run, and nothing that it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestra.scaffold.detect import Stack, detect, slug

Found = Callable[[Mapping[str, str]], Stack]

PACKAGE = {"name": "@acme/shop", "scripts": {"test": "vitest run", "lint": "eslint .", "typecheck": "tsc --noEmit"}}
UV = """
[project]
name = "Shop_Service"
dependencies = ["fastapi>=0.110"]
[dependency-groups]
dev = ["ruff", {include-group = "tests"}]
tests = ["pytest-cov", "pytest>=8; python_version > '3'"]
typing = ["mypy"]
docs = ["sphinx"]
[tool.ruff]
[tool.mypy]
files = ["src"]
[tool.pytest.ini_options]
"""


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Detects the stack of a folder ``store`` with these files."""

    def detected(files: Mapping[str, str]) -> Stack:
        root = tmp_path / "store"
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        root.mkdir(exist_ok=True)
        return detect(root, list(files))

    return detected


def commands(stack: Stack) -> dict[str, str]:
    return {name: command.run for name, command in stack.gates.items()}


# Node


@pytest.mark.parametrize(
    ("lock", "setup", "tests"),
    [
        ({"package-lock.json": "{}"}, "npm ci --prefer-offline --no-audit --no-fund", "npm test"),
        ({}, "npm install --no-package-lock --no-audit --no-fund", "npm test"),
        ({"pnpm-lock.yaml": ""}, "pnpm install --frozen-lockfile --prefer-offline", "pnpm run test"),
        ({"yarn.lock": "# yarn lockfile v1\n"}, "yarn install --frozen-lockfile --prefer-offline", "yarn run test"),
        ({"yarn.lock": "__metadata:\n  version: 8\n"}, "yarn install --immutable", "yarn run test"),
        ({"bun.lock": "{}"}, "bun install --frozen-lockfile", "bun run test"),
    ],
    ids=["npm", "npm without a lock", "pnpm", "yarn 1", "yarn berry", "bun"],
)
def test_the_lock_file_tells_the_package_manager(found: Found, lock: dict[str, str], setup: str, tests: str) -> None:
    stack = found({"package.json": json.dumps(PACKAGE), "src/a.ts": "", **lock})
    assert stack.setup == (setup,)
    assert commands(stack)["tests"] == tests
    assert list(stack.gates) == ["lint", "types", "tests"]
    assert stack.gates["tests"].env == {"CI": "true"}
    assert stack.name == "shop"
    assert set(lock) <= set(stack.protected)


def test_the_declared_package_manager_counts_more_than_a_lock_file(found: Found) -> None:
    package = {**PACKAGE, "packageManager": "pnpm@9.1.0"}
    assert str(found({"package.json": json.dumps(package), "yarn.lock": ""}).parts[0]) == "JavaScript (pnpm)"


@pytest.mark.parametrize(
    "body", ['echo "Error: no test specified" && exit 1', "jest --watch", "eslint --fix .", "prettier --write ."]
)
def test_a_script_that_changes_files_or_never_ends_is_no_gate(found: Found, body: str) -> None:
    package = {"scripts": {"test": body, "lint": body, "build": "tsc"}}
    stack = found({"package.json": json.dumps(package), "index.js": ""})
    assert commands(stack) == {}
    assert stack.parts, "it is still Node"


def test_the_next_best_script_is_taken(found: Found) -> None:
    package = {
        "scripts": {"test": "jest --watch", "test:ci": "jest", "lint": "eslint --fix .", "lint:check": "eslint ."}
    }
    stack = found({"package.json": json.dumps(package), "package-lock.json": ""})
    assert commands(stack) == {"lint": "npm run lint:check", "tests": "npm run test:ci"}


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "{", '{"scripts": ["test"]}', '{"scripts": {"test": 7}}', "[" * 100_000]
)
def test_a_broken_manifest_says_nothing(found: Found, text: str) -> None:
    assert commands(found({"package.json": text, "a.js": ""})) == {}


# Python


def test_uv_installs_the_groups_that_gates_need(found: Found) -> None:
    stack = found({"pyproject.toml": UV, "uv.lock": "", "src/shop/a.py": "", "tests/test_a.py": ""})
    assert stack.setup == ("uv sync --frozen --group tests --group typing",)
    assert commands(stack) == {
        "lint": "uv run --no-sync ruff check .",
        "types": "uv run --no-sync mypy",
        "tests": "uv run --no-sync pytest -q",
    }
    assert stack.regenerate == {"uv.lock": "uv lock"}
    assert stack.name == "shop-service"
    assert stack.packs == ("standards/python-service",)


def test_members_of_a_uv_workspace_are_installed(found: Found) -> None:
    text = UV + '[tool.uv.workspace]\nmembers = ["a"]\n'
    assert "--all-packages" in found({"pyproject.toml": text, "uv.lock": "", "a/b.py": ""}).setup[0]


def test_poetry_brings_optional_groups_and_extras(found: Found) -> None:
    text = """
[tool.poetry]
name = "shop"
[tool.poetry.group.test]
optional = true
[tool.poetry.group.test.dependencies]
pytest = "*"
flake8 = "*"
[tool.poetry.extras]
pg = ["psycopg"]
"""
    stack = found({"pyproject.toml": text, "poetry.lock": "", "shop/a.py": "", ".flake8": ""})
    assert stack.setup == ("poetry install --no-interaction --with test --all-extras",)
    assert commands(stack) == {"lint": "poetry run flake8", "tests": "poetry run pytest -q"}
    assert stack.regenerate == {"poetry.lock": "poetry lock"}


def test_pip_makes_a_virtual_environment(found: Found) -> None:
    text = '[project]\nname = "shop"\n[project.optional-dependencies]\ntest = ["pytest"]\ndocs = ["sphinx"]\n'
    stack = found({"pyproject.toml": text, "shop/a.py": "", "requirements.txt": "flask==3\n# comment\n-c x\n"})
    assert stack.setup == ("python3 -m venv .venv", ".venv/bin/pip install --quiet -r requirements.txt -e '.[test]'")
    assert commands(stack) == {"tests": ".venv/bin/pytest -q"}


def test_pip_installs_dependency_groups_with_a_pip_that_knows_them(found: Found) -> None:
    text = '[project]\nname = "shop"\n[dependency-groups]\ntest = ["pytest"]\n'
    setup = found({"pyproject.toml": text, "shop/a.py": ""}).setup
    assert setup[1:] == (
        ".venv/bin/pip install --quiet --upgrade 'pip>=25.1'",
        ".venv/bin/pip install --quiet --group test -e .",
    )


def test_pytest_is_installed_where_it_is_configured_and_nobody_lists_it(found: Found) -> None:
    stack = found({"setup.py": "", "conftest.py": "", "shop.py": "", "requirements/test.txt": "hypothesis\n"})
    assert stack.setup[-1] == ".venv/bin/pip install --quiet -r requirements/test.txt -e . pytest"
    assert commands(stack) == {"tests": ".venv/bin/pytest -q"}


def test_django_by_its_manage_py(found: Found) -> None:
    assert commands(found({"manage.py": "", "requirements.txt": "django"})) == {
        "tests": ".venv/bin/python manage.py test"
    }


def test_unittest_where_tests_are_and_no_runner_is_named(found: Found) -> None:
    assert commands(found({"setup.py": "", "a.py": "", "tests/test_a.py": ""})) == {
        "tests": ".venv/bin/python -m unittest"
    }


def test_a_tool_that_is_configured_but_not_installed_is_no_gate(found: Found) -> None:
    text = '[project]\nname = "x"\ndependencies = ["pytest"]\n[tool.ruff]\n[tool.mypy]\nfiles = "x"\n'
    assert list(found({"pyproject.toml": text, "x/a.py": ""}).gates) == ["tests"]


# Go, Rust, Java, Make


def test_go(found: Found) -> None:
    stack = found({"go.mod": "module example.org/x", "go.sum": "", "main.go": ""})
    assert (stack.setup, commands(stack)) == (("go mod download",), {"lint": "go vet ./...", "tests": "go test ./..."})
    assert stack.regenerate == {"go.sum": "go mod tidy"}


def test_each_module_of_a_go_workspace_is_tested(found: Found) -> None:
    stack = found({"go.work": "use ./a", "a/go.mod": "", "a/main.go": ""})
    assert commands(stack)["tests"] == "go list -f '{{.Dir}}/...' -m | xargs go test"


def test_rust_checks_its_format_only_where_its_automation_does(found: Found) -> None:
    files = {"Cargo.toml": '[workspace]\nmembers = ["a"]\n', "Cargo.lock": "", "a/src/lib.rs": ""}
    assert commands(found(files)) == {"tests": "cargo test --workspace --locked"}
    stack = found({**files, ".github/workflows/ci.yml": "- run: cargo fmt --all -- --check\n"})
    assert commands(stack)["lint"] == "cargo fmt --all --check"
    assert stack.protected == (".github/**", "**/Cargo.toml", "Cargo.lock")


@pytest.mark.parametrize(
    ("files", "run"),
    [
        (["pom.xml"], "mvn -B -ntp test"),
        (["pom.xml", "mvnw", "build.gradle"], "./mvnw -B -ntp test"),
        (["build.gradle.kts", "gradlew"], "./gradlew --no-daemon test"),
        (["settings.gradle"], "gradle --no-daemon test"),
    ],
)
def test_java_by_its_wrapper_where_there_is_one(found: Found, files: list[str], run: str) -> None:
    stack = found(dict.fromkeys([*files, "src/main/java/A.java"], ""))
    assert (commands(stack), stack.setup) == ({"tests": run}, ())


@pytest.mark.parametrize(
    ("file", "port"),
    [
        ("Dockerfile", 3000),
        ("deploy/docker-compose.dev.yml", 3000),
        ("compose.yaml", 3000),
        (".env.example", 3000),
        ("docs/a/b/Dockerfile", None),
        ("README.md", None),
    ],
)
def test_only_a_repository_that_is_deployed_gets_ports(found: Found, file: str, port: int | None) -> None:
    assert found({"package.json": json.dumps(PACKAGE), "src/a.ts": "", file: ""}).port == port


def test_make_by_its_targets(found: Found) -> None:
    makefile = ".PHONY: lint\nCC := gcc\nall lint: x\n\tcc\ncheck:: all\n\t./t\nx = test: no\n"
    stack = found({"Makefile": makefile, "a.c": "", "a.h": ""})
    assert (str(stack.parts[0]), commands(stack)) == ("C (Make)", {"lint": "make lint", "tests": "make check"})


def test_make_fills_only_what_the_tool_chain_leaves_open(found: Found) -> None:
    stack = found({"Makefile": "test:\n\nlint:\n", "Cargo.toml": "", "src/a.rs": ""})
    assert commands(stack) == {"lint": "make lint", "tests": "cargo test"}


def test_make_comes_first_where_most_is_in_c(found: Found) -> None:
    stack = found({"Makefile": "test:\n", "Cargo.toml": '[package]\nname = "x"', "a.rs": "", "a.c": "", "b.c": ""})
    assert commands(stack) == {"tests": "make test", "tests-rust": "cargo test"}
    assert stack.name == "store", "the manifest of a side stack does not name the whole"


# Several


def test_the_stack_with_most_files_comes_first(found: Found) -> None:
    package = json.dumps({"scripts": {"test": "jest"}})
    stack = found({"go.mod": "", "a.go": "", "b.go": "", "package.json": package, "package-lock.json": "", "x.js": ""})
    assert [part.language for part in stack.parts] == ["Go", "JavaScript"]
    assert list(stack.gates) == ["lint", "tests", "tests-javascript"]
    assert stack.setup == ("go mod download", "npm ci --prefer-offline --no-audit --no-fund")


def test_a_stack_that_only_brings_tools_is_not_set_up(found: Found) -> None:
    stack = found({"go.mod": "", "a.go": "", "package.json": '{"scripts": {"format": "prettier"}}'})
    assert [part.language for part in stack.parts] == ["Go"]


def test_stacks_in_folders_below_are_found_but_not_in_examples(found: Found) -> None:
    package = json.dumps(PACKAGE)
    files = {"my app/package.json": package, "my app/a.ts": "", "api/go.mod": "", "api/a.go": "", "api/b.go": ""}
    stack = found({**files, "docs/package.json": package, "examples/Cargo.toml": ""})
    assert commands(stack) == {
        "lint": "cd api && go vet ./...",
        "lint-typescript": "cd 'my app' && npm run lint",
        "types": "cd 'my app' && npm run typecheck",
        "tests": "cd api && go test ./...",
        "tests-typescript": "cd 'my app' && npm test",
    }


def test_nothing_at_all(found: Found) -> None:
    stack = found({})
    assert (stack.name, stack.parts, stack.setup, stack.gates, stack.protected) == ("store", (), (), {}, ())


# What is protected and what has to be brought along


def test_only_patterns_that_match_something_are_protected(found: Found) -> None:
    files = [".github/workflows/ci.yml", ".env.example", "packages/a/package.json", "package.json", "Makefile", "x.js"]
    protected = found(dict.fromkeys(files, "")).protected
    assert protected == (".github/**", ".env*", "Makefile", "**/package.json")


def test_untracked_environment_files_are_copied_and_tracked_ones_are_not(tmp_path: Path) -> None:
    for name in (".env", ".env.test", "a.py"):
        (tmp_path / name).write_text("")
    (tmp_path / ".envrc").mkdir()
    assert detect(tmp_path, [".env.test", "a.py"]).copy == (".env",)


def test_a_manifest_that_is_a_link_out_of_the_repository_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text(json.dumps(PACKAGE))
    root = tmp_path / "project"
    root.mkdir()
    (root / "package.json").symlink_to(tmp_path / "outside.json")
    assert detect(root, ["package.json"]).gates == {}


def test_uv_makes_the_environment_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pytest\n")
    stack = detect(tmp_path, ["requirements.txt", "a.py"], programs=["uv"], is_ignored=lambda _: False)
    assert stack.setup == (
        "uv venv --quiet --allow-existing .venv",
        "uv pip install --quiet --python .venv -r requirements.txt",
    )


def test_folders_of_the_set_up_that_git_does_not_ignore_get_a_gitignore(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/package.json").write_text(json.dumps(PACKAGE))
    (tmp_path / "requirements.txt").write_text("pytest\n")
    tracked = ["requirements.txt", "a.py", "b.py", "web/package.json", "web/a.ts"]
    stack = detect(tmp_path, tracked, is_ignored=lambda folder: folder == "web/node_modules/")
    assert stack.setup[-1] == "mkdir -p .venv/ && echo '*' >.venv/.gitignore"
    assert not any("mkdir -p web/node_modules" in command for command in stack.setup)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("conductor.json", '{"scripts": {"setup": "cp $CONDUCTOR_ROOT_PATH/.env.secret .env.secret\\nmake deps"}}'),
        (".cursor/worktrees.json", '{"setup-worktree": ["cp $ROOT_WORKTREE_PATH/.env.secret .", "make deps"]}'),
        (".codex/environments/environment.toml", '[setup]\nscript = "# deps\\nmake deps\\n"'),
    ],
)
def test_the_set_up_declared_for_another_tool_is_taken(tmp_path: Path, source: str, text: str) -> None:
    (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / source).write_text(text)
    (tmp_path / ".env.secret").write_text("")
    stack = detect(tmp_path, [source, "package.json", "a.js"])
    assert (stack.setup_sources["make deps"], stack.setup) == (source, ("make deps",))
    assert stack.copy == ((".env.secret",) if "cp " in text else ())


@pytest.mark.parametrize(
    "script", ["if [ -f x ]; then\nmake\nfi", "ln -s $CONDUCTOR_ROOT_PATH/data data", "make \\\n all"]
)
def test_a_declared_set_up_that_is_more_than_commands_is_left(tmp_path: Path, script: str) -> None:
    (tmp_path / "conductor.json").write_text(json.dumps({"scripts": {"setup": script}}))
    stack = detect(tmp_path, ["conductor.json"])
    assert (stack.setup, stack.unread_setup) == ((), ("conductor.json",))


def test_mise_and_direnv_are_set_up_where_they_are_installed(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps(PACKAGE))
    tracked = ["package.json", "a.ts", "mise.toml", ".envrc"]
    assert not detect(tmp_path, tracked).setup_sources
    stack = detect(tmp_path, tracked, programs=["mise", "direnv"])
    assert stack.setup[:2] == ("mise trust && mise install", "direnv allow .")
    assert stack.setup[2].startswith("npm ")
    assert set(stack.setup_sources.values()) == {"mise.toml", ".envrc"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My Project", "my-project"),
        ("XMLHttpThing", "xmlhttp-thing"),
        ("42", "n42"),
        ("__init__", "init"),
        ("日本", ""),
        ("a" * 300, "a" * 40),
        ("-x.", "x"),
    ],
)
def test_names_are_made_safe(text: str, name: str) -> None:
    assert slug(text) == name
