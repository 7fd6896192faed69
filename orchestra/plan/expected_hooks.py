"""Find git hooks that a repository expects and that commits of agents would skip: husky, lefthook, pre-commit.

Hooks in the shared ``.git/hooks`` serve every worktree. A relative ``core.hooksPath`` means a folder of each worktree,
which is missing there where git ignores it and no set-up command makes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from orchestra.fleet import Fleet
from orchestra.git.remote import configured_hooks_path
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.repository_scan import Survey
from orchestra.text import format_list

_INSTALLERS: Final = (
    ("lefthook", ("lefthook.yml", "lefthook.yaml", ".lefthook.yml", ".lefthook.yaml"), "lefthook install"),
    ("pre-commit", (".pre-commit-config.yaml",), "pre-commit install"),
)
_INSTALLS_PACKAGES: Final = re.compile(r"\b(npm|pnpm|yarn|bun)\s+(ci|install|i|clean-install)\b(?!.*--ignore-scripts)")


def hook_findings(fleet: Fleet, ground: Survey) -> Iterator[Finding]:
    """Yield a note for each expected hook that is missing from worktrees. Gates judge the work in any case."""
    configured = configured_hooks_path(fleet.repository.git)
    setup = fleet.blueprint.worktrees.setup
    where = place(fleet.blueprint, "worktrees", "setup", "run")
    if configured and not configured.is_absolute():
        folder = str(configured)
        is_tracked = any(path.startswith(f"{folder}/") for path in ground.sizes)
        is_husky = folder.startswith(".husky") and "prepare" in (ground.scripts or ())
        is_made = folder in setup.copy or folder in setup.share
        is_made |= is_husky and any(map(_INSTALLS_PACKAGES.search, setup.run))
        if not is_tracked and not is_made:
            message = f"git takes its hooks from {folder}, which is not tracked: agents' commits skip them"
            advice = "make the folder in `worktrees.setup.run` (husky: `npm run prepare`), or let a gate run the checks"
            yield Finding(Severity.NOTE, Code.HOOKS_MISSING, message, advice, where, (), (f"{folder}/",))
        return
    hooks = configured or fleet.repository.common_dir / "hooks"
    names = [name for name in ("pre-commit", "commit-msg", "pre-push") if os.path.lexists(hooks / name)]
    if names:
        return
    for tool, files, command in _INSTALLERS:
        if (file := next((file for file in files if file in ground.sizes), None)) is not None:
            message = f"{file} expects hooks of {tool}, and none are installed: commits skip them"
            advice = (
                f"run `{command}` in {fleet.repository.home}, which serves all worktrees, or let a gate run the checks"
            )
            yield Finding(Severity.NOTE, Code.HOOKS_MISSING, message, advice, where, (), (file,))
    if ".husky/pre-commit" in ground.sizes or ".husky/commit-msg" in ground.sizes:
        missing = format_list([name for name in ("pre-commit", "commit-msg") if f".husky/{name}" in ground.sizes])
        message = f".husky has the hooks {missing}, and husky is not installed here: commits skip them"
        advice = "install the packages in the main checkout (husky sets core.hooksPath), or let a gate run the checks"
        yield Finding(Severity.NOTE, Code.HOOKS_MISSING, message, advice, where, (), (".husky/",))
