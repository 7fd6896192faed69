"""The standards packs: every clause that the library promises is there, for each of the three stacks."""

from __future__ import annotations

import re

import pytest

from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.model import Blueprint
from tests.library.conftest import PACKS, shipped_fleet
from tests.library.test_shipped import BLUEPRINTS

CLAUSES = {
    "repository pattern": "repository pattern",
    "constructor dependency injection": "constructor dependency injection",
    "unit coverage": r"unit coverage at least 80 %",
    "integration tests": "every api endpoint has integration tests",
    "REST and OpenAPI": "rest with openapi",
    "GraphQL optional": "graphql is optional",
    "rate limiting": "rate limiting on all public endpoints",
    "JWT with refresh tokens": "jwt .*refresh tokens",
    "audit logging": "request and response logging for audit",
    "PostgreSQL": "postgresql",
    "Redis": "redis",
    "soft deletes": "soft deletes",
    "encrypted PII": r"personal data \(pii\) is encrypted per field",
    "Docker": "docker for all services",
    "Kubernetes or Compose": "kubernetes manifests.*compose|compose file for development.*kubernetes manifests",
    "health and ready": "`/health`.*`/ready`",
    "metrics": "`/metrics` is prometheus",
    "JSON logging": "structured json logging",
    "migrations": "migrations",
}
ANTI_PATTERNS = {
    "shared configuration": "change shared configuration .* unless task.md",
    "refactoring": "refactor.* outside your scope",
    "dependencies": "add a dependency without a reason",
    "skipped tests": "skip, weaken or delete a test",
    "secrets": "commit secrets or credentials",
}
OWN = {
    "typescript-service": {
        "strict": "typescript in strict mode",
        "Zod": "zod validates everything at run time",
        "Drizzle or Prisma": "migrations with drizzle or prisma",
    },
    "python-service": {
        "strict": "mypy in strict mode",
        "Pydantic": "pydantic v2 validates",
        "Alembic": "migrations with alembic",
    },
    "go-service": {
        "context": "context.context` is the first argument",
        "race": "`-race`",
        "errors": "errors are wrapped",
    },
}


@pytest.fixture(scope="module", params=PACKS)
def pack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Blueprint]:
    """A fleet of one agent on top of each pack: what a team's first blueprint looks like."""
    name = str(request.param)
    file = tmp_path_factory.mktemp("pack") / "mine.yaml"
    agents = "agents:\n  - {name: one, task: Do it., stage: api}\n"
    file.write_text(f"version: 1\nname: mine\nextends: [standards/{name}]\n{agents}", encoding="utf-8")
    return name, load_blueprint(file)


def _clauses(blueprint: Blueprint) -> list[str]:
    return [clause.lower() for clauses in blueprint.standards.values() for clause in clauses]


@pytest.mark.parametrize("what", CLAUSES)
def test_every_pack_has_the_clause(pack: tuple[str, Blueprint], what: str) -> None:
    assert any(re.search(CLAUSES[what], clause) for clause in _clauses(pack[1])), f"{pack[0]} lacks: {what}"


def test_every_pack_has_what_its_stack_needs(pack: tuple[str, Blueprint]) -> None:
    name, blueprint = pack
    for what, pattern in OWN[name].items():
        assert any(re.search(pattern, clause) for clause in _clauses(blueprint)), f"{name} lacks: {what}"


@pytest.mark.parametrize("what", ANTI_PATTERNS)
def test_every_pack_forbids_it(pack: tuple[str, Blueprint], what: str) -> None:
    assert any(re.search(ANTI_PATTERNS[what], line.lower()) for line in pack[1].never), f"{pack[0]} allows: {what}"


def test_the_merge_order_of_every_pack(pack: tuple[str, Blueprint]) -> None:
    assert pack[1].stages == ("infrastructure", "services", "api", "tests")


def test_a_pack_can_stand_alone(pack: tuple[str, Blueprint]) -> None:
    _, blueprint = pack
    assert list(blueprint.gates)[-1] == "tests"
    assert blueprint.worktrees.setup.run
    assert blueprint.protected
    assert all(clauses for clauses in blueprint.standards.values()), "no empty heading"


def test_no_clause_is_said_twice(pack: tuple[str, Blueprint]) -> None:
    clauses = [*_clauses(pack[1]), *(line.lower() for line in pack[1].never)]
    assert len(clauses) == len(set(clauses))


@pytest.mark.parametrize("name", ["mvp5", "production15", "enterprise50"])
def test_the_three_fleets_extend_the_typescript_pack(name: str) -> None:
    fleet = shipped_fleet(name)
    text = (BLUEPRINTS / f"{name}.yaml").read_text(encoding="utf-8")
    assert "extends: [standards/typescript-service]" in text
    clauses = _clauses(fleet)
    for what, pattern in {**CLAUSES, **OWN["typescript-service"]}.items():
        assert any(re.search(pattern, clause) for clause in clauses), f"{name} lacks: {what}"
