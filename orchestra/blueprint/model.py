"""The values of a blueprint, and all defaults.

A ``Blueprint`` is valid: only ``load`` builds one, after the schema and every check have passed and every template in
it has been rendered once.

Times are seconds (float), money is US dollars (float), agents are numbered from 1 in declared order.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import NewType

AgentName = NewType("AgentName", str)
"""``[A-Za-z0-9]+([-_.][A-Za-z0-9]+)*``, at most 63 characters: safe in a ref, a path and a shell word."""
FleetName = NewType("FleetName", str)
"""Same alphabet as AgentName."""
Key = tuple[str | int, ...]
"""A path into the composed document: ``("agents", 0, "scope", 1)``."""


def _empty() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that set a value: lines and columns count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class RunnerKind(StrEnum):
    CLAUDE = "claude"  # the Claude Code client, driven by orchestra
    CODEX = "codex"  # the Codex CLI, driven by orchestra
    GEMINI = "gemini"  # the Gemini CLI, driven by orchestra
    OPENCODE = "opencode"  # opencode, driven by orchestra
    QWEN = "qwen"  # Qwen Code, driven by orchestra
    COMMAND = "command"  # any program, from an argv template
    NONE = "none"  # a person starts it; orchestra prints the command


PROGRAMS = frozenset({RunnerKind.CODEX, RunnerKind.GEMINI, RunnerKind.OPENCODE, RunnerKind.QWEN})
"""The kinds that orchestra drives headless through the program's own options (sessions/runners/agent_program.py)."""


class RunnerMode(StrEnum):
    HEADLESS = "headless"  # its own process group and log file
    TMUX = "tmux"  # a tmux window, so that a person can step in


class Shell(StrEnum):
    SH = "sh"  # /bin/sh
    BASH = "bash"  # bash, as PATH finds it


class Builtin(StrEnum):
    SCOPE = "scope"  # the candidate changes only what its agent may change
    NOTES = "notes"  # AGENT_NOTES.md has been filled in
    SECRETS = "secrets"  # no commit adds a key, a token or the like
    DEPENDENCIES = "dependencies"  # changes of dependencies are named in the notes, and lock files agree
    TESTS_KEPT = "tests-kept"  # tests that are deleted, skipped or weakened have a reason in the notes
    COMMITS = "commits"  # no foreign branches, large binaries, generated folders or odd identities


class Policy(StrEnum):
    WARN = "warn"  # shown, never stops work
    JUSTIFY = "justify"  # stops work unless AGENT_NOTES.md names each path
    BLOCK = "block"  # stops work


class Untested(StrEnum):
    """The effect of source that changes without any test, for the gate ``tests-kept``."""

    IGNORE = "ignore"  # not looked for
    WARN = "warn"  # shown, stops nothing
    BLOCK = "block"  # a finding like the others of the gate


class Overlap(StrEnum):
    ALLOW = "allow"  # not looked for
    WARN = "warn"  # plan shows it
    ERROR = "error"  # plan and spawn refuse


class Review(StrEnum):
    REQUIRED = "required"  # only what a person approved lands
    NONE = "none"  # what is finished and green lands


class Strategy(StrEnum):
    REBASE = "rebase"  # each commit of the branch, on top of the target
    SQUASH = "squash"  # one commit
    MERGE = "merge"  # a merge commit with the branch as second parent


class Train(StrEnum):
    AUTO = "auto"  # quantile prefixes with an adaptive estimate
    SERIAL = "serial"  # one candidate at a time
    SPECULATIVE = "speculative"  # each on its nearest non-failing predecessor
    BATCH = "batch"  # all at once, bisected when red


class Guarantee(StrEnum):
    TIP_GREEN = "tip-green"  # every value that the target ever has was tested
    STEP_GREEN = "step-green"  # and each agent's own cumulative state was too


