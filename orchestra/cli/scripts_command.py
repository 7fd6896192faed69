"""The eject door as a task: a blueprint as shell scripts. Writes files; decides nothing."""

from __future__ import annotations

import os
from pathlib import Path

from invoke.context import Context

from orchestra.cli.console import print_note, print_result
from orchestra.cli.program import task
from orchestra.errors import ExitCode, UsageError


@task(help={"output": "The folder to write them to. Default: scripts, in the repository."})
def scripts(c: Context, repo: str | None = None, blueprint: str | None = None, output: str | None = None) -> ExitCode:
    """Write orchestrate.sh and merge-helper.sh for a blueprint: the same verbs in plain shell, without Python.

    They need git and a POSIX shell, and share their state with orchestra. Both are generated: change the blueprint and
    write them again. A file that is there already is replaced only if it was generated, too.
    """
    from orchestra.files import read_regular, write_atomically
    from orchestra.fleet import last_blueprint, load_named_blueprint
    from orchestra.git.repository import Repository
    from orchestra.shell.inputs import collect_inputs
    from orchestra.shell.script import is_generated
    from orchestra.shell.script import scripts as written

    repository = Repository.discover(Path(repo or "."))
    named = blueprint or last_blueprint(repository)
    if named is None:
        raise UsageError("which blueprint?", hint="--blueprint NAME; orchestra blueprints lists what can be named")
    loaded = load_named_blueprint(named, repository)
    folder = Path(output) if output else repository.home / "scripts"
    texts = written(collect_inputs(loaded, _called(loaded.source, repository.home)))
    for name in texts:
        present = read_regular(folder / name)
        if os.path.lexists(folder / name) and not is_generated((present or b"").decode("utf-8", "replace")):
            raise UsageError(
                f"{folder / name} is not one of ours", hint="move it, or name another folder with --output"
            )
    for name, text in texts.items():
        write_atomically(folder / name, text)
        (folder / name).chmod(0o755)
        print_result(str(folder / name))
    print_note(f"next: sh {folder / 'orchestrate.sh'} --help")
    return ExitCode.DONE


def _called(source: Path, home: Path) -> str:
    """What ``--blueprint`` calls a file wherever the repository is: its name, else its path in the repository."""
    from orchestra.blueprint.load import blueprint_folders, find_blueprint

    for folder in blueprint_folders(home):
        if source.is_relative_to(folder):
            name = source.relative_to(folder).with_suffix("").as_posix()
            if find_blueprint(name, home).resolve() == source.resolve():
                return name
    return source.relative_to(home).as_posix() if source.is_relative_to(home) else str(source)
