"""``orchestra json-schema``: the JSON Schema of blueprints, for editors."""

from __future__ import annotations

from pathlib import Path

from orchestra.cli.call import Call
from orchestra.cli.console import print_note, print_result
from orchestra.cli.program import task
from orchestra.errors import ExitCode


@task(
    help={"write": "FILE: Write it to a file, such as .orchestra/blueprint.schema.json."},
    examples=("json-schema", "json-schema --write=.orchestra/blueprint.schema.json"),
    shared=(),
)
def json_schema(call: Call, write: str | None = None) -> ExitCode:
    """Print the JSON Schema of blueprints, for editors.

    With it they check and complete while you type.

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
