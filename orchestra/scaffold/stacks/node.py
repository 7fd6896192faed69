"""Node: npm, pnpm, yarn and bun, by the lock file or ``packageManager``; gates by the scripts of package.json.

A script that changes files (``--fix``) or never ends (``--watch``) is no gate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orchestra.scaffold.stacks.manifests import Command, Part, StackFolder, table

SUFFIXES: Final = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte", ".astro")
_LOCKS: Final = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
}
_SCRIPTS: Final = {
    "lint": ("lint", "lint:check", "lint:ci", "check:lint", "eslint", "lint:js", "standard", "xo"),
    "types": (
        "typecheck",
        "type-check",
        "check-types",
        "check:types",
        "check:type",
        "types:check",
        "lint:types",
    ),
    "tests": ("test", "test:ci", "test:unit", "unit", "test:all", "tests", "test:node", "unit-test"),
}
_NEVER_ENDS_OR_CHANGES: Final = re.compile(r"(--fix\b(?!-dry)|--write\b|--watch(?!All=false)\b|\bno test specified\b)")
_PROTECTED: Final = ("**/package.json", "**/tsconfig*.json", "**/eslint.config.*", "**/.eslintrc*", "**/.prettierrc*")
_PROTECTED_HERE: Final = (
    "pnpm-workspace.yaml",
    "turbo.json",
    "nx.json",
    "lerna.json",
    ".npmrc",
    ".yarnrc.yml",
    ".nvmrc",
)


@dataclass(frozen=True, slots=True)
class _Manager:
    name: str
    setup: str
    run: str
    relock: str  # regenerates the lock file; "" where the manager has no such command


def find(ground: StackFolder) -> Part | None:
    """Return the stack that package.json and its neighbours describe; None without one."""
    if "package.json" not in ground.names:
        return None
    package = ground.json("package.json")
    lock = ground.first(*_LOCKS)
    manager = _manager(ground, package, lock)
    scripts = {name: body for name, body in table(package, "scripts").items() if isinstance(body, str)}
    local = tuple(ground.pattern(name) for name in (*_LOCKS, *_PROTECTED_HERE) if name in ground.names)
    return Part(
        language="TypeScript" if ground.below(".ts") or ground.below(".tsx") else "JavaScript",
        tool=manager.name,
        suffixes=SUFFIXES,
        setup=(ground.here(manager.setup),),
        commands=tuple(_commands(ground, manager, scripts)),
        makes=(f"{ground.folder}node_modules/",),
        protected=(*(ground.pattern(pattern) for pattern in _PROTECTED), *local),
        regenerate={ground.pattern(lock): ground.here(manager.relock)} if lock and manager.relock else {},
        pack="standards/typescript-service",
        port=3000,
    )


def _manager(ground: StackFolder, package: Mapping[str, object], lock: str | None) -> _Manager:
    declared = str(package.get("packageManager", "")).partition("@")[0]
    name = declared if declared in _LOCKS.values() else _LOCKS.get(lock or "", "npm")
    if name == "pnpm":
        return _Manager(
            name, "pnpm install --frozen-lockfile --prefer-offline", "pnpm run", "pnpm install --lockfile-only"
        )
    if name == "yarn":
        # Yarn 1 and its successors have other commands; the lock file shows which one it is.
        old = "# yarn lockfile v1" in ground.text("yarn.lock")[:500]
        if old or str(package.get("packageManager", "")).startswith("yarn@1"):
            return _Manager(name, "yarn install --frozen-lockfile --prefer-offline", "yarn run", "")
        return _Manager(name, "yarn install --immutable", "yarn run", "yarn install --mode=update-lockfile")
    if name == "bun":
        return _Manager(name, "bun install --frozen-lockfile", "bun run", "bun install --lockfile-only")
    if lock is None:
        return _Manager(name, "npm install --no-package-lock --no-audit --no-fund", "npm run", "")
    relock = "npm install --package-lock-only --ignore-scripts"
    return _Manager(name, "npm ci --prefer-offline --no-audit --no-fund", "npm run", relock)


def _commands(ground: StackFolder, manager: _Manager, scripts: Mapping[str, str]) -> list[Command]:
    commands = []
    for gate, names in _SCRIPTS.items():
        usable = (name for name in names if name in scripts and not _NEVER_ENDS_OR_CHANGES.search(scripts[name]))
        script = next(usable, None)
        if script is not None:
            run = "npm test" if (manager.name, script) == ("npm", "test") else f"{manager.run} {script}"
            env = {"CI": "true"} if gate == "tests" else {}
            commands.append(
                Command(gate, ground.here(run), f'script "{script}" of {ground.pattern("package.json")}', env)
            )
    return commands