@dataclass(frozen=True, slots=True)
class Scope:
    """Paths in git's ``:(top,glob)`` dialect, relative to the repository root: in ``include``, not in ``exclude``."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """How a fresh worktree becomes one that builds."""

    copy: tuple[str, ...] = ()  # untracked files of the main checkout to copy, globs allowed
    share: tuple[str, ...] = ()  # big untracked folders: reflink where the file system can, else a plain copy
    run: tuple[str, ...] = ()  # shell commands, in order, in the worktree
    inputs: tuple[str, ...] = ()  # globs of the files that ``run`` reads; empty: detected
    teardown: tuple[str, ...] = ()  # shell commands before the worktree is removed
    ports: tuple[str, ...] = ()  # variables that each get a port of its own for every agent
    env: Mapping[str, str] = field(default_factory=_empty)  # Jinja templates; for setup, gates' teardown, sessions
    timeout_s: float = 600.0  # for each command


@dataclass(frozen=True, slots=True)
class Worktrees:
    root: str = "../worktrees/{{ repository }}/{{ fleet }}"  # template; relative to the main checkout
    directory: str = "agent-{{ agent.number }}"  # template, below root
    branch: str = "agent/{{ fleet }}/{{ agent.name }}"  # template
    setup: Setup = Setup()


@dataclass(frozen=True, slots=True)
class RunGate:
    """A command that must exit 0 in a checkout of the candidate.

    ``run`` is one line for ``shell``, or, with ``is_argv``, the quoted words of a command that no shell interprets.
    """

    name: str
    run: str
    timeout_s: float = 900.0
    retries: int = 0  # further tries after a failure; a timeout counts as a failure
    env: Mapping[str, str] = field(default_factory=_empty)  # literal, added to the allow-listed environment
    # What a result depends on: "tree", "commit", or patterns of the files that the command reads; None: detected.
    inputs: str | tuple[str, ...] | None = None
    when: tuple[str, ...] = ()  # it is needed only where a candidate changes one of these; empty: always
    shell: Shell = Shell.SH
    junit: str | None = None  # a pattern of the JUnit XML files that it writes, to name failed tests
    is_argv: bool = False

    @property
    def sh_command(self) -> str:
        """The line that makes /bin/sh run the command as declared."""
        if self.is_argv:
            return f"exec {self.run}"
        return f"exec bash -c {shlex.quote(self.run)}" if self.shell is Shell.BASH else self.run


@dataclass(frozen=True, slots=True)
class BuiltinGate:
    """A check that orchestra implements, on the branch's changes."""

    name: str
    builtin: Builtin
    policy: Policy = Policy.BLOCK
    untested: Untested = Untested.WARN  # builtin tests-kept only


Gate = RunGate | BuiltinGate


@dataclass(frozen=True, slots=True)
class Runner:
    kind: RunnerKind = RunnerKind.CLAUDE
    mode: RunnerMode = RunnerMode.HEADLESS
    # kind command: argv, each a Jinja template, then {prompt} {prompt_file} {worktree} {session_id} {settings}
    command: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()  # kind command: argv that re-enters a session; empty: command with the new prompt
    waiting: str | None = None  # kind command in tmux: a regular expression of the text at which it waits for a person
    allow: tuple[str, ...] = ()  # kind claude: permission rules beyond those derived, such as Bash(docker compose *)
    model: str | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None  # per agent
    timeout_s: float | None = None  # wall time of one session
    env: Mapping[str, str] = field(default_factory=_empty)  # Jinja templates, added to the session's environment


@dataclass(frozen=True, slots=True)
class Limits:
    agents: int = 8  # sessions at once
    gates: int = 2  # candidates under test at once
    budget_usd: float | None = None  # for the fleet


@dataclass(frozen=True, slots=True)
class Slots:
    """The worktrees in which gates run, one candidate after the other."""

    keep: tuple[str, ...] = ()  # globs of untracked files that stay in a slot for the next candidate


@dataclass(frozen=True, slots=True)
class Union:
    """Both sides' lines are kept (git's union driver)."""


@dataclass(frozen=True, slots=True)
class Regenerate:
    """The conflicted file is regenerated by ``command`` in a checkout of the candidate."""

    command: str


@dataclass(frozen=True, slots=True)
class Forbid:
    """A conflict in this file always goes back to a person, whatever else could resolve it."""


