"""``orchestra help`` and ``orchestra version``."""

from __future__ import annotations

from orchestra import __version__
from orchestra.cli.call import Call
from orchestra.cli.command_line import CommandLineError
from orchestra.cli.console import print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode
from orchestra.text import did_you_mean


@task(
    "[VERB]",
    help={
        "short": "Only the verbs of a fleet's life.",
        "verb": "VERB: Only this one.",
        "markdown": "All verbs as a page in Markdown, with all that their help says.",
    },
    examples=("help", "help merge"),
    shared=("json",),
)
def help(call: Call, verb: str = "", short: bool = False, markdown: bool = False) -> ExitCode:
    """List the verbs, or explain one."""
    from orchestra.cli import ns
    from orchestra.cli.help_screen import full_help, markdown_help, short_help, summary, verb_help
    from orchestra.cli.program import orchestra_tasks

    tasks = orchestra_tasks(ns)
    if verb and verb not in tasks:
        hint = did_you_mean(verb, tasks, otherwise="orchestra help lists the verbs")
        raise CommandLineError(f"no verb {verb!r}", hint=hint, usage="help [VERB]")
    if call.json:
        chosen = [tasks[verb]] if verb else tasks.values()
        rows = [
            {"name": t.verb.name, "group": t.group, "summary": summary(t), "usage": t.verb.usage}
            | {"options": [option.shown for option in t.verb.options]}
            for t in chosen
        ]
        show_json({"verbs": rows})
        return ExitCode.DONE
    if markdown:
        print_result(markdown_help(tasks))
        return ExitCode.DONE
    print_result(verb_help(tasks[verb]) if verb else short_help(tasks) if short else full_help(tasks))
    return ExitCode.DONE


@task(examples=("version",), shared=("json",))
def version(call: Call) -> ExitCode:
    """Print the version."""
    if call.json:
        show_json({"version": __version__})
    else:
        print_result(f"orchestra {__version__}")
    return ExitCode.DONE
