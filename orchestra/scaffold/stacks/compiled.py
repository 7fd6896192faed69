"""Go and Rust, whose tool chains bring tests with them, and Make, by its targets.

A style check becomes a gate only where the repository's own automation runs it; otherwise it could fail already.
"""

from __future__ import annotations

import re
from typing import Final

from orchestra.scaffold.stacks.manifests import Command, Part, StackFolder

_MAKEFILES: Final = ("GNUmakefile", "makefile", "Makefile")
_C_SUFFIXES: Final = (".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".m", ".mm", ".S")


def find_go(ground: StackFolder) -> Part | None:
    """Return a module or a workspace of modules."""
    module, workspace = "go.mod" in ground.names, "go.work" in ground.names
    if not module and not workspace:
        return None
    # `./...` stops at the boundary of a module: in a workspace each module is listed.
    each = "go list -f '{{.Dir}}/...' -m | xargs go " if workspace else ""
    run = {"vet": f"{each}vet" if each else "go vet ./...", "test": f"{each}test" if each else "go test ./..."}
    source = ground.pattern("go.work" if workspace else "go.mod")
    protected = ("go.mod", "go.sum", "go.work", "go.work.sum", ".golangci.yml", ".golangci.yaml", ".goreleaser.yml")
    return Part(
        language="Go",
        tool="Go",
        suffixes=(".go",),
        setup=() if workspace else (ground.here("go mod download"),),
        commands=(
            Command("lint", ground.here(run["vet"]), source),
            Command("tests", ground.here(run["test"]), source),
        ),
        protected=tuple(ground.pattern(name) for name in protected if name in ground.names),
        regenerate={ground.pattern("go.sum"): ground.here("go mod tidy")} if "go.sum" in ground.names else {},
        pack="standards/go-service",
        port=8000,
    )


def find_rust(ground: StackFolder) -> Part | None:
    """Return a crate or a workspace of crates."""
    if "Cargo.toml" not in ground.names:
        return None
    locked = "Cargo.lock" in ground.names
    flags = (" --workspace" if "[workspace]" in ground.text("Cargo.toml") else "") + (" --locked" if locked else "")
    # The repository's own automation: workflow files, Makefile, justfile.
    workflows = ground.at(".github/workflows/")
    flows = [name for name in sorted(workflows.names) if name.endswith((".yml", ".yaml"))][:20]
    scripts = [ground.text(name) for name in (*_MAKEFILES, "justfile", "Justfile")]
    automation = "\n".join([*map(workflows.text, flows), *scripts])
    commands = [Command("tests", ground.here(f"cargo test{flags}"), ground.pattern("Cargo.toml"))]
    if re.search(r"cargo (\+\S+ )?fmt\b", automation):
        commands.insert(
            0, Command("lint", ground.here("cargo fmt --all --check"), "the repository's automation runs it")
        )
    protected = (
        "Cargo.lock",
        "rust-toolchain",
        "rust-toolchain.toml",
        "rustfmt.toml",
        ".rustfmt.toml",
        "clippy.toml",
        "deny.toml",
    )
    return Part(
        language="Rust",
        tool="Cargo",
        suffixes=(".rs",),
        setup=(ground.here("cargo fetch --locked" if locked else "cargo fetch"),),
        commands=tuple(commands),
        protected=(
            ground.pattern("**/Cargo.toml"),
            *(ground.pattern(name) for name in protected if name in ground.names),
        ),
        regenerate={ground.pattern("Cargo.lock"): ground.here("cargo update --workspace")} if locked else {},
    )


def find_make(ground: StackFolder) -> Part | None:
    """Return a Makefile with a target that sounds like tests or lint; else None."""
    makefile = ground.first(*_MAKEFILES)
    if makefile is None:
        return None
    targets = ground.targets()
    target_names = {"lint": ("lint",), "tests": ("test", "check", "tests")}
    commands = [
        Command(gate, ground.here(f"make {target}"), f'target "{target}" of {ground.pattern(makefile)}')
        for gate, names in target_names.items()
        if (target := next((name for name in names if name in targets), None))
    ]
    language = "C" if ground.below(".c") else "C++" if ground.below(".cc") or ground.below(".cpp") else "Make"
    return Part(language, "Make", _C_SUFFIXES, commands=tuple(commands), protected=(ground.pattern(makefile),))