ConflictRule = Union | Regenerate | Forbid


class Proposer(StrEnum):
    RERERE = "rerere"  # how a person resolved the same conflict before, as git remembers it in this repository
    MERGIRAF = "mergiraf"  # a merge by syntax, by the program of that name


class Via(StrEnum):
    PUSH = "push"  # merge moves the target, and with ``push`` the remote's too
    PULL_REQUEST = "pull-request"  # merge pushes what passed to a branch of its own; the forge moves the target


class ForgeKind(StrEnum):
    GITHUB = "github"  # pull requests, with the program gh
    GITLAB = "gitlab"  # merge requests, with the program glab


@dataclass(frozen=True, slots=True)
class Merge:
    review: Review = Review.REQUIRED
    strategy: Strategy = Strategy.REBASE
    train: Train = Train.AUTO
    guarantee: Guarantee = Guarantee.TIP_GREEN
    push: bool = False
    via: Via = Via.PUSH
    forge: ForgeKind | None = None  # None: decided by the remote's address and by the programs that are installed
    # glob -> rule; the first that matches counts
    conflicts: Mapping[str, ConflictRule] = field(default_factory=lambda: MappingProxyType({}))
    proposals: tuple[Proposer, ...] = ()  # what may propose a resolution of other text conflicts, in the order tried


class ByAgents(StrEnum):
    REFUSE = "refuse"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Verdicts:
    by_agents: ByAgents = ByAgents.REFUSE  # whether a coding session may run approve, discard and merge


@dataclass(frozen=True, slots=True)
class Agent:
    """One declared worker: exactly one branch and one worktree. ``branch`` and ``directory`` are rendered."""

    name: AgentName
    number: int  # from 1, in declared order
    title: str
    stage: str | None
    task: str  # literal, becomes TASK.md
    done_when: tuple[str, ...]
    scope: Scope | None  # None: anywhere that is not protected
    may_edit: tuple[str, ...]  # protected paths this agent may touch
    merge_after: tuple[AgentName, ...]  # as declared, beyond what stages say
    branch: str
    directory: str  # below worktrees.root
    runner: Runner  # the fleet's, with the agent's own keys over it
    adopted: bool = False  # orchestra did not create its branch, nor its worktree if there is one
    ports: Mapping[str, int] = field(default_factory=dict)  # variable -> port, as spawn recorded them


@dataclass(frozen=True, slots=True)
class Blueprint:
    version: int
    name: FleetName
    title: str
    description: str
    target: str | None  # None: the remote's default branch, else the current one
    remote: str | None  # None: origin where there is one
    requires: tuple[str, ...]  # patterns of what the target must have before anything is spawned
    starter: str | None  # the skeleton that ``init --from`` writes
    worktrees: Worktrees
    standards: Mapping[str, tuple[str, ...]]
    never: tuple[str, ...]
    templates: Mapping[str, Path]  # file in the worktree -> template file, absolute
    protected: tuple[str, ...]
    stages: tuple[str, ...]
    overlap: Overlap
    gates: Mapping[str, Gate]  # in the order they run
    runner: Runner
    limits: Limits
    slots: Slots
    merge: Merge
    verdicts: Verdicts
    agents: tuple[Agent, ...]  # declared order, then adopted ones
    merge_order: tuple[AgentName, ...]  # stages, then merge_after, then declared order
    predecessors: Mapping[AgentName, frozenset[AgentName]]  # those that must land before, also through others
    source: Path
    origins: Mapping[Key, Origin]  # of every value of the composed document

    def agent(self, name_or_number: str) -> Agent | None:
        """Return the agent with that name or number, else None."""
        for agent in self.agents:
            if name_or_number in (agent.name, str(agent.number)):
                return agent
        return None


def stand_in_agent(blueprint: Blueprint, name: AgentName, number: int) -> Agent:
    """Return an agent for the environment of what runs for no agent, such as a gate. Otherwise like the first one."""
    if blueprint.agents:
        return replace(blueprint.agents[0], name=name, number=number, title=name, stage=None)
    return Agent(name, number, name, None, "", (), None, (), (), name, name, blueprint.runner)
