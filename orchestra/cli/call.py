"""One call of a verb: its shared options, and the fleet and agents that it names."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.cli.command_line import CommandLineError, Verb
from orchestra.cli.console import print_note, print_result
from orchestra.cli.exit import command_name
from orchestra.errors import GroundError, UsageError
from orchestra.fleet import Fleet, open_fleet
from orchestra.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Call:
    """``line``: what was typed after ``orchestra``. ``repo``, ``blueprint``, ``json``: values of the shared options."""

    verb: Verb
    line: str = ""
    repo: str | None = None
    blueprint: str | None = None
    json: bool = False

    @property
    def folder(self) -> Path:
        """The folder that ``--repo`` names, or the current one."""
        return Path(self.repo or ".")

    def load_fleet(self) -> Fleet:
        """Return the fleet that the command line names. Raises UsageError, BlueprintError, GroundError."""
        Ledger.announce = print_note
        return open_fleet(self.folder, self.blueprint)

    def split_words(self, words: Sequence[str]) -> tuple[Call, Sequence[str]]:
        """Return the call with the blueprint that the first of its words names, if it names one, and the other words.

        A word that names both a blueprint and an agent of the fleet is refused.
        """
        if self.blueprint is not None or not words:
            return self, words
        from orchestra.blueprint.load import find_blueprint
        from orchestra.cli.blueprint_lookup import main_checkout

        first, fleet = words[0], None
        with suppress(UsageError, GroundError):
            fleet = self.load_fleet()
        is_agent = fleet is not None and fleet.blueprint.agent(first) is not None
        try:
            path = find_blueprint(first, main_checkout(self.repo))
        except UsageError:
            if fleet is None:
                raise
            return self, words
        is_file = path.is_file() and (path != Path(first) or path.suffix in (".yaml", ".yml"))
        if is_agent and is_file and fleet is not None:
            hint = f"for the blueprint: -b {first}; for the agent: -b {fleet.name} {first}"
            raise CommandLineError(f"{first} is a blueprint and an agent", hint=hint, usage=self.verb.usage)
        return (replace(self, blueprint=first), words[1:]) if is_file else (self, words)

    def print_next(self, words: str | None, *, with_blueprint: bool = True) -> None:
        """Print the command to type next, with the blueprint and repository that this call named.

        Nothing is printed without ``words``. ``path AGENT`` means that a person works in the agent's worktree.
        """
        if not words or self.json:
            return
        from orchestra.cli import ns

        verb, _, rest = words.partition(" ")
        command = f"orchestra {words}"
        if self.blueprint and with_blueprint:
            named = shlex.quote(self.blueprint)
            is_plain = any("BLUEPRINT" in word.shown for word in ns[verb].verb.words)
            command = f"orchestra {verb} {named} {rest}".rstrip() if is_plain else f"{command} -b {named}"
        if self.repo:
            command += f" --repo={shlex.quote(self.repo)}"
        if verb == "path":
            print_result(f"{rest} has no runner: work in its worktree, commit, and fill in AGENT_NOTES.md.")
            command = f'cd "$({command})"'
        print_result(f"next: {command}")

    def wrong_line(self, message: str, *, hint: str | None = None) -> CommandLineError:
        """Return the error of a command line that makes no sense, with the usage of the verb."""
        return CommandLineError(message, hint=hint, usage=self.verb.usage)

    def agent(self, fleet: Fleet, word: str) -> Agent:
        """Return the agent with that name or number. Raises CommandLineError, with the usage of the verb."""
        try:
            return fleet.require_agent(word)
        except UsageError as error:
            from orchestra.cli import ns

            alone = f"one verb a line: run `{command_name()} {word}` by itself"
            hint = alone if word in ns.task_names else error.hint
            takes_blueprint = any("BLUEPRINT" in word.shown for word in self.verb.words)
            message = error.message + ", and no blueprint of that name" * takes_blueprint
            raise CommandLineError(message, hint=hint, usage=self.verb.usage) from None

    def agents(self, fleet: Fleet, words: Sequence[str]) -> list[Agent] | None:
        """Return the agents of plain words, each once; None where there are no words, which means all."""
        agents = [self.agent(fleet, word) for word in split_commas(words)]
        return list({agent.name: agent for agent in agents}.values()) if words else None

    def names(self, fleet: Fleet, words: Sequence[str]) -> list[AgentName] | None:
        """Return the names of ``agents``."""
        agents = self.agents(fleet, words)
        return None if agents is None else [agent.name for agent in agents]


def agent_rows(pairs: Iterable[tuple[AgentName, object]], key: str) -> list[dict[str, object]]:
    """Return pairs of an agent and a fact as the rows of a JSON document."""
    return [{"agent": name, key: fact} for name, fact in pairs]


def split_commas(words: Sequence[str]) -> list[str]:
    """Return the words of ``a,b c`` one by one."""
    return [part for word in words for part in word.split(",") if part]


def recover_landing(fleet: Fleet) -> None:
    """Finish or undo a landing that was interrupted, and print what was done."""
    from orchestra.train.landing_journal import is_interrupted

    if is_interrupted(fleet.repository.state_folder):
        from orchestra.train.landing import recover

        for sentence in recover(fleet.repository, print_note):
            print_note(sentence)
