"""The first steps in a repository, as tasks: init, doctor. Shows; decides nothing."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from orchestra.cli.console import Tone, say, show_json, tell
from orchestra.cli.program import task
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet


@task(help={"name": "The blueprint's name. Default: the project's."})
def init(c: Context, name: str | None = None, repo: str | None = None, json: bool = False) -> ExitCode:
    """Detect the stack and write a first blueprint, its schema for editors, and a tasks.py; change nothing that exists.

    Test, lint and set-up commands, protected files, stages and scopes are proposed from the files and the history of
    the repository. The blueprint validates and plans as it is; the agents' assignments are yours to write.
    """
    from orchestra.git.repository import Repository
    from orchestra.plan.repository_scan import read_history
    from orchestra.scaffold.init import init_files, write

    repository = Repository.discover(Path(repo or "."))
    tracked = repository.git.run("ls-files", "-z").fields
    tip = repository.resolve("HEAD")
    history = read_history(repository.git, tip, most_commits=_COMMITS).changes if tip else ()
    plan = init_files(repository.home, tracked, history=history, name=name)
    written = write(plan)
    if json:
        kept = [{"path": str(each.path), "advice": each.advice} for each in plan.kept]
        show_json({"blueprint": str(plan.blueprint), "written": [str(path) for path in written], "unchanged": kept})
        return ExitCode.DONE
    for path in written:
        say(f"wrote {path}", Tone.GOOD)
    for each in plan.kept:
        say(f"kept {each.path}" + (f": {each.advice}" if each.advice else ""), Tone.QUIET)
    tell(f"next: write what each agent is to do in {plan.blueprint}, then")
    tell(f"  orchestra plan --blueprint={plan.blueprint.stem}")
    return ExitCode.DONE


@task(help={"all": "Also what is as it should be."})
def doctor(
    c: Context, all: bool = False, repo: str | None = None, blueprint: str | None = None, json: bool = False
) -> ExitCode:
    """What is missing or dangerous on this machine and in this repository, each with the command that mends it.

    Ends with 3 when something that the blueprint declares will not work here. Keys and logins are looked for, never
    read.
    """
    from orchestra.doctor import Level, examine

    fleet = _fleet_here(repo, blueprint)
    findings = examine(fleet)
    code = ExitCode.WRONG_GROUND if any(f.level is Level.FAIL for f in findings) else ExitCode.DONE
    if json:
        show_json([{"level": f.level, "subject": f.subject, "message": f.message, "fix": f.fix} for f in findings])
        return code
    tones = {Level.FAIL: Tone.BAD, Level.WARN: Tone.WAITING, Level.OK: Tone.GOOD, Level.NOTE: Tone.QUIET}
    for finding in findings:
        if all or finding.level is not Level.OK:
            say(f"{finding.level:4}  {finding.subject}: {finding.message}", tones[finding.level])
            if finding.fix:
                say(f"      {finding.fix}")
    fine = sum(finding.level is Level.OK for finding in findings)
    say(f"{fine} of {len(findings)} things are as they should be" + ("" if all else " (--all shows them)"))
    return code


def _fleet_here(repo: str | None, blueprint: str | None) -> Fleet | None:
    """The fleet to look at, or None where there is none yet: the machine can be looked at all the same."""
    from orchestra.cli.context import opened
    from orchestra.errors import GroundError, UsageError

    if blueprint is not None:
        return opened(repo, blueprint)
    try:
        return opened(repo, None)
    except (GroundError, UsageError) as error:
        tell(f"looking at the machine only: {error.message.splitlines()[0]}")
        return None


_COMMITS = 500
