"""``orchestra json-schema``: the JSON Schema of blueprints, for editors."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from orchestra.cli.console import print_note, print_result
from orchestra.cli.program import task
from orchestra.errors import ExitCode


@task(
    name="json-schema",
    help={"write": "A file to write it to, such as .orchestra/blueprint.schema.json. Default: standard output."},
)
def json_schema(c: Context, write: str | None = None) -> ExitCode:
    """Print or write the JSON Schema of blueprints, with which editors check and complete while you type.

    The first line of a blueprint names its place, relative to the blueprint's own folder:
    `# yaml-language-server: $schema=PATH` (JetBrains: `# $schema: PATH`).
    """
    from orchestra.blueprint.load import shipped_data_folder

    text = (shipped_data_folder() / "schemas" / "blueprint.schema.json").read_text(encoding="utf-8")
    if write is None:
        print_result(text.rstrip("\n"))
        return ExitCode.DONE
    path = Path(write)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print_note(f"wrote {path}")
    return ExitCode.DONE
